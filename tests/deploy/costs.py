"""What a million preflights and events cost: run by tests/deploy/costs."""

import json
import sys

import sample_events
from counter import Counter
from emulator import Emulator
from runtime_api import Bootstrap
from stack import Stack
from walk import Api, iso, now, organisation, usage

# Dollars at list price in us-east-1, without free tiers, as published in 2025
WRITE_UNITS = 0.625  # DynamoDB on demand, a million
READ_UNITS = 0.125  # a million
GB_SECOND = 0.0000133334  # Lambda on arm64
INVOCATIONS = 0.20  # a million
HTTP_API = 1.00  # a million requests
SQS = 0.40  # a million requests
LOGS = 0.50  # a GB taken in
# Assumed, since AWS decides it: seconds and GB
PREFLIGHT = (0.010, 0.5)
INGEST = (0.020, 0.25)
EVALUATE = (0.100, 0.5)
# The lines START, END and REPORT that Lambda writes for each invocation, in bytes
PLATFORM_LINES = 420
TEN = 10


def duration(of, invocations=1_000_000):
    seconds, gb = of
    return invocations * seconds * gb * GB_SECOND


def table(title, rows):
    print(f"\n## {title}\n\n| | counted | $ |\n| --- | --- | --- |")
    for what, arithmetic, dollars in rows:
        print(f"| {what} | {arithmetic} | {dollars + 1e-9:.2f} |")
    total = sum(dollars for *_, dollars in rows)
    print(f"| **sum** | | **{total:.2f}** |")
    return total


class Counted:
    """A function whose calls are counted."""

    def __init__(self, stack, emulator, bootstraps, function):
        self.counter = Counter(emulator)
        environment = stack.environment(sample_events.FUNCTIONS[function]) | {"AWS_ENDPOINT_URL": self.counter.url}
        self.bootstrap = Bootstrap(f"{bootstraps}/{function}/bootstrap", environment).__enter__()

    def invoke(self, event):
        """Its answer, the names of its calls, their units, and the bytes that it logged."""
        self.counter.taken()
        logged = len(self.bootstrap.lines)
        answer = self.bootstrap.invoke(event)
        calls, _, units = self.counter.taken()
        size = sum(len(line) + 1 for line in self.bootstrap.lines[logged:])
        return answer, [call.split()[0] for call in calls], units, size

    def stop(self):
        self.bootstrap.__exit__()
        self.counter.stop()


def queued(events):
    """The batch of the queue that these events come in."""
    event = sample_events.read("evaluate", "")
    record = event["Records"][0]
    body = json.loads(record["body"])
    event["Records"] = [
        record | {"messageId": f"m-{of['event_id']}", "body": json.dumps(body | {"event": body["event"] | of})} for of in events
    ]
    return event


def main(bootstraps):
    with Emulator() as emulator:
        stack = Stack(emulator, bootstraps, {})
        secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["OperatorKeyArn"])
        admin = organisation(Api(stack, secret["SecretString"]), "demo")
        parent = None
        for depth in range(4):
            admin.post("/v1/departments", {"id": f"d{depth}", "name": f"D{depth}"} | ({"parent_id": parent} if parent else {}))
            parent = f"d{depth}"
            budget = {"name": parent, "department_id": parent, "unit": "tokens", "amount": 10_000_000, "hard_cap": True}
            admin.post("/v1/budgets", budget)
        user = {"id": "yuki", "email": "yuki@example.com", "name": "Yuki", "department_id": parent, "role": "member"}
        admin.post("/v1/users", user)
        key = admin.with_key(role="agent").key
        functions = {name: Counted(stack, emulator, bootstraps, name) for name in ("preflight", "ingest", "evaluate")}

        def preflight(request_id):
            event = sample_events.read("preflight", key)
            event["body"] = event["body"].replace("sample-1", request_id)
            for _ in range(50):
                answer, calls, units, logged = functions["preflight"].invoke(event)
                body = json.loads(answer["body"])
                if not body["degraded"]:
                    return body["hold"]["id"], calls, units, logged
            raise SystemExit("costs: preflight decides without the database")

        def evaluate(events):
            answer, calls, units, logged = functions["evaluate"].invoke(queued(events))
            if answer["batchItemFailures"]:
                raise SystemExit(f"costs: evaluate fails: {answer}")
            return units, logged

        preflight("first")
        holds = []
        for number in range(2 * TEN + 1):
            hold, calls, held, log_of_hold = preflight(f"r-{number}")
            holds.append(hold)
        reported = [usage(f"e-{n}", "yuki", 1_000, hold) for n, hold in enumerate(holds)]
        # Warm: what it keeps of the user and the organisation is there
        evaluate([usage("warm", "yuki", 1)])
        ten, log_of_ten = evaluate(reported[:TEN])
        one, _ = evaluate([reported[TEN]])
        without, _ = evaluate([usage("without", "yuki", 1_000)])
        event = sample_events.read("ingest", key)
        event["body"] = json.dumps({"events": [usage(f"i-{n}", "yuki", 1) for n in range(TEN)]})
        functions["ingest"].invoke(event)
        event["body"] = event["body"].replace("i-", "j-")
        _, sent, claimed, log_of_ingest = functions["ingest"].invoke(event)
        for function in functions.values():
            function.stop()

    print(f"Counted at {iso(now())[:10]}, with four hard caps above the user; prices of us-east-1 as published in 2025.")
    gb = (log_of_hold + PLATFORM_LINES) / 1_000
    first = table(
        f"A million preflights: {len(calls)} call each ({', '.join(calls)})",
        [
            ("HTTP API", "1 request", HTTP_API),
            ("invocations", "1", INVOCATIONS),
            ("duration, assumed", f"{PREFLIGHT[0] * 1000:.0f} ms of {PREFLIGHT[1]} GB", duration(PREFLIGHT)),
            ("the hold", f"{held['write']:g} write units and {held['read']:g} read units", held["write"] * WRITE_UNITS + held["read"] * READ_UNITS),
            ("logs", f"{log_of_hold} bytes of its own and {PLATFORM_LINES} of Lambda", gb * LOGS),
        ],
    )
    sends = sum(name.startswith("SendMessage") for name in sent)
    logged = (log_of_ten + log_of_ingest + 2 * PLATFORM_LINES) / TEN
    second = table(
        "A million events with holds, in batches of ten",
        [
            ("HTTP API and invocation of ingest", "1 for ten", (HTTP_API + INVOCATIONS) / TEN),
            ("ingest claims and reads", f"{claimed['write']:g} write units and {claimed['read']:g} read units for ten",
             (claimed["write"] * WRITE_UNITS + claimed["read"] * READ_UNITS) / TEN),
            ("SQS", f"{sends} sent, 1 received, 1 deleted for ten", (sends + 2) / TEN * SQS),
            ("invocation of evaluate", "1 for ten", INVOCATIONS / TEN),
            ("duration, assumed", "for ten", duration(INGEST, 100_000) + duration(EVALUATE, 100_000)),
            ("what is written", f"{ten['write']:g} write units for ten", ten["write"] / TEN * WRITE_UNITS),
            ("what is read", f"{ten['read']:g} read units for ten", ten["read"] / TEN * READ_UNITS),
            ("logs", f"{logged:.0f} bytes each", logged / 1_000 * LOGS),
        ],
    )
    print("\n| an event by itself | write units | read units | $ a million |\n| --- | --- | --- | --- |")
    for what, units in [("with a hold", one), ("without a hold", without)]:
        dollars = units["write"] * WRITE_UNITS + units["read"] * READ_UNITS
        print(f"| {what} | {units['write']:g} | {units['read']:g} | {dollars:.2f} |")
    print(f"\nA thousand requests, each held and settled: ${(first + second) / 1000:.4f}")


if __name__ == "__main__":
    main(sys.argv[1])
