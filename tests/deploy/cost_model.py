"""What a month costs by what was counted: prices, assumptions and arithmetic of docs/costs.md."""

import bisect
import csv
import datetime
import math
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRACE = ROOT / "infra/cli/data/azure-llm-inference-2023-code.csv"

# Dollars at list price in us-east-1, without free tiers, as published in 2025
WRITE_UNITS = 0.625  # DynamoDB on demand, a million
READ_UNITS = 0.125  # a million
STORED = 0.25  # a GB and month
RECOVERY = 0.20  # point-in-time recovery, a GB and month
GB_SECOND = 0.0000133334  # Lambda on arm64
INVOCATIONS = 0.20  # a million
HTTP_API = 1.00  # a million requests
SQS = 0.40  # a million requests
LOGS = 0.50  # a GB taken in
LOGS_STORED = 0.03  # a GB and month
ALARM, METRIC, DASHBOARD, SECRET = 0.10, 0.30, 3.00, 0.40  # each, a month

# Assumed, since AWS decides it: seconds and GB
PREFLIGHT = (0.010, 0.5)
INGEST = (0.020, 0.25)
EVALUATE = (0.100, 0.5)
# `reset` each hour; a pass of a second
RESET = (1.0, 0.5)
# The lines START, END and REPORT that Lambda writes for each invocation, and one of the access log, in bytes
PLATFORM_LINES = 420
ACCESS_LINE = 200

# Lambda's pollers of a queue ask for messages also while there are none: five, each waits for up to 20 seconds
POLLERS, POLL_SECONDS, QUEUES = 5, 20, 2
MONTH_SECONDS = 30 * 24 * 3600

# People: requests of each on a working day, working days of a month, hours in which they come, and the part of a day's requests
# that comes in its busiest hour
REQUESTS_A_DAY, DAYS, HOURS, BUSIEST = 40, 22, 8, 0.2
# From preflight to the record of its usage
ALIVE_SECONDS = 20
# For how long a function trusts a key that it has read
TRUST_SECONDS = 5
# Records are kept for 13 months
MONTHS_KEPT = 13
# What DynamoDB takes of one item in a second, and how many live holds an organisation may have
ITEM_UNITS, MAX_HOLDS = 1_000, 2_000
# How many people one organisation has at most in the table: its cell has to take their busiest hour, bursts and all. More are
# several organisations
PEOPLE_OF_ONE = 5_000


def item_bytes(value):
    """The size of an attribute's value as DynamoDB documents it."""
    (kind, of), = value.items()
    if kind == "S":
        return len(of.encode())
    if kind == "N":
        return len(of.strip("-").replace(".", "").lstrip("0")) // 2 + 2
    if kind == "B":
        return len(of)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + item_bytes(inner) for name, inner in of.items())
    if kind == "L":
        return 3 + sum(1 + item_bytes(inner) for inner in of)
    return 1


def size_of(item):
    return sum(len(name.encode()) + item_bytes(value) for name, value in item.items())


def kb(size):
    """Write units of an item: one for each KB that was begun."""
    return max(1, math.ceil(size / 1024))


def live_holds_of_trace(seconds):
    """How many holds each request of the trace meets, if each lives so long: the mean, and what Little's law says."""
    with TRACE.open() as file:
        moments = [datetime.datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in csv.DictReader(file)]
    moments.sort()
    met = [at - bisect.bisect_left(moments, moment - seconds) for at, moment in enumerate(moments)]
    rate = len(moments) / (moments[-1] - moments[0])
    return sum(met) / len(met), rate * seconds, met


class Model:
    """`counted` has what the functions used: see costs.py."""

    def __init__(self, counted):
        self.of = counted
        met, little, self.met = live_holds_of_trace(ALIVE_SECONDS)
        # Real requests come in bursts, so a request meets more holds than the mean.
        self.bursts = met / little

    def cell_bytes(self, holds):
        return self.of["cell_bytes"] + self.of["hold_bytes"] * holds

    def hold_units(self, holds):
        return kb(self.cell_bytes(holds))

    def settle_units(self, holds, batch):
        """Write units of the cell for one settlement, in a batch of 1 or of 10 events."""
        few = self.of[batch]["cell"] / self.of[batch]["events"] / kb(self.cell_bytes(self.of["few"]))
        return few * self.hold_units(holds)

    def most_requests(self, seconds, batch, bursts=1):
        """How many requests a second one organisation's cell takes, each alive for so long; and the live holds then."""
        rate = 0.0
        while True:
            more = rate + 0.1
            holds = more * seconds * bursts
            units = more * (self.hold_units(holds) + self.settle_units(holds, batch))
            if units > ITEM_UNITS or holds > MAX_HOLDS:
                return rate, rate * seconds * bursts
            rate = more

    def month(self, people):
        """The bill of a month, line by line: what, arithmetic, dollars."""
        organisations = max(1, math.ceil(people / PEOPLE_OF_ONE))
        requests = people * REQUESTS_A_DAY * DAYS
        millions = requests / 1e6
        rate = people / organisations * REQUESTS_A_DAY / (HOURS * 3600)
        # As many messages as come within the second that evaluate's mapping collects them
        batch = "ten" if rate >= 5 else "one"
        events = self.of[batch]["events"]
        holds = rate * ALIVE_SECONDS * self.bursts
        hold, settle = self.hold_units(holds), self.settle_units(holds, batch)
        evaluated = self.of[batch]
        cell = millions * (hold + settle) * WRITE_UNITS
        written = (evaluated["write"] - evaluated["cell"]) / events + self.of["ingest"]["write"]
        read = evaluated["read"] / events
        key_reads = self.of["key_reads"] + self.of["ingest_key_reads"]
        gigabytes = requests * self.of["record_bytes"] * MONTHS_KEPT / 1e9
        lines = (
            self.of["preflight_log"] + self.of["ingest_log"] + evaluated["log"] / events
            + (2 + 1 / events) * PLATFORM_LINES + 2 * ACCESS_LINE
        )
        logged = requests * lines / 1e9
        seconds = PREFLIGHT[0] * PREFLIGHT[1] + INGEST[0] * INGEST[1] + EVALUATE[0] * EVALUATE[1] / events
        polls = POLLERS * QUEUES * MONTH_SECONDS / POLL_SECONDS / 1e6
        return [
            ("HTTP API", f"2 requests x {millions:.2f} M", 2 * millions * HTTP_API),
            ("Lambda's invocations", f"2 and one for {events}", (2 + 1 / events) * millions * INVOCATIONS),
            ("their duration, assumed", f"{seconds * 1000:.1f} GB-ms", requests * seconds * GB_SECOND),
            ("the cell", f"{holds:.0f} live holds, {self.cell_bytes(holds) / 1024:.1f} KB: {hold} + {settle:g} write units", cell),
            ("records, resolutions, totals, claims", f"{written:g} write units", millions * written * WRITE_UNITS),
            ("what is read before", f"{read:g} read units", millions * read * READ_UNITS),
            ("keys, read again for each request", f"{key_reads:g} read units", millions * key_reads * READ_UNITS),
            ("SQS", f"1 sent, {2 / events:g} received and deleted", millions * (1 + 2 / events) * SQS),
            ("idle polling of two queues", f"{polls:.2f} M requests", polls * SQS),
            ("logs", f"{lines:.0f} bytes: {logged:.2f} GB", logged * (LOGS + LOGS_STORED)),
            ("storage, 13 months", f"{self.of['record_bytes']:.0f} bytes each: {gigabytes:.1f} GB", gigabytes * STORED),
            ("point-in-time recovery", f"{gigabytes:.1f} GB", gigabytes * RECOVERY),
            ("what is there anyway", "see below", sum(dollars for *_, dollars in fixed())),
        ]


def count(path, kind):
    """How many resources of a kind a template makes."""
    return (ROOT / path).read_text().count(f"Type: {kind}\n")


def fixed():
    """What a month costs without any request."""
    invocations = 30 * 24
    alarms = count("infra/monitoring.yaml", "AWS::CloudWatch::Alarm")
    secrets = count("template.yaml", "AWS::SecretsManager::Secret")
    return [
        (f"{alarms} alarms", "", alarms * ALARM),
        ("15 metrics of our own", "", 15 * METRIC),
        ("the dashboard", "three are free", DASHBOARD),
        (f"{secrets} secrets", "", secrets * SECRET),
        ("the schedule", f"{invocations} passes of {RESET[0]:g} s, assumed", invocations * RESET[0] * RESET[1] * GB_SECOND),
    ]


def duration(of, invocations=1_000_000):
    seconds, gb = of
    return invocations * seconds * gb * GB_SECOND
