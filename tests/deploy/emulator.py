"""An AWS on this machine: the emulator ministack, on loopback, stopped by its own process id."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
from botocore.config import Config

REGION = "us-east-1"
ACCOUNT = "000000000000"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Emulator:
    """ministack, running between `with` and its end. What it says is in `log`."""

    def __enter__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="toktra-deploy-"))
        self.log = self.folder / "ministack.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {
            # Gap: it listens on every interface unless told otherwise.
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "LAMBDA_EXECUTOR": "local",
            "TMPDIR": str(self.folder),
            # Functions inherit these: their clients have to find this machine instead of AWS.
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            # Functions may do what their roles in the template say, and nothing else.
            "AUTH": "true",
        }
        program = pathlib.Path(sys.executable).with_name("ministack")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([program], env=environment, stdout=log, stderr=log, cwd=self.folder)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.__exit__()
        raise SystemExit(f"the emulator did not start, see {self.log}")

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not error or error[0] is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 2}, read_timeout=60),
        )

    def lines(self):
        """What the functions logged. Gap: those that a queue invokes log nowhere."""
        client = self.client("logs")
        said = []
        for group in client.describe_log_groups()["logGroups"]:
            for page in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                said += [event["message"].strip() for event in page["events"]]
        return said
