"""A Lambda Runtime API on loopback, for one bootstrap at a time, as AWS documents it."""

import http.server
import json
import os
import pathlib
import queue
import subprocess
import threading
import time


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A bootstrap that is stopped breaks its connection off."""


class Bootstrap:
    """A function's bootstrap, started between `with` and its end. `exec_to_next_ms` is what its start took."""

    def __init__(self, bootstrap, environment, runner=()):
        """`runner` is what the bootstrap is started with where it is not for this processor."""
        self.bootstrap, self.environment, self.runner = bootstrap, environment, list(runner)
        self.waiting, self.answers = queue.Queue(), queue.Queue()
        # What it logs
        self.lines = []
        self.is_ready = threading.Event()
        self.first_next = None

    def __enter__(self):
        self.server = Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        # Nothing of this process's own environment, as on AWS.
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": pathlib.Path(self.bootstrap).parent.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "local",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "000000000000",
            "AWS_SECRET_ACCESS_KEY": "test",
        } | self.environment
        begun = time.perf_counter()
        self.process = subprocess.Popen([*self.runner, self.bootstrap], env=environment, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read_log, daemon=True).start()
        if not self.is_ready.wait(30):
            self.__exit__()
            raise SystemExit(f"{self.bootstrap} did not ask for its first event")
        self.exec_to_next_ms = (self.first_next - begun) * 1000
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()

    def _read_log(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def memory_kib(self):
        """What it has in memory now."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def invoke(self, event):
        """The function's answer to an event."""
        self.waiting.put(event)
        kind, answer = self.answers.get(timeout=60)
        if kind == "error":
            raise SystemExit(f"{self.bootstrap} failed: {answer}")
        return answer

    def _handler(of):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                if of.first_next is None:
                    of.first_next = time.perf_counter()
                    of.is_ready.set()
                event = json.dumps(of.waiting.get()).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                is_answer = self.path.endswith("/response")
                of.answers.put(("answer" if is_answer else "error", json.loads(body) if body else None))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler
