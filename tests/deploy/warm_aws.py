"""The command line of AWS, as it is, but started once: a test that calls it some hundred times would wait for its start-up most of the
time. A program `aws` in a folder for the PATH hands its arguments and its standard streams over to a copy of the started one."""

import array
import json
import os
import pathlib
import signal
import socket
import sys

PRELOADED = ["cloudformation", "dynamodb", "lambda", "scheduler"]
CLIENT = """#!{python} -SE
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([len(said).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(said)
    code = server.recv(1)
sys.exit(code[0] if code else 70)
"""


def serve(address):
    from awscli.clidriver import create_clidriver

    driver = create_clidriver()
    for service in PRELOADED:
        driver.session.get_service_model(service)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                answer(driver, connection)
            connection.close()


def answer(driver, connection):
    """Runs one command in this process, and ends it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 70
    try:
        size, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(3 * 4))
        streams = array.array("i")
        streams.frombytes(ancillary[0][2])
        said, wanted = b"", int.from_bytes(size, "big")
        while len(said) < wanted:
            said += connection.recv(65_536)
        arguments, environment, folder = json.loads(said)
        for stream, own in zip(streams, (0, 1, 2)):
            os.dup2(stream, own)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        code = driver.main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        connection.send(bytes([code & 255]))
        os._exit(0)


class WarmAws:
    """A folder with `aws`, between `with` and its end."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __enter__(self):
        address = str(self.folder / "aws.socket")
        program = self.folder / "aws"
        program.write_text(CLIENT.format(python=sys.executable, address=address))
        program.chmod(0o755)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                serve(address)
            finally:
                os._exit(1)
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
