"""The main flow, over HTTP, on the functions as they are deployed: run by tests/deploy/run.

    walk.py BOOTSTRAPS LOCAL      a folder with <function>/bootstrap for each function, as cargo-lambda makes it, and the local program
"""

import collections
import concurrent.futures
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

import sample_events
from emulator import ACCOUNT, REGION, Emulator
from runtime_api import Bootstrap
from stack import Stack

ZONE = "Europe/Berlin"
SENDER = "toktra@example.com"
GITHUB_SECRET = "a-secret-both-sides-know"
PATIENCE_SECONDS = 150
passed = 0


def check(is_so, what, found=None):
    global passed
    if not is_so:
        raise SystemExit(f"deploy: {what}: FAILED {found if found is not None else ''}")
    passed += 1
    print(f"deploy: {what}: ok", flush=True)


def check_equal(found, expected, what):
    check(found == expected, what, f"found {found!r}, expected {expected!r}")


def wait_for(what, look):
    """What `look` finds, as soon as it finds something."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = look()
        if found:
            check(True, what)
            return found
        time.sleep(0.5)
    return check(False, what, f"not within {PATIENCE_SECONDS} s")


def iso(time_of):
    return time_of.strftime("%Y-%m-%dT%H:%M:%SZ")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Api:
    """The deployed API, with a key."""

    # Every key that was used, to be looked for where none may be
    keys = set()

    def __init__(self, stack, key):
        self.stack, self.key = stack, key
        self.keys.add(key or "tk_nobody")

    def call(self, method, path, body=None, headers=None):
        """The status and the body of an answer."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | (headers or {})
        if self.key:
            given["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.stack.url + path, method=method, data=data, headers=given)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def ok(self, method, path, body=None, headers=None):
        status, answer = self.call(method, path, body, headers)
        if status >= 300:
            raise SystemExit(f"deploy: {method} {path} answers {status}: {answer}")
        return answer

    def get(self, path):
        return self.ok("GET", path)

    def post(self, path, body=None):
        return self.ok("POST", path, body)

    def as_(self, key):
        """The same with another key."""
        return Api(self.stack, key)

    def with_key(self, **body):
        return self.as_(self.post("/v1/api-keys", body)["key"])

    def preflight(self, request_id, user_id, input_tokens, max_output_tokens=0):
        body = {"request_id": request_id, "user_id": user_id, "model": "gpt-4o", "input_tokens": input_tokens}
        # A busy machine may take longer for a call than the 150 ms after which preflight decides without the database. Asked again,
        # the same request gets the same hold.
        for _ in range(50):
            decision = self.post("/v1/preflight", body | {"max_output_tokens": max_output_tokens})
            if not decision["degraded"]:
                return decision
        raise SystemExit(f"deploy: preflight decides without the database: {decision}")


def usage(event_id, user_id, tokens, hold=None, at=None):
    event = {"event_id": event_id, "type": "llm_request", "occurred_at": iso(at or now()), "user_id": user_id}
    event |= {"provider": "openai", "model": "gpt-4o", "input_tokens": tokens, "output_tokens": 0}
    return event | ({"hold_id": hold} if hold else {})


def organisation(operator, organisation_id):
    body = {"id": organisation_id, "name": organisation_id.title(), "timezone": ZONE}
    made = operator.post("/v1/organisations", body)
    return operator.as_(made["admin_key"])


def spent(api, user_id):
    return api.get(f"/v1/budgets/effective?user_id={user_id}")["items"][0]["spent"]


def mails(stack):
    """Gap: mails do not leave the emulator; it lists what SES took."""
    with urllib.request.urlopen(f"{stack.emulator.url}/_ministack/ses/messages") as answer:
        found = json.load(answer)["messages"]
    return [mail for of_account in found.values() for mail in of_account]


def bus_events(stack, queue):
    sqs = stack.emulator.client("sqs")
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def listen_to_bus(stack):
    """A queue of the test's own behind the deployed bus."""
    sqs, events = stack.emulator.client("sqs"), stack.emulator.client("events")
    url = sqs.create_queue(QueueName="test-bus-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = stack.outputs["BusName"]
    events.put_rule(Name="test", EventBusName=bus, EventPattern=json.dumps({"source": ["toktra"]}))
    events.put_targets(Rule="test", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def walk(stack, local):
    secret = stack.emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["OperatorKeyArn"])
    operator = Api(stack, secret["SecretString"])
    # SES takes mails only from an identity that somebody has verified by hand; on AWS that is a step of the deployment.
    stack.emulator.client("ses").verify_email_identity(EmailAddress=SENDER)
    bus_queue = listen_to_bus(stack)

    check_equal(Api(stack, None).get("/v1/health"), {"status": "ok"}, "the API answers")
    check_equal(Api(stack, "tk_nobody").call("GET", "/v1/users")[0], 401, "an unknown key is refused")
    status, _ = Api(stack, None).call("GET", "/v1/nowhere")
    check_equal(status, 404, "a path that no function has is not found")
    status, _ = Api(stack, None).call("GET", "/v1/preflight")
    check_equal(status, 405, "another method of a function's path is not allowed")

    # The organisation whose month is closed by the schedule, prepared first so that the schedule has time
    past = last_month(stack, operator)

    admin = organisation(operator, "demo")
    admin.post("/v1/departments", {"id": "engineering", "name": "Engineering"})
    people = [("mara", "manager"), ("ann", "admin"), ("grace", "member"), ("octavia", "member"), ("yuki", "member")]
    for user_id, role in people:
        manager = {"manager_id": "mara"} if role == "member" else {}
        body = {"id": user_id, "email": f"{user_id}@example.com", "name": user_id.title(), "role": role}
        admin.post("/v1/users", body | {"department_id": "engineering"} | manager)
    admin.post("/v1/departments", {"id": "lab", "name": "Lab", "parent_id": "engineering", "manager_id": "mara"})
    admin.ok("PATCH", "/v1/users/grace", {"department_id": "lab"})
    cap = {"name": "Lab tokens", "department_id": "lab", "unit": "tokens", "amount": 10_000, "hard_cap": True}
    budget = admin.post("/v1/budgets", cap)
    agent = admin.with_key(role="agent")
    check(budget["id"].startswith("bud_"), "departments, users, a budget and keys are made")

    # A hold, and its usage
    first = agent.preflight("r-1", "grace", 1_000, 3_000)
    check_equal(first["decision"], "allow", "a preflight is allowed")
    again = agent.preflight("r-1", "grace", 1_000, 3_000)
    check_equal(again["hold"]["id"], first["hold"]["id"], "the same request gets the same hold")
    status, _ = agent.call("POST", "/v1/events", {"events": [usage("e-1", "grace", 1_500, first["hold"]["id"])]})
    check_equal(status, 202, "its usage is queued")
    wait_for("evaluate settles it: 1,500 spent of 4,000 held", lambda: spent(admin, "grace") == 1_500)

    # To the cap: 8,500 are left, which is 42 requests of 200
    def ask(i):
        return agent.preflight(f"race-{i}", "grace", 200)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(100)))
    counts = collections.Counter(answer["decision"] for answer in answers)
    check_equal(counts, {"allow": 42, "block": 58}, "100 requests, 8 at a time: exactly 42 fit under the cap")
    refused = next(answer for answer in answers if answer["decision"] == "block")
    check(refused["reasons"], "a refusal has its reasons")
    given_back = next(answer["hold"]["id"] for answer in answers if answer["decision"] == "allow")
    status, _ = agent.call("DELETE", f"/v1/holds/{given_back}")
    check_equal(status, 204, "a hold is given back")
    more = agent.preflight("race-more", "grace", 200)
    check_equal(more["decision"], "allow", "and another request has its place")

    # Their usage, each event twice, in two batches; a message that is none of ours among them
    holds = [a["hold"]["id"] for a in answers if a["decision"] == "allow" and a["hold"]["id"] != given_back]
    events = [usage(f"race-{i}", "grace", 200, hold) for i, hold in enumerate(holds + [more["hold"]["id"]])]
    sqs = stack.emulator.client("sqs")
    sqs.send_message(QueueUrl=stack.outputs["EventsQueueUrl"], MessageBody="not an event")
    agent.post("/v1/events", {"events": events})
    agent.post("/v1/events", {"events": events})
    wait_for("84 messages of 42 events count once each: 9,900 spent", lambda: spent(admin, "grace") == 9_900)

    def in_flight():
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = sqs.get_queue_attributes(QueueUrl=stack.outputs["EventsQueueUrl"], AttributeNames=names)["Attributes"]
        return [int(got[name]) for name in names] == [0, 1]

    wait_for("of their batches only the message that cannot be read comes again", in_flight)
    check_equal(spent(admin, "grace"), 9_900, "and nothing is counted twice")

    # The alert, to the manager of the department
    def thresholds():
        alerts = [alert for alert in admin.get("/v1/alerts")["items"] if alert["budget_id"] == budget["id"]]
        return sorted(alert["metadata"]["threshold"] for alert in alerts) == [50, 80]

    wait_for("the budget has told of 50 and of 80 %, once each", thresholds)

    policy(stack, admin)
    exemption(admin)
    month_is_closed(stack, past)
    dead_letters(stack, local, past)

    # What was told, in the end: letters for one address wait for a minute
    def mail_to_manager():
        return [m for m in mails(stack) if "mara@example.com" in m["To"] and "Lab tokens" in m["BodyText"]]

    mail = wait_for("the manager has a mail of the threshold", mail_to_manager)[0]
    check_equal(mail["Source"], SENDER, "from the sender of the parameters")
    check("https://console.example.com/alerts/" in mail["BodyText"], "with a link into the console")
    policy_mails = lambda: [m for m in mails(stack) if "mara@example.com" in m["To"] and "Leaks" in m["BodyText"]]
    wait_for("and one of the policy", policy_mails)
    kinds = set()

    def bus_has_all():
        kinds.update(event["detail-type"] for event in bus_events(stack, bus_queue))
        return {"budget.threshold", "policy.fired"} <= kinds

    wait_for("both are events on the bus", bus_has_all)
    verified = admin.get("/v1/audit-log/verify")
    check(verified["ok"], "the audit log holds together", verified)
    asked = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "demo"}}, "Select": "COUNT"}
    logged = stack.emulator.client("dynamodb").query(TableName=stack.physical["Audit"], **asked)["Count"]
    check(logged >= verified["entries"] > 0, "its entries are in the table that has nothing else", logged)
    return agent


def policy(stack, admin):
    """From a webhook of GitHub to an incident, a mail and a webhook."""
    secret = GITHUB_SECRET
    admin.ok("PUT", "/v1/integrations/github", {"secret": secret, "users": {"octocat": "octavia"}})
    # Nothing of this machine may be reached by a deployed webhook, so this receiver has a name that nobody can ever have: the
    # attempt is made, and fails. Signatures and retries are tested with real receivers by the local system.
    status, _ = admin.call("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9100/hook"})
    check_equal(status, 400, "a webhook to this machine is refused where it is deployed")
    hook = admin.post("/v1/webhooks", {"url": "https://receiver.invalid/hook", "events": ["policy.fired"]})
    conditions = [{"field": "risk_level", "op": "eq", "value": "high"}]
    actions = [{"type": "create_incident"}, {"type": "email_manager"}, {"type": "webhook", "webhook_id": hook["id"]}]
    of = {"name": "Leaks", "trigger": {"type": "ip_risk_event"}, "match": "all", "conditions": conditions}
    made = admin.post("/v1/policies", of | {"actions": actions})
    admin.post(f"/v1/policies/{made['id']}/publish")
    leak = {"action": "created", "alert": {"number": 7, "secret_type": "aws_access_key_id"}}
    leak |= {"repository": {"full_name": "acme/shop"}, "sender": {"login": "octocat"}}
    body = json.dumps(leak).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    def deliver(signature):
        headers = {"X-GitHub-Event": "secret_scanning_alert", "X-GitHub-Delivery": "d-1"}
        headers["X-Hub-Signature-256"] = f"sha256={signature}"
        return Api(stack, None).call("POST", "/v1/integrations/github/demo", body, headers)[0]

    check_equal(deliver("00" + signature[2:]), 401, "GitHub's webhook with another signature is refused")
    check_equal(deliver(signature), 202, "a signed one is taken")
    incidents = wait_for("the policy opens an incident", lambda: admin.get("/v1/incidents")["items"])
    check_equal(len(incidents), 1, "one")

    def attempted():
        made = admin.get(f"/v1/webhooks/{hook['id']}/deliveries")["items"]
        return [delivery for delivery in made if delivery["attempts"]]

    delivery = wait_for("notify attempts the webhook", attempted)[0]
    check(delivery["status"] == "pending" and delivery["next_attempt_at"], "and will try again", delivery)


def exemption(admin):
    """A way past the cap: asked for by a member, decided by an administrator."""
    member = admin.with_key(role="member", user_id="grace")
    other = admin.with_key(role="admin", user_id="ann")
    check_equal(member.preflight("x-1", "grace", 5_000)["decision"], "block", "5,000 more are over the cap")
    end = iso(now() + datetime.timedelta(days=1))
    raised = {"user_id": "grace", "kind": "raise", "tokens": 5_000, "covers": "path", "reason": "Friday", "ends_at": end}
    asked = member.post("/v1/exemptions", raised)
    status, _ = member.call("POST", f"/v1/exemptions/{asked['id']}/approve")
    check_equal(status, 403, "a member cannot approve an exemption")
    other.post(f"/v1/exemptions/{asked['id']}/approve")
    check_equal(member.preflight("x-2", "grace", 5_000)["decision"], "allow", "approved, they pass")
    check_equal(member.preflight("x-3", "grace", 101)["decision"], "block", "and nothing beyond")


def last_month(stack, operator):
    """An organisation that has a last month. Time cannot be moved in what is deployed, so its rows are made older: that is all
    that says since when it exists. The deployed schedule is set to each minute meanwhile."""
    api = organisation(operator, "past")
    api.post("/v1/departments", {"id": "lab", "name": "Lab"})
    user = {"id": "pia", "email": "pia@example.com", "name": "Pia", "department_id": "lab", "role": "member"}
    api.post("/v1/users", user)
    body = {"name": "Past", "department_id": "lab", "unit": "tokens", "amount": 1_000, "hard_cap": True}
    budget = api.post("/v1/budgets", body | {"rollover": {"cap_percent": 50}})
    then = now().replace(day=1, hour=12) - datetime.timedelta(days=15)
    dynamodb = stack.emulator.client("dynamodb")
    table = stack.physical["Governance"]
    keys = {":pk": {"S": "past"}}
    rows = dynamodb.query(TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=keys)["Items"]
    moved = []
    for row in rows:
        for holder, path in [(row.get("organisation"), "organisation"), (row.get("data"), "#d")]:
            is_budget = path == "#d" and row["sk"]["S"].endswith(budget["id"])
            if holder is None or not (path == "organisation" or is_budget):
                continue
            names = {"ExpressionAttributeNames": {"#d": "data"}} if path == "#d" else {}
            # A budget counts from the month on in which it was made.
            since = f", {path}.since = :m" if is_budget else ""
            month = {":m": {"S": iso(then)[:7]}} if is_budget else {}
            dynamodb.update_item(
                TableName=table,
                Key={"pk": row["pk"], "sk": row["sk"]},
                UpdateExpression=f"SET {path}.created_at = :t{since}",
                ExpressionAttributeValues={":t": {"S": iso(then)}} | month,
                **names,
            )
            moved.append(row["sk"]["S"])
    check_equal(len(moved), 2, "an organisation and its budget are made a month older")
    api.post("/v1/events", {"events": [usage("late-1", "pia", 400, at=then)]})

    def is_counted():
        of = api.get("/v1/usage?period=monthly")
        return "400" in json.dumps(of)

    wait_for("usage of the last month is counted", is_counted)
    set_schedule(stack, "rate(1 minute)")
    return api, budget


def set_schedule(stack, expression):
    scheduler = stack.emulator.client("scheduler")
    name = next(stack.physical[n] for n, kind in stack.kinds.items() if kind == "AWS::Scheduler::Schedule")
    known = scheduler.get_schedule(Name=name.split("/")[-1])
    kept = {key: known[key] for key in ("Name", "FlexibleTimeWindow", "Target", "Description") if key in known}
    scheduler.update_schedule(ScheduleExpression=expression, **kept)


def month_is_closed(stack, past):
    """The event of the deployed schedule closes the month."""
    api, budget = past

    def closed():
        return api.get(f"/v1/budgets/{budget['id']}/rollovers")["items"]

    row = wait_for("the schedule's event closes the last month", closed)[0]
    check("300" in json.dumps(row), "of 600 unused tokens half is carried over: 300", row)
    seen = api.get(f"/v1/budgets/{budget['id']}")
    check_equal(api.preflight("p-1", "pia", 1_301)["decision"], "block", "this month has 1,300 tokens and not one more")
    check_equal(api.preflight("p-2", "pia", 1_300)["decision"], "allow", "but these")
    set_schedule(stack, "rate(1 hour)")
    return seen


def dead_letters(stack, local, past):
    """The runbook's command moves them back, and they count."""
    api, _ = past
    urls = [stack.outputs[name] for name in ("DeadLettersUrl", "EventsQueueUrl")]
    sqs = stack.emulator.client("sqs")
    dead = json.loads(sample_events.read("evaluate", "")["Records"][0]["body"])
    dead |= {"organisation_id": "past", "event": dead["event"] | usage("dead-1", "pia", 7)}
    for body in (json.dumps(dead), "not an event"):
        sqs.send_message(QueueUrl=urls[0], MessageBody=body)
    environment = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": stack.emulator.url, "AWS_REGION": REGION}
    environment |= {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test"}
    command = [local, "redrive", "--from", urls[0], "--to", urls[1], "--discard-unreadable"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    said = "2 looked at, 1 moved, 1 none of ours (1 deleted), 0 could not be moved"
    check(ran.returncode == 0 and said in ran.stdout, "a dead event is moved back to its queue", ran.stdout + ran.stderr)
    wait_for("and counts", lambda: spent(api, "pia") == 7)


def watched(stack):
    """Alarms and the dashboard are there. Gap: the emulator does not make metrics of logs, so no alarm of them can go off."""
    cloudwatch = stack.emulator.client("cloudwatch")
    pages = cloudwatch.get_paginator("describe_alarms").paginate()
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    named = [alarm for alarm in alarms if alarm["AlarmName"].startswith(f"{stack.name}-") and alarm["AlarmActions"]]
    check(len(named) >= 44, f"{len(named)} alarms are there, each with somebody to tell")
    queues = [d["Value"] for a in named for d in a["Dimensions"] if d["Name"] == "QueueName"]
    known = [url.rsplit("/", 1)[1] for url in stack.emulator.client("sqs").list_queues()["QueueUrls"]]
    check(queues and set(queues) <= set(known), "those of queues name queues that are there", queues)
    board = json.loads(cloudwatch.get_dashboard(DashboardName=stack.name)["DashboardBody"])
    check(len(board["widgets"]) == 9 and "${" not in json.dumps(board), "the dashboard has its nine pictures")


def logs_are_clean(stack, lines):
    """Structured lines, counts, and neither a secret nor an address in any of them."""
    ours = [json.loads(line) for line in lines if line.startswith("{")]
    check(all("level" in line or "_aws" in line for line in ours), "what functions log is JSON")
    counted = {name for line in ours if "_aws" in line for name in line}
    expected = {"PreflightsAllowed", "PreflightsBlocked", "EventsAccepted", "EventsRecorded", "OrganisationsTended"}
    check(expected <= counted, "they count what they do", counted)
    manager = stack.emulator.client("secretsmanager")
    names = [stack.environment(f)[name] for f, name in [("ApiFunction", "SEALING_KEY_SECRET"), ("ApiFunction", "TOKEN_KEY_SECRET"), ("ResetFunction", "AUDIT_KEY_SECRET")]]
    secrets = [manager.get_secret_value(SecretId=name)["SecretString"] for name in names]
    said = "\n".join(lines)
    leaked = [word for word in [*Api.keys, *secrets, GITHUB_SECRET, "@example.com"] if word in said]
    check(not leaked, f"no key, secret or address is in {len(lines)} lines of log", leaked)


def outage(stack, bootstraps, key):
    """A preflight that reaches no database decides by the deployment's setting, and the alarm's error type says so."""
    environment = stack.environment("PreflightFunction") | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with Bootstrap(f"{bootstraps}/preflight/bootstrap", environment) as bootstrap:
        answer = json.loads(bootstrap.invoke(sample_events.read("preflight", key))["body"])
        check(answer["decision"] == "allow" and answer["degraded"], "without a database preflight answers all the same")
        wait_for("and writes it", lambda: any("decision_without_database" in line for line in bootstrap.lines))
        lines = [json.loads(line) for line in bootstrap.lines if line.startswith("{")]
        logged = [line for line in lines if line.get("error_type") == "decision_without_database" and "_aws" not in line]
        spans = {name for line in logged for span in line["spans"] for name in span}
        check({"requestId", "request_id"} <= spans, "with Lambda's id of the request and the client's", logged)
        metric = [line for line in lines if line.get("ErrorType") == "decision_without_database"]
        wanted = {"Namespace": "Toktra", "Dimensions": [["Stack", "ErrorType"]], "Metrics": [{"Name": "Errors", "Unit": "Count"}]}
        check_equal(metric[0]["_aws"]["CloudWatchMetrics"], [wanted], "and counts it for its alarm")
        return bootstrap.lines


def smoke(stack):
    """The smoke test that a deployment to AWS runs, on this one."""
    secret = stack.emulator.client("secretsmanager").get_secret_value(SecretId=stack.outputs["OperatorKeyArn"])
    here = pathlib.Path(__file__).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ENDPOINT_URL": stack.emulator.url, "AWS_DEFAULT_REGION": REGION, "SMOKE_KEY": secret["SecretString"]}
    environment |= {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test"}
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, here / "smoke", stack.url, "-", "--stack", stack.name]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    check(ran.returncode == 0 and "SKIPPED" not in ran.stdout, "the smoke test passes", ran.stdout + ran.stderr)


def rotation(stack):
    """A secret that was rotated is known without a deployment: its function looks again at what does not fit, once in half a minute."""
    key = "what-the-operator-has-now"
    manager = stack.emulator.client("secretsmanager")
    manager.put_secret_value(SecretId=stack.outputs["OperatorKeyArn"], SecretString=key)
    operator = Api(stack, key)
    wait_for("the operator's new key is known", lambda: operator.call("GET", "/v1/organisations")[0] == 200)


def every_option(emulator, bootstraps):
    """The template with all its options: what a parameter adds deploys too, and requests go to the version that is kept warm."""
    options = {"AlarmMail": "ops@example.com", "ProvisionedConcurrency": "1", "Tracing": "Active", "LayoutGeneration": "2",
               "AuditBucket": "heads-of-audit-logs", "PreflightReservedConcurrency": "5"}
    options |= {"MailSender": SENDER, "MailIdentity": SENDER, "MakeMailIdentity": "true", "OnUnavailable": "deny"}
    zone = emulator.client("route53").create_hosted_zone(Name="example.com", CallerReference="test")["HostedZone"]["Id"]
    certificate = emulator.client("acm").request_certificate(DomainName="api.example.com")["CertificateArn"]
    options |= {"DomainName": "api.example.com", "DomainCertificate": certificate, "DomainHostedZone": zone.split("/")[-1]}
    stack = Stack(emulator, bootstraps, options, name="toktra-options")
    check("AWS::SES::EmailIdentity" in stack.kinds.values(), "with every option it is deployed beside the first")
    check_equal(Api(stack, None).get("/v1/health"), {"status": "ok"}, "its API answers")
    check_equal(stack.outputs["ApiUrl"], "https://api.example.com", "under a name of its own")
    records = emulator.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    check("api.example.com." in [record["Name"] for record in records], "which has its record")
    check(all(target.endswith(":live") for target in stack.target_of.values()), "every route leads to an alias", stack.target_of)
    status, _ = Api(stack, "tk_nobody").call("POST", "/v1/preflight", {})
    check_equal(status, 401, "and it answers")
    attached = emulator.client("iam").list_attached_role_policies(RoleName=stack.physical["PreflightRole"])
    names = [policy["PolicyName"] for policy in attached["AttachedPolicies"]]
    check_equal(names, ["AWSXrayWriteOnlyAccess"], "its functions may send traces to X-Ray, and have no other policy that is not their own")


def main(bootstraps, local):
    begun = time.monotonic()
    parameters = {"MailSender": SENDER, "MailIdentity": SENDER, "ConsoleUrl": "https://console.example.com"}
    with Emulator() as emulator:
        stack = Stack(emulator, bootstraps, parameters)
        check(True, f"template.yaml is deployed, {len(stack.routes)} routes, {time.monotonic() - begun:.0f} s")
        try:
            agent = walk(stack, local)
            lines = []
            for function in sample_events.FUNCTIONS:
                answer, logged = sample_events.send(stack, bootstraps, function, agent.key)
                sample_events.check(function, answer, check)
                lines += logged
            lines += outage(stack, bootstraps, agent.key)
            watched(stack)
            smoke(stack)
            rotation(stack)
            logs_are_clean(stack, lines + emulator.lines())
            every_option(emulator, bootstraps)
        except SystemExit:
            bad = [line for line in emulator.lines() if '"level":"ERROR"' in line or '"level":"WARN"' in line]
            print("\n".join(bad[-20:]), file=sys.stderr)
            raise
    print(f"deploy: {passed} checks, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
