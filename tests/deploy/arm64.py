"""The functions as `sam build` makes them for arm64, each started under a Lambda Runtime API: run by tests/deploy/arm64."""

import json
import pathlib
import platform
import shutil
import sys

import sample_events
from emulator import Emulator
from runtime_api import Bootstrap
from stack import Stack, zipped
from walk import Api, check, check_equal, organisation

# The zip of preflight may have this many bytes
MOST_ZIP_BYTES = 4_000_000


def runner():
    """What an arm64 program is started with here."""
    if platform.machine() in ("aarch64", "arm64"):
        return []
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not qemu:
        raise SystemExit("arm64: there is no qemu-aarch64; install qemu-user-static and libc6-arm64-cross")
    return [qemu, "-L", "/usr/aarch64-linux-gnu"]


class Direct(Api):
    """The API, answered by the bootstraps themselves, without what is in front of them where they are deployed."""

    def __init__(self, stack, key, running):
        super().__init__(stack, key)
        self.running = running

    def call(self, method, path, body=None, headers=None):
        event = sample_events.read("api", self.key)
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["requestContext"]["http"]["method"] = method
        event["headers"] |= {"authorization": f"Bearer {self.key}"} | (headers or {})
        event["body"] = json.dumps(body) if body is not None else ""
        function = {"/v1/preflight": "preflight", "/v1/events": "ingest"}.get(path, "api")
        answer = self.running[function].invoke(event)
        return answer["statusCode"], json.loads(answer["body"]) if answer.get("body") else None

    def as_(self, key):
        return Direct(self.stack, key, self.running)


def main(built):
    built = pathlib.Path(built)
    for function, name in sample_events.FUNCTIONS.items():
        link = built / function
        if not link.exists():
            link.symlink_to(name)
    with Emulator() as emulator:
        stack = Stack(emulator, built, {})
        check(True, "template.yaml is deployed with the packages of sam build")
        secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["OperatorKeyArn"])
        running = {}
        try:
            for function, name in sample_events.FUNCTIONS.items():
                environment = stack.environment(name) | {"AWS_ENDPOINT_URL": emulator.url}
                started = Bootstrap(f"{built}/{function}/bootstrap", environment, runner())
                running[function] = started.__enter__()
                size = len(zipped(f"{built}/{function}/bootstrap"))
                check(True, f"{function} for arm64 asks for its first event; its zip has {size / 1e6:.2f} MB")
                if function == "preflight":
                    check(size <= MOST_ZIP_BYTES, "that of preflight has at most 4 MB")
            operator = Direct(stack, secret["SecretString"], running)
            admin = organisation(operator, "demo")
            admin.post("/v1/departments", {"id": "lab", "name": "Lab"})
            user = {"id": "yuki", "email": "yuki@example.com", "name": "Yuki", "department_id": "lab", "role": "member"}
            admin.post("/v1/users", user)
            cap = {"name": "Lab", "department_id": "lab", "unit": "tokens", "amount": 10_000, "hard_cap": True}
            admin.post("/v1/budgets", cap)
            agent = admin.with_key(role="agent")
            for function in sample_events.FUNCTIONS:
                for _ in range(50):
                    answer = running[function].invoke(sample_events.read(function, agent.key))
                    if '"degraded":true' not in str(answer.get("body", "") if answer else ""):
                        break
                sample_events.check(function, answer, check)
            # The sample preflight holds 1,500, and the sample event used 1,500 without it: 7,000 are left
            check_equal(agent.preflight("r-1", "yuki", 7_001)["decision"], "block", "one token more than is left is refused")
            check_equal(agent.preflight("r-2", "yuki", 7_000)["decision"], "allow", "what is left passes")
        finally:
            for started in running.values():
                started.__exit__()


if __name__ == "__main__":
    main(sys.argv[1])
