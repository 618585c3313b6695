"""template.yaml, deployed to the emulator. The template is not changed: `sam package` would change as much."""

import functools
import io
import json
import pathlib
import re
import time
import zipfile

from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "toktra"
BUCKET = "toktra-code"


@functools.cache
def zipped(bootstrap, level=6):
    """The package of a function, as `cargo lambda build --output-format zip` makes it if `level` is 6."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as package:
        entry = zipfile.ZipInfo("bootstrap", (2026, 1, 1, 0, 0, 0))
        entry.external_attr = 0o100755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        package.writestr(entry, pathlib.Path(bootstrap).read_bytes(), compresslevel=level)
    return data.getvalue()


def unfilled(template):
    """Gap: the emulator has no alarms of expressions. Those of `FILL(counted, 0)` become alarms of what is counted."""
    for of in template["Resources"].values():
        properties = of.get("Properties", {})
        if of["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties:
            counted, = (metric["MetricStat"] for metric in properties.pop("Metrics") if "MetricStat" in metric)
            properties |= counted["Metric"] | {"Statistic": counted["Stat"], "Period": counted["Period"]}
    return template


class Stack:
    """The deployed stack."""

    def __init__(self, emulator, bootstraps, parameters, name=NAME):
        """Deploys the functions of the folder `bootstraps`."""
        self.emulator, self.name, self.parameters = emulator, name, parameters
        self.template = yaml_parse((ROOT / "template.yaml").read_text())
        self._package(bootstraps)
        self._deploy()
        self._mend_permissions()
        self._mend_mappings()
        self._route()

    def _of_type(self, kind):
        return {name: of for name, of in self.template["Resources"].items() if of["Type"] == kind}

    def _package(self, bootstraps):
        """What `sam build` and `sam package` do: put each package into a bucket and its place into CodeUri. `sam build` itself would
        build for arm64, which cannot be executed on another processor."""
        s3 = self.emulator.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for nested in self._of_type("AWS::CloudFormation::Stack").values():
            path = nested["Properties"]["TemplateURL"]
            s3.put_object(Bucket=BUCKET, Key=path, Body=json.dumps(unfilled(yaml_parse((ROOT / path).read_text()))))
            nested["Properties"]["TemplateURL"] = f"{self.emulator.url}/{BUCKET}/{path}"
        for function in self._of_type("AWS::Serverless::Function").values():
            binary = function["Metadata"]["BuildProperties"]["Binary"]
            s3.put_object(Bucket=BUCKET, Key=binary, Body=zipped(f"{bootstraps}/{binary}/bootstrap", level=1))
            function["Properties"]["CodeUri"] = f"s3://{BUCKET}/{binary}"

    def _deploy(self):
        cloudformation = self.emulator.client("cloudformation")
        # It is too long for a call, as for AWS: `sam deploy` puts it into the bucket, too.
        self.emulator.client("s3").put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(self.template))
        cloudformation.create_stack(
            StackName=self.name,
            TemplateURL=f"{self.emulator.url}/{BUCKET}/template.json",
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        while True:
            stack = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                break
            time.sleep(0.2)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
            failed = [e for e in events if e["ResourceStatus"].endswith("FAILED")]
            raise SystemExit(f"{stack['StackStatus']}: {failed}")
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
        resources = cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        self.physical = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}
        self.kinds = {r["LogicalResourceId"]: r["ResourceType"] for r in resources}
        self.processed = cloudformation.get_template(StackName=self.name, TemplateStage="Processed")["TemplateBody"]

    def _route(self):
        """Gap: the emulator ignores the OpenAPI body that the transform makes of the routes. Each of its operations becomes a route
        through the API, with the integration that the body names."""
        api = self.emulator.client("apigatewayv2")
        of = self.processed if isinstance(self.processed, dict) else json.loads(self.processed)
        body = of["Resources"]["HttpApi"]["Properties"]["Body"]
        integrations = {}
        account, region = self._place()
        self.api_id = self.physical["HttpApi"]
        known = {route["RouteKey"] for route in api.get_routes(ApiId=self.api_id)["Items"]}
        self.routes_of_the_stack = len(known)
        self.routes, self.target_of = [], {}
        for path, operations in body["paths"].items():
            for method, operation in operations.items():
                of = operation["x-amazon-apigateway-integration"]
                function = self._target(of["uri"])
                if function not in integrations:
                    arn = f"arn:aws:lambda:{region}:{account}:function:{function}"
                    made = api.create_integration(
                        ApiId=self.api_id,
                        IntegrationType="AWS_PROXY",
                        IntegrationUri=arn,
                        PayloadFormatVersion=of["payloadFormatVersion"],
                    )
                    integrations[function] = made["IntegrationId"]
                key = path if path == "$default" else f"{method.upper()} {path}"
                self.routes.append(key)
                self.target_of[key] = function
                if key not in known:
                    target = f"integrations/{integrations[function]}"
                    api.create_route(ApiId=self.api_id, RouteKey=key, Target=target)
        self.cors = body.get("x-amazon-apigateway-cors")

    def _mend_mappings(self):
        """Gap: a number that a parameter gives stays a text, which the emulator cannot compare: it is set once more, as a number."""
        client = self.emulator.client("lambda")
        for of in client.list_event_source_mappings()["EventSourceMappings"]:
            most = {"MaximumConcurrency": int(of["ScalingConfig"]["MaximumConcurrency"])}
            client.update_event_source_mapping(UUID=of["UUID"], ScalingConfig=most)

    def _target(self, uri):
        """The function, or its alias, that the URI of an integration leads to."""
        said = json.dumps(uri)
        name = next(name for name in self.physical if re.search(rf"\b{name}\b", said))
        physical = self.physical[name]
        return physical.split(":function:")[-1] if self.kinds[name] == "AWS::Lambda::Alias" else physical

    def _mend_permissions(self):
        """The emulator holds each function to its role, with three gaps. It asks for the permission sqs:SendMessageBatch, which AWS does
        not have: there SendMessage covers both, so whoever has that is given the other for the same queues. And it takes mails to be
        sent from any identity and knows no sender's address: whoever may send from one is given "*". `Ref` of a
        secret is its name, and there its ARN: whoever may read it by its name is given its ARN."""
        iam = self.emulator.client("iam")
        listed = self.emulator.client("secretsmanager").list_secrets()["SecretList"]
        secrets = {secret["Name"]: secret["ARN"] for secret in listed}
        for role in [self.physical[name] for name, kind in self.kinds.items() if kind == "AWS::IAM::Role"]:
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                allowed = [of for of in document["Statement"] if of["Effect"] == "Allow"]
                more = [of | {"Action": ["sqs:SendMessageBatch"]} for of in allowed if "sqs:SendMessage" in of["Action"]]
                mails = [of for of in allowed if "ses:SendEmail" in of["Action"]]
                more += [{name: of[name] for name in of if name != "Condition"} | {"Resource": "*"} for of in mails]
                reads = [of for of in allowed if "secretsmanager:GetSecretValue" in of["Action"]]
                for of in reads:
                    names = of["Resource"] if isinstance(of["Resource"], list) else [of["Resource"]]
                    more.append(of | {"Resource": [secrets.get(name, name) for name in names]})
                if more:
                    wider = json.dumps(document | {"Statement": more})
                    iam.put_role_policy(RoleName=role, PolicyName=f"{policy}-emulated", PolicyDocument=wider)

    def _place(self):
        identity = self.emulator.client("sts").get_caller_identity()
        return identity["Account"], self.emulator.client("sts").meta.region_name

    @property
    def url(self):
        """Where the API answers. Gap: `ApiUrl` is a name below execute-api that only the emulator knows; it answers here too."""
        return f"{self.emulator.url}/_aws/execute-api/{self.api_id}/$default"

    def environment(self, function):
        """The environment that the stack gave a function."""
        client = self.emulator.client("lambda")
        of = client.get_function_configuration(FunctionName=self.physical[function])
        return of["Environment"]["Variables"]
