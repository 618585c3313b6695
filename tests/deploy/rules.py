"""What AWS demands of the templates and no emulator does: run by the gate. Each rule looks at the transformed template, and each fault
in `PLANTED` has to be found by one.

    rules.py [ROOT]     the folder that has template.yaml; this repository if none is given
"""

import json
import pathlib
import re
import sys
import tomllib

import cfnlint
from transformed import NAMES, STACK_NAME, Stack, names_in

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
ROOT = ROOT if ROOT.is_dir() else ROOT.parents[2]
# The policy of a function has 20,480 bytes, of which AWS writes some.
MOST_POLICY_BYTES = 18_000
MOST_VARIABLE_BYTES = 4_096
MOST_DESCRIPTION = 256
# What a new account runs at a time, and how much of it the queues have to leave to those who wait.
NEW_ACCOUNT, LEFT_OVER = 10, 3
# The layout of mails is too long for the description of a version: its parameters say to raise another one.
LAYOUT = {"MailSubject", "MailText", "MailHtml"}
# What is said of a function and is in none of its versions.
NO_VERSION = {"ReservedConcurrentExecutions", "ProvisionedConcurrencyConfig", "Tags", "RecursiveLoop", "Events",
              "DeploymentPreference", "VersionDescription"}
MAIL = {"MailSender": "toktra@example.com", "MailIdentity": "example.com"}
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
TABLE_KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
DOMAIN = {"DomainName": "api.example.com", "DomainCertificate": CERTIFICATE}
# What a version does that should not pass, beside functions that stop: it panics, cannot read, or has no database. An alarm of several
# metrics has ten at the most.
UPGRADE_ERRORS = ["panicked", "unreadable_data", "store_failed", "decision_without_database"]
MOST_METRICS = 10
GRADUAL = {"Rollout": "Canary10Percent5Minutes"}
CHOICES = [{}, MAIL, MAIL | {"MakeMailIdentity": "true"}, DOMAIN, DOMAIN | {"DomainHostedZone": "Z1"}, GRADUAL,
           {"AuditBucket": "heads"}, {"ProvisionedConcurrency": "1", "PreflightReservedConcurrency": "5"}]
ACCEPTED = {
    "CorsOrigins": ["*", "https://console.example.com", "http://localhost:5173", "https://*"],
    "MailSender": ["", "toktra@example.com"],
    "MailIdentity": ["", "example.com", "toktra@example.com"],
    "MailHtml": ["", "<p>{letters}</p>"],
    "ConsoleUrl": ["", "https://console.example.com/x"],
    "AuditBucket": ["", "heads-of-logs"],
    "AlarmMail": ["", "ops@example.com"],
    "DomainName": ["", "api.example.com"],
    "DomainCertificate": ["", CERTIFICATE],
    "TableKey": ["", TABLE_KEY],
    "DomainHostedZone": ["", "Z08519831FBOVZ1HE79QS"],
}
REFUSED = {
    "CorsOrigins": ["chrome-extension://abc", "console.example.com", "https://a.example/path", ""],
    "MailSender": ["Toktra <toktra@example.com>", "example.com", "t\u00fc@example.com", "a@b@example.com"],
    "MailIdentity": ["a b", "@"],
    "MailHtml": ["<p>\u00fc</p>", "a\nb"],
    "ConsoleUrl": ["console.example.com", "https://a b"],
    "AuditBucket": ["Heads", "s3://heads"],
    "AlarmMail": ["ops"],
    "DomainName": ["https://api.example.com", "api"],
    "TableKey": ["alias/mine", "arn:aws:kms:eu-central-1:123456789012:alias/mine"],
    "DomainCertificate": ["1234", "arn:aws:iam::123456789012:server-certificate/x"],
    "DomainHostedZone": ["/hostedzone/Z1", "example.com"],
}


class Deployment:
    """The templates with some parameters, and what belongs to them."""

    def __init__(self, files):
        self.files = files
        self.stacks = {}

    def stack(self, given=None):
        key = json.dumps(given or {}, sort_keys=True)
        if key not in self.stacks:
            self.stacks[key] = Stack(self.files["template.yaml"], given)
        return self.stacks[key]

    def monitoring(self):
        text = self.files["infra/monitoring.yaml"]
        return Stack(text, {"Stack": STACK_NAME, "AlarmMail": "ops@example.com", "MonthlyBudget": "100"})


def longest(parameter):
    """The longest value of a parameter, or None if nothing says how long it may be."""
    if "AllowedValues" in parameter:
        return max(map(str, parameter["AllowedValues"]), key=len)
    if parameter["Type"] == "Number":
        return str(parameter["MaxValue"]) if "MaxValue" in parameter else None
    if "MaxLength" not in parameter:
        return None
    pattern = parameter.get("AllowedPattern", "[^")
    # A pattern that says what may not be there lets every other letter be there, and one has up to three bytes.
    letter = "\u20ac" if "[^" in pattern else "x"
    return letter * int(parameter["MaxLength"])


def at_their_longest(deployment):
    declared = deployment.stack().source["Parameters"]
    return {name: longest(of) for name, of in declared.items()}


def permissions_fit(deployment):
    stack = deployment.stack()
    sizes = {}
    for name, of in stack.of_type("AWS::Lambda::Permission").items():
        function = function_of(stack, of["FunctionName"])
        statement = {
            "Sid": stack.physical(name), "Effect": "Allow", "Principal": {"Service": of["Principal"]}, "Action": of["Action"],
            "Resource": stack.value({"Fn::GetAtt": [function, "Arn"]}) + ":live",
            "Condition": {"ArnLike": {"AWS:SourceArn": stack.value(of["SourceArn"])}},
        }
        sizes[function] = sizes.get(function, 0) + len(json.dumps(statement))
    for function, size in sizes.items():
        if size >= MOST_POLICY_BYTES:
            yield f"the permissions of {function} have {size} bytes"


def function_of(stack, value):
    """The function that a value leads to, by its alias or without."""
    for name in names_in(value):
        of = stack.template["Resources"].get(name, {})
        if of.get("Type") == "AWS::Lambda::Alias":
            return of["Properties"]["FunctionName"]["Ref"]
        if of.get("Type") == "AWS::Lambda::Function":
            return name
    return None


def is_alias(stack, value):
    kinds = {stack.template["Resources"].get(name, {}).get("Type") for name in names_in(value)}
    return "AWS::Lambda::Alias" in kinds and "AWS::Lambda::Function" not in kinds


def aliases_are_invoked(deployment):
    stack = deployment.stack()
    led = set()
    for api in stack.of_type("AWS::ApiGatewayV2::Api").values():
        for path, operations in api["Body"]["paths"].items():
            for operation in operations.values():
                uri = operation["x-amazon-apigateway-integration"]["uri"]
                led.add(function_of(stack, uri))
                if not is_alias(stack, uri):
                    yield f"{path} leads past the alias"
    for name, of in stack.of_type("AWS::Lambda::EventSourceMapping").items():
        if not is_alias(stack, of["FunctionName"]):
            yield f"{name} invokes past the alias"
    for name, of in stack.of_type("AWS::Scheduler::Schedule").items():
        if not is_alias(stack, of["Target"]["Arn"]):
            yield f"{name} invokes past the alias"
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    for function in led:
        own = [is_alias(stack, of["FunctionName"]) for of in permissions if function_of(stack, of["FunctionName"]) == function]
        if sorted(own) != [False, True]:
            yield f"{function} is not invoked by the alias and without: {len(own)} permissions"


def versions_follow_parameters(deployment):
    stack = deployment.stack(GRADUAL)
    parameters = set(stack.parameters)
    most = at_their_longest(deployment)
    for name, of in stack.of_type("AWS::Lambda::Version").items():
        function = of["FunctionName"]["Ref"]
        # The transform has put the values of some parameters into the function.
        said = stack.source["Globals"]["Function"], stack.source["Resources"][function]["Properties"]
        has = names_in([value for of in said for key, value in of.items() if key not in NO_VERSION]) & parameters
        named = names_in(of["Description"]) & parameters
        for parameter in sorted(has - named - LAYOUT):
            yield f"a new {parameter} makes no version of {function}"
        for parameter in sorted(named - has):
            yield f"{parameter} changes nothing of {function}, of which AWS makes no version then"
        for parameter in sorted(has & LAYOUT):
            if "raise LayoutGeneration" not in stack.source["Parameters"][parameter]["Description"]:
                yield f"nobody knows how a new {parameter} becomes a version"
        own = stack.source["Resources"][function]["Properties"]
        fixed = [f"{own['MemorySize']} MB", f"{own['Timeout']} s"]
        fixed += [f"{key}={value}" for of in said for key, value in of["Environment"]["Variables"].items() if not names_in(value)]
        # As words: 5 s is not in 15 s.
        words = f" {stack.value(of['Description'])} "
        for text in fixed:
            if f" {text} " not in words:
                yield f"{text} makes no version of {function}"
        long = {name: value or "?" for name, value in most.items()}
        size = len(Stack(deployment.files["template.yaml"], long).value(of["Description"]))
        if size > MOST_DESCRIPTION:
            yield f"the description of {name} may have {size} letters"


def rollouts_go_back(deployment):
    for choice in deployment.stack().source["Parameters"]["Rollout"]["AllowedValues"]:
        stack = deployment.stack({"Rollout": choice})
        groups = stack.of_type("AWS::CodeDeploy::DeploymentGroup")
        functions = stack.of_type("AWS::Lambda::Function")
        expected = 0 if choice == "AllAtOnce" else len(functions)
        if len(groups) != expected:
            yield f"{choice} makes {len(groups)} deployment groups"
        for name, of in groups.items():
            alarms = {alarm for alarm in names_in(stack.chosen(of.get("AlarmConfiguration"))) if alarm in stack.resources}
            if not alarms:
                yield f"no alarm takes {name} back"
            for alarm in sorted(alarms):
                yield from wrong_upgrade(alarm, stack.resources[alarm]["Properties"])
            watched = set().union(*(names_in(stack.resources[alarm]["Properties"]) for alarm in alarms))
            for function in sorted(set(functions) - watched):
                yield f"no alarm of {name} looks at {function}"


def wrong_upgrade(name, of):
    """What is wrong with the metrics of an alarm that takes a version back."""
    counted = [metric for metric in of["Metrics"] if "MetricStat" in metric]
    if len(counted) > MOST_METRICS:
        yield f"{name} has {len(counted)} metrics"
    summed = set(re.findall(r"[a-z_]+", " ".join(metric.get("Expression", "") for metric in of["Metrics"])))
    for metric in counted:
        if metric["Id"] not in summed:
            yield f"{name} does not count {metric['Id']}"
    said = json.dumps(counted)
    for error in UPGRADE_ERRORS:
        if f'"Value": "{error}"' not in said:
            yield f"{name} lets a version pass that has {error}"


def each_alarm_tells(deployment):
    for stack in (deployment.stack(GRADUAL), deployment.monitoring()):
        for name, of in stack.of_type("AWS::CloudWatch::Alarm").items():
            for actions in ("AlarmActions", "OKActions"):
                if "Alarms" not in names_in(of.get(actions)):
                    yield f"{name} tells nobody by {actions}"


def silence_is_seen(deployment):
    """CloudWatch keeps the state of an alarm of DynamoDB while there is no data, and looks at older data where none is the very problem."""
    for name, of in deployment.monitoring().of_type("AWS::CloudWatch::Alarm").items():
        metrics = of.get("Metrics", [of])
        looks_at = {metric.get("MetricStat", {}).get("Metric", metric).get("Namespace") for metric in metrics}
        is_filled = any(str(metric.get("Expression")).startswith("FILL(") for metric in metrics)
        if ("AWS/DynamoDB" in looks_at or of["TreatMissingData"] == "breaching") and not is_filled:
            yield f"{name} waits for data that do not come"


def nothing_waits_for_itself(deployment):
    for choice in CHOICES:
        stack = deployment.stack(choice)
        needs = {}
        for name, of in stack.resources.items():
            after = of.get("DependsOn", [])
            found = names_in(stack.chosen({k: v for k, v in of.items() if k in ("Properties", "UpdatePolicy")}))
            needs[name] = (found | set([after] if isinstance(after, str) else after)) & set(stack.template["Resources"])
            for other in sorted(found & set(stack.template["Resources"]) - set(stack.resources)):
                yield f"{name} needs {other}, which is not there with {choice}"
        done = set()
        while ready := {name for name, of in needs.items() if name not in done and of & set(stack.resources) <= done}:
            done |= ready
        if circle := sorted(set(needs) - done):
            yield f"{circle} wait for each other with {choice}"


def queues_have_a_policy_each(deployment):
    for name, of in deployment.stack(MAIL).of_type("AWS::SQS::QueuePolicy").items():
        if len(of["Queues"]) != 1:
            yield f"{name} is of {len(of['Queues'])} queues"
        for statement in of["PolicyDocument"]["Statement"]:
            if isinstance(statement["Resource"], list):
                yield f"{name} has a statement about {len(statement['Resource'])} queues, which SQS refuses"


def names_are_of_the_stack(deployment):
    for stack in [deployment.stack(choice) for choice in CHOICES] + [deployment.monitoring()]:
        for name, of in stack.resources.items():
            own, most = NAMES.get(of["Type"], ("", 0))
            if own not in of.get("Properties", {}):
                continue
            value = of["Properties"][own]
            if not names_in(value) & {"AWS::StackName", "Stack"}:
                yield f"a second stack has another {name} of the same name"
            if len(stack.value(value)) > most:
                yield f"the name of {name} may have {len(stack.value(value))} letters"


def variables_fit(deployment):
    most = at_their_longest(deployment)
    stack = Stack(deployment.files["template.yaml"], {name: value or "" for name, value in most.items()})
    for name, of in stack.of_type("AWS::Lambda::Function").items():
        variables = of["Environment"]["Variables"]
        for parameter in sorted(names_in(variables) & set(most)):
            if most[parameter] is None:
                yield f"{parameter} has no longest value, and {name} has it"
        texts = [(key, "s" * 64 if "{{resolve" in str(value) else stack.value(value)) for key, value in variables.items()]
        size = sum(len((key + text).encode()) for key, text in texts)
        if size >= MOST_VARIABLE_BYTES:
            yield f"the variables of {name} may have {size} bytes"


def loops_are_allowed(deployment):
    stack = deployment.stack()
    sends, takes = {}, {}
    for name, of in stack.of_type("AWS::Lambda::Function").items():
        role = stack.resources[of["Role"]["Fn::GetAtt"][0] if isinstance(of["Role"]["Fn::GetAtt"], list) else of["Role"]["Fn::GetAtt"].split(".")[0]]
        for statement in stack.chosen(role["Properties"]["Policies"])[0]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow" and "sqs:SendMessage" in statement["Action"]:
                sends.setdefault(name, set()).update(names_in(statement["Resource"]))
    for of in stack.of_type("AWS::Lambda::EventSourceMapping").values():
        takes.setdefault(function_of(stack, of["FunctionName"]), set()).update(names_in(of["EventSourceArn"]))
    follows = {a: {b for b in takes if takes[b] & queues} for a, queues in sends.items()}
    watched = set()
    given = stack.resources["Monitoring"]["Properties"]["Parameters"]
    for of in deployment.monitoring().of_type("AWS::CloudWatch::Alarm").values():
        if of.get("MetricName") == "RecursiveInvocationsDropped":
            watched |= {name for word in names_in(of["Dimensions"]) for name in names_in(given.get(word, {}))}
    for name, of in stack.of_type("AWS::Lambda::Function").items():
        reached, new = set(), follows.get(name, set())
        while new - reached:
            reached |= new
            new = set().union(*(follows.get(one, set()) for one in reached))
        is_allowed = of.get("RecursiveLoop") == "Allow"
        if name in reached and not is_allowed:
            yield f"{name} sends to its own trigger, and Lambda ends that"
        if is_allowed and name not in reached:
            yield f"{name} sends to no trigger of its own, and Lambda would not end it if it did"
        if name in reached and name not in watched:
            yield f"no alarm of the ended invocations of {name}"


def mails_only_with_a_sender(deployment):
    of_mails = ("AWS::SES::", "AWS::SNS::", "AWS::SQS::QueuePolicy")
    for name, of in deployment.stack().resources.items():
        if of["Type"].startswith(of_mails) and name != "Alarms":
            yield f"{name} is made where nobody sends mails"
    if not deployment.stack(MAIL).of_type("AWS::SES::ConfigurationSet"):
        yield "a sender has no configuration set"


def parameters_are_explained(deployment):
    source = deployment.stack().source
    declared = source["Parameters"]
    interface = source["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    labels = interface["ParameterLabels"]
    for name, of in declared.items():
        if grouped.count(name) != 1 or not labels.get(name, {}).get("default") or not of.get("Description"):
            yield f"{name} has no group, no label or no description"
        if of["Type"] != "Number" and not {"AllowedValues", "AllowedPattern", "MaxLength"} & set(of):
            yield f"{name} takes everything"
    for name in (set(grouped) | set(labels)) - set(declared):
        yield f"there is no parameter {name}"
    for wanted, values in ((True, ACCEPTED), (False, REFUSED)):
        for name, examples in values.items():
            for example in examples:
                if bool(re.fullmatch(declared[name].get("AllowedPattern", ".*"), example)) != wanted:
                    yield f"{name} {'refuses' if wanted else 'takes'} {example!r}"
    patterned = {name for name, of in declared.items() if "AllowedPattern" in of}
    for name in sorted(patterned - set(ACCEPTED) | patterned - set(REFUSED)):
        yield f"no example of {name}"


def budgets_only_where_they_are(deployment):
    assertion, = deployment.stack().source["Rules"]["BudgetsAreInTheRegion"]["Assertions"]
    said = set(assertion["Assert"]["Fn::Not"][0]["Fn::Contains"][0])
    kinds = {path.stem: json.loads(path.read_text()) for path in (pathlib.Path(cfnlint.__file__).parent / "data/schemas/providers").glob("*.json")}
    without = {region for region, of in kinds.items() if "AWS::Lambda::Function" in of and "AWS::Budgets::Budget" not in of}
    for region in sorted(without - said):
        yield f"with a budget the stack fails in {region}"
    for region in sorted(said - without):
        yield f"there are budgets in {region}"


def a_new_account_has_room(deployment):
    declared = deployment.stack().source["Parameters"]
    taken = sum(declared[name]["Default"] for name in ("EvaluateConcurrency", "NotifyConcurrency"))
    if taken + LEFT_OVER > NEW_ACCOUNT:
        yield f"the queues take {taken} of the {NEW_ACCOUNT} instances of a new account"
    for name, of in deployment.stack().of_type("AWS::Lambda::Function").items():
        if deployment.stack().chosen(of).get("ReservedConcurrentExecutions") is not None:
            yield f"{name} reserves what a new account does not have"


def the_smoke_test_fits_beside_the_queues(deployment):
    at_once, = re.findall(r"(?m)^AT_ONCE = (\d+)$", deployment.files["tests/deploy/smoke"])
    if int(at_once) > LEFT_OVER:
        yield f"the smoke test asks {at_once} at once, and a new account has room for {LEFT_OVER}"


def requests_are_logged(deployment):
    stack = deployment.stack()
    for of in stack.of_type("AWS::ApiGatewayV2::Stage").values():
        settings = of["AccessLogSettings"]
        group, = names_in(settings["DestinationArn"])
        if not stack.physical(group).startswith("/aws/vendedlogs/"):
            yield f"{group} costs a part of the account's policy for logs"
        said = json.loads(settings["Format"])
        wanted = {"time", "request_id", "lambda_request_id", "route", "status", "ms", "source", "error", "integration_error"}
        if set(said) != wanted:
            yield f"the access log has {sorted(said)}"
        if "userAgent" in settings["Format"] or "authorization" in settings["Format"].lower():
            yield "the access log has more than anybody needs"


def what_is_made_has_a_tag(deployment):
    of = tomllib.loads(deployment.files["samconfig.toml"])["default"]["deploy"]["parameters"]
    if "project=toktra" not in of.get("tags", ""):
        yield "nothing says whose the resources are"


RULES = [each_alarm_tells, silence_is_seen, permissions_fit, aliases_are_invoked, versions_follow_parameters, rollouts_go_back, nothing_waits_for_itself,
         queues_have_a_policy_each, names_are_of_the_stack, variables_fit, loops_are_allowed, mails_only_with_a_sender,
         parameters_are_explained, budgets_only_where_they_are, a_new_account_has_room, the_smoke_test_fits_beside_the_queues, requests_are_logged, what_is_made_has_a_tag]


def faults(files):
    """What is wrong, rule by rule: nobody waits for those after the first that is looked for."""
    deployment = Deployment(files)
    for rule in RULES:
        yield from rule(deployment)


def main():
    from rules_planted import PLANTED

    files = {path: (ROOT / path).read_text() for path in ("template.yaml", "infra/monitoring.yaml", "samconfig.toml", "tests/deploy/smoke")}
    found = list(faults(files))
    for path, text, other, said in PLANTED:
        if text not in files[path]:
            found.append(f"{path} has no {text!r}")
            continue
        wrong = files | {path: files[path].replace(text, other)}
        if not any(said in fault for fault in faults(wrong)):
            found.append(f"nobody finds {other!r} in {path}, only {list(faults(wrong))}")
    if found:
        raise SystemExit("\n".join(found))
    print(f"rules: {len(RULES)} hold, and {len(PLANTED)} planted faults are found")


if __name__ == "__main__":
    main()
