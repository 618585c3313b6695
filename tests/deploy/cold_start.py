"""What a cold start costs: run by tests/deploy/cold_start."""

import json
import pathlib
import statistics
import sys

import sample_events
from counter import Counter
from emulator import Emulator
from runtime_api import Bootstrap
from stack import Stack, zipped
from walk import Api, organisation

# What the project wants of preflight
MOST_ZIP_BYTES = 4_000_000
MOST_EXEC_TO_NEXT_MS = 10
FUNCTIONS = sample_events.FUNCTIONS


def preflight_event(key, request_id):
    event = sample_events.read("preflight", key)
    event["body"] = event["body"].replace("sample-1", request_id)
    return event


def main(bootstraps, repetitions):
    goals = []
    with Emulator() as emulator:
        stack = Stack(emulator, bootstraps, {})
        secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["OperatorKeyArn"])
        admin = organisation(Api(stack, secret["SecretString"]), "demo")
        admin.post("/v1/departments", {"id": "lab", "name": "Lab"})
        user = {"id": "yuki", "email": "yuki@example.com", "name": "Yuki", "department_id": "lab", "role": "member"}
        admin.post("/v1/users", user)
        budget = {"name": "Lab", "department_id": "lab", "unit": "tokens", "amount": 1_000_000, "hard_cap": True}
        admin.post("/v1/budgets", budget)
        key = admin.with_key(role="agent").key

        silent = Counter()
        print("| function | binary | zip | exec to first next, median of", repetitions, "(least) | resident memory then |")
        print("| --- | --- | --- | --- | --- |")
        for function, name in FUNCTIONS.items():
            bootstrap = f"{bootstraps}/{function}/bootstrap"
            environment = stack.environment(name) | {"AWS_ENDPOINT_URL": silent.url}
            times, memory = [], 0
            for _ in range(repetitions):
                with Bootstrap(bootstrap, environment) as started:
                    times.append(started.exec_to_next_ms)
                    memory = max(memory, started.memory_kib())
            size, packed = pathlib.Path(bootstrap).stat().st_size, len(zipped(bootstrap))
            median = statistics.median(times)
            print(
                f"| {function} | {size / 1e6:.1f} MB | {packed / 1e6:.2f} MB "
                f"| {median:.1f} ms ({min(times):.1f}) | {memory / 1024:.1f} MiB |"
            )
            if function == "preflight":
                goals.append(("the zip has at most 4 MB", packed <= MOST_ZIP_BYTES))
                goals.append(("it asks for its first event within 10 ms", median <= MOST_EXEC_TO_NEXT_MS))
        silent.stop()

        counter = Counter(emulator)
        environment = stack.environment("PreflightFunction") | {"AWS_ENDPOINT_URL": counter.url}
        with Bootstrap(f"{bootstraps}/preflight/bootstrap", environment) as started:
            counted = [("the start", counter.taken())]
            for when in ("the first request", "the second request", "the third request"):
                answer = started.invoke(preflight_event(key, when.replace(" ", "-")))
                decision = json.loads(answer["body"])
                if decision["decision"] != "allow" or decision["degraded"]:
                    raise SystemExit(f"preflight answers {answer}")
                counted.append((when, counter.taken()))
        counter.stop()
    print()
    for when, (calls, connections, _) in counted:
        print(f"preflight, {when}: {len(calls)} calls, {connections} new connections")
        for call in calls:
            print(f"    {call}")
    start, first, second, warm = [of for _, of in counted]
    more = len(first[0]) - len(warm[0])
    goals.append(("connections are open before the first request", start[1] > 0 and first[1] == 0))
    goals.append(("a warm request is one call", len(warm[0]) == 1))
    goals.append(("the first request makes at most one call more", more <= 1))
    print()
    for goal, is_met in goals:
        print(f"{'met' if is_met else 'MISSED'}: preflight: {goal}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
