"""What preflights, events and months cost: run by tests/deploy/costs."""

import json
import math
import sys
import time

import sample_events
from cost_model import (
    ACCESS_LINE, ALIVE_SECONDS, BUSIEST, DAYS, EVALUATE, HOURS, HTTP_API, INGEST, INVOCATIONS, LOGS, PEOPLE_OF_ONE, PLATFORM_LINES,
    PREFLIGHT, READ_UNITS, REQUESTS_A_DAY, SQS, TRUST_SECONDS, WRITE_UNITS, Model, duration, fixed, live_holds_of_trace, size_of,
)
from counter import Counter
from emulator import Emulator
from runtime_api import Bootstrap
from stack import Stack
from walk import Api, iso, now, organisation, usage

TEN = 10
USERS = 12
# Live holds at which the size of the cell is measured
FEW, MANY = 15, 120


def table(title, rows, head="counted"):
    print(f"\n## {title}\n\n| | {head} | $ |\n| --- | --- | --- |")
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
        """Its answer, the names of its calls, and their units with the bytes that it logged."""
        self.counter.taken()
        logged = len(self.bootstrap.lines)
        answer = self.bootstrap.invoke(event)
        calls, _, units = self.counter.taken()
        size = sum(len(line) + 1 for line in self.bootstrap.lines[logged:])
        return answer, [call.split()[0] for call in calls], units | {"log": size}

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


class Company:
    """Users at depth 4, with a hard cap at each level, and the functions that they use."""

    def __init__(self, stack, emulator, bootstraps):
        self.stack, self.emulator = stack, emulator
        secret = emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["OperatorKeyArn"])
        admin = organisation(Api(stack, secret["SecretString"]), "demo")
        parent = None
        for depth in range(4):
            admin.post("/v1/departments", {"id": f"d{depth}", "name": f"D{depth}"} | ({"parent_id": parent} if parent else {}))
            parent = f"d{depth}"
            budget = {"name": parent, "department_id": parent, "unit": "tokens", "amount": 10_000_000, "hard_cap": True}
            admin.post("/v1/budgets", budget)
        for number in range(USERS):
            user = {"id": f"u{number}", "email": f"u{number}@example.com", "name": "U", "department_id": parent, "role": "member"}
            admin.post("/v1/users", user)
        self.key = admin.with_key(role="agent").key
        self.functions = {name: Counted(stack, emulator, bootstraps, name) for name in ("preflight", "ingest", "evaluate")}
        self.numbers = iter(range(1_000_000))

    def preflight(self, user):
        """A hold, and what it took."""
        event = sample_events.read("preflight", self.key)
        number = next(self.numbers)
        body = json.loads(event["body"]) | {"request_id": f"r-{number}", "user_id": user, "input_tokens": 1_000, "max_output_tokens": 500}
        event["body"] = json.dumps(body)
        for _ in range(50):
            answer, calls, units = self.functions["preflight"].invoke(event)
            body = json.loads(answer["body"])
            if not body["degraded"]:
                return body["hold"]["id"], calls, units
        raise SystemExit(f"costs: preflight decides without the database: {body}")

    def used(self, users, has_hold=True):
        """Usage of a hold of each of these users, and what preflight made of it before."""
        return [usage(f"e-{next(self.numbers)}", user, 1_000, self.preflight(user)[0] if has_hold else None) for user in users]

    def evaluate(self, events):
        answer, _, units = self.functions["evaluate"].invoke(queued(events))
        if answer["batchItemFailures"]:
            raise SystemExit(f"costs: evaluate fails: {answer}")
        return units | {"events": len(events)}

    def ingest(self, events):
        event = sample_events.read("ingest", self.key)
        event["body"] = json.dumps({"events": events})
        answer, calls, units = self.functions["ingest"].invoke(event)
        if answer["statusCode"] != 202:
            raise SystemExit(f"costs: ingest answers {answer}")
        return calls, units

    def items(self, table):
        pages = self.emulator.client("dynamodb").get_paginator("scan").paginate(TableName=self.stack.physical[table])
        return [item for page in pages for item in page["Items"]]

    def cell(self):
        """The size of the cell, and how many holds are in it."""
        cell = max(self.items("Counters"), key=size_of)
        return size_of(cell), len(cell["p"]["M"])

    def stop(self):
        for function in self.functions.values():
            function.stop()


def count(company):
    """What each function uses, warm."""
    every = [f"u{number}" for number in range(TEN)]
    company.preflight("u0")
    # What evaluate keeps of users and the organisation is there
    company.evaluate(company.used([f"u{number}" for number in range(USERS)], has_hold=False))
    of = {}
    for number in range(FEW - 1):
        _, of["calls"], of["hold"] = company.preflight(f"u{number % USERS}")
    few_bytes, of["few"] = company.cell()
    of["one"] = company.evaluate(company.used(["u0"]))
    of["without"] = company.evaluate(company.used(["u1"], has_hold=False))
    of["same"] = company.evaluate(company.used(["u0"] * TEN))
    of["ten"] = company.evaluate(company.used(every))
    of["record_bytes"] = stored(company)
    # A key that nobody used for as long as it is trusted
    warm = company.preflight("u0")[2]["read"]
    time.sleep(TRUST_SECONDS + 1)
    of["key_reads"] = company.preflight("u0")[2]["read"] - warm
    company.ingest(company.used(["u0"]))
    of["sends"], ingested = company.ingest(company.used(["u0"]))
    of["ingest"], of["ingest_log"] = ingested, ingested["log"]
    of["sends_of_ten"], of["ingest_ten"] = company.ingest(company.used(every))
    time.sleep(TRUST_SECONDS + 1)
    of["ingest_key_reads"] = company.ingest(company.used(["u1"]))[1]["read"] - ingested["read"]
    of["preflight_log"] = of["hold"]["log"]
    # Many live holds: the size of the cell, and that its units are those of its size
    held = company.cell()[1]
    for number in range(MANY - held):
        _, _, of["hold_of_many"] = company.preflight(f"u{number % USERS}")
    many_bytes, many = company.cell()
    of["hold_bytes"] = (many_bytes - few_bytes) / (many - of["few"])
    of["cell_bytes"] = few_bytes - of["hold_bytes"] * of["few"]
    of["many"] = many
    of["one_of_many"] = company.evaluate(company.used(["u0"]))
    return of


def stored(company):
    """The bytes that a settled event leaves for 13 months: its record, which is its hold's resolution, twice with the index, and the claim
    of its identity. DynamoDB adds 100 to each item."""
    items = company.items("Ledger")
    records = [size_of(item) + 100 for item in items if "#resolution#" in item["pk"]["S"] and "type" in item]
    claims = [size_of(item) + 100 for item in items if "#record#" in item["pk"]["S"] and "type" not in item]
    # Events that did not go through ingest are claimed by evaluate
    return 2 * sum(records) / len(records) + sum(claims) / len(claims)


def a_million(of):
    hold, events = of["hold"], of["ten"]["events"]
    gb = (hold["log"] + PLATFORM_LINES + ACCESS_LINE) / 1_000
    first = table(
        f"A million preflights: {len(of['calls'])} call each ({', '.join(of['calls'])})",
        [
            ("HTTP API", "1 request", HTTP_API),
            ("invocations", "1", INVOCATIONS),
            ("duration, assumed", f"{PREFLIGHT[0] * 1000:.0f} ms of {PREFLIGHT[1]} GB", duration(PREFLIGHT)),
            ("the hold", f"{hold['write']:g} write units and {hold['read']:g} read units", dollars(hold)),
            ("logs", f"{hold['log']} bytes of its own, {PLATFORM_LINES} of Lambda, {ACCESS_LINE} of the gateway", gb * LOGS),
        ],
    )
    ways = []
    for title, evaluated, ingested, sends in [
        ("an event by itself", "one", "ingest", "sends"),
        ("in batches of ten, of ten users", "ten", "ingest_ten", "sends_of_ten"),
        ("in batches of ten, of one user", "same", "ingest_ten", "sends_of_ten"),
    ]:
        evaluate, ingest, events = of[evaluated], of[ingested], of[evaluated]["events"]
        sent = sum(name.startswith("SendMessage") for name in of[sends])
        logged = (evaluate["log"] + ingest["log"] + 2 * PLATFORM_LINES + ACCESS_LINE) / events
        cell, others = evaluate["cell"], evaluate["write"] - evaluate["cell"]
        rows = [
            ("HTTP API and invocation of `ingest`", f"1 for {events}", (HTTP_API + INVOCATIONS) / events),
            ("`ingest` claims, keeps holds and reads", f"{ingest['write']:g} write units and {ingest['read']:g} read units for {events}",
             dollars(ingest) / events),
            ("SQS", f"{sent} sent, 1 received, 1 deleted for {events}", (sent + 2) / events * SQS),
            ("invocation of `evaluate`", f"1 for {events}", INVOCATIONS / events),
            ("duration, assumed", f"for {events}", (duration(INGEST) + duration(EVALUATE)) / events),
            ("the cell", f"{cell:g} write units for {events}", cell / events * WRITE_UNITS),
            ("records and sums", f"{others:g} write units for {events}", others / events * WRITE_UNITS),
            ("what is read before", f"{evaluate['read']:g} read units for {events}", evaluate["read"] / events * READ_UNITS),
            ("logs", f"{logged:.0f} bytes each", logged / 1_000 * LOGS),
        ]
        ways.append(table(f"A million events with holds, {title}", rows))
    without = of["without"]
    print(f"\nOne without a hold, by itself: {without['write']:g} write units and {without['read']:g} read units")
    for title, second in zip(("by itself", "in batches of ten users", "in batches of one user"), ways):
        print(f"A thousand requests, held and settled {title}: ${(first + second) / 1000:.4f}")


def dollars(units):
    return units["write"] * WRITE_UNITS + units["read"] * READ_UNITS


def live_holds(of, model):
    print(f"\n## Live holds\n\nThe cell: {of['cell_bytes']:.0f} bytes and {of['hold_bytes']:.1f} for each live hold.")
    for holds, counted in ((of["few"], of["hold"]["write"]), (of["many"], of["hold_of_many"]["write"])):
        print(f"Counted with {holds} live holds: {counted:g} write units; by its size {model.hold_units(holds)}")
    settled = model.settle_units(of["many"], "one")
    print(f"A settlement with {of['many']}: {of['one_of_many']['cell']:g} counted, {settled:g} by the size")
    met, little, seen = live_holds_of_trace(ALIVE_SECONDS)
    units = sum(model.hold_units(holds) for holds in seen) / len(seen)
    print(f"The trace of an hour, {len(seen)} requests that live {ALIVE_SECONDS} s: {little:.0f} live holds by Little's law; a request meets"
          f" {met:.0f}, since they come in bursts ({model.bursts:.1f} times as many), at most {max(seen)}. A hold costs {units:.1f} write units.")
    print("\n| a hold lives | requests a second | live holds | people, evenly | people, in bursts |\n| --- | --- | --- | --- | --- |")
    busiest = REQUESTS_A_DAY * BUSIEST / 3600
    for seconds in (2, 5, 20, 60):
        rate, holds = model.most_requests(seconds, "ten")
        bursts, _ = model.most_requests(seconds, "ten", model.bursts)
        print(f"| {seconds} s | {rate:.0f} | {holds:.0f} | {int(rate / busiest / 100) * 100:,} | {int(bursts / busiest / 100) * 100:,} |")


def months(model):
    print(f"\n## A month\n\n{REQUESTS_A_DAY} requests a person and day, {DAYS} days of {HOURS} hours, holds of {ALIVE_SECONDS} s, a key for"
          " each person; each event sent by itself.")
    sums = []
    for people in (1_000, 10_000, 100_000):
        total = table(f"{people:,} people", model.month(people), head="for each request")
        sums.append((people, total))
    table("What is there anyway", fixed())
    print("\n| people | organisations | requests a month | $ a month | $ a person | $ a million requests |\n| --- | --- | --- | --- | --- | --- |")
    for people, total in sums:
        requests = people * REQUESTS_A_DAY * DAYS
        organisations = max(1, math.ceil(people / PEOPLE_OF_ONE))
        print(f"| {people:,} | {organisations} | {requests:,} | {total:,.0f} | {total / people:.3f} | {total / requests * 1e6:.2f} |")


def main(bootstraps):
    with Emulator() as emulator:
        company = Company(Stack(emulator, bootstraps, {}), emulator, bootstraps)
        of = count(company)
        company.stop()
    print(f"Counted at {iso(now())[:10]}, with four hard caps above the users; prices of us-east-1 as published in 2025.")
    model = Model(of)
    a_million(of)
    print(f"\nA key that was not used for {TRUST_SECONDS} s is read again: {of['key_reads']:g} read units in preflight,"
          f" {of['ingest_key_reads']:g} in ingest")
    live_holds(of, model)
    months(model)


if __name__ == "__main__":
    main(sys.argv[1])
