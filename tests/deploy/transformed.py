"""template.yaml and the alarms' template as CloudFormation gets them: transformed, with the values of parameters."""

import functools
import json
import logging
import os
import re

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# What is not known before the deployment, as long as AWS lets it be. docs/deployment.md says how long a stack's name may be.
STACK_NAME = "s" * 58
PSEUDO = {
    "AWS::StackName": STACK_NAME,
    "AWS::AccountId": "123456789012",
    "AWS::Region": "ap-southeast-99",
    "AWS::Partition": "aws-us-gov",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": f"arn:aws-us-gov:cloudformation:ap-southeast-99:123456789012:stack/{STACK_NAME}/{'0' * 36}",
}
# The most characters of a name, of those that CloudFormation makes and of those that a template gives.
NAMES = {
    "AWS::DynamoDB::Table": ("TableName", 255),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::SNS::Topic": ("TopicName", 256),
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", 128),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::Events::EventBus": ("Name", 256),
    "AWS::Scheduler::Schedule": ("Name", 64),
    "AWS::SecretsManager::Secret": ("Name", 512),
    "AWS::SES::ConfigurationSet": ("Name", 64),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::Budgets::Budget": ("BudgetName", 100),
    "AWS::CodeDeploy::Application": ("ApplicationName", 100),
    "AWS::CodeDeploy::DeploymentGroup": ("DeploymentGroupName", 100),
}


class _NoPolicies:
    def load(self):
        return {}


@functools.cache
def read(text):
    """A template with the functions' packages in a bucket, as `sam package` puts them there."""
    packaged = re.sub(r"CodeUri: functions/(\w+)", r"CodeUri: s3://bucket/\1", text)
    return json.dumps(yaml_parse(packaged))


class Stack:
    """A template with parameters; those that are not given have their defaults."""

    def __init__(self, text, given=None):
        logging.disable(logging.CRITICAL)
        os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
        self.source = json.loads(read(text))
        declared = self.source.get("Parameters", {})
        self.parameters = {name: str(of.get("Default", "")) for name, of in declared.items()} | (given or {})
        self.template = self.source
        if "Transform" in self.source:
            self.template = transform(json.loads(read(text)), dict(self.parameters), _NoPolicies())
        self.resources = {n: of for n, of in self.template["Resources"].items() if self.holds(of.get("Condition"))}

    def of_type(self, kind):
        return {n: of.get("Properties", {}) for n, of in self.resources.items() if of["Type"] == kind}

    def holds(self, condition):
        """Whether a condition holds, by its name or as it is written."""
        if condition is None:
            return True
        if isinstance(condition, str):
            return self.holds(self.template["Conditions"][condition])
        (name, of), = condition.items()
        match name:
            case "Condition":
                return self.holds(of)
            case "Fn::Not":
                return not self.holds(of[0])
            case "Fn::And":
                return all(map(self.holds, of))
            case "Fn::Or":
                return any(map(self.holds, of))
            case "Fn::Equals":
                first, second = (str(self.value(one)) for one in of)
                return first == second
        raise ValueError(f"{name} is no condition")

    def chosen(self, value):
        """A value with its choices made; what is not there is None."""
        if isinstance(value, list):
            return [one for one in map(self.chosen, value) if one is not None]
        if not isinstance(value, dict):
            return value
        if "Fn::If" in value:
            condition, first, second = value["Fn::If"]
            return self.chosen(first if self.holds(condition) else second)
        if value == {"Ref": "AWS::NoValue"}:
            return None
        return {name: of for name, of in ((n, self.chosen(of)) for n, of in value.items()) if of is not None}

    def value(self, value):
        """A value as text, with names of resources at their longest."""
        value = self.chosen(value)
        if not isinstance(value, dict):
            return "" if value is None else str(value)
        (name, of), = value.items()
        match name:
            case "Ref":
                return self._ref(of)
            case "Fn::GetAtt":
                of = of.split(".") if isinstance(of, str) else of
                return self._attribute(of[0], of[1])
            case "Fn::Sub":
                text, own = of if isinstance(of, list) else (of, {})

                def filled(found):
                    word = found[1]
                    if word in own:
                        return self.value(own[word])
                    return self._attribute(*word.split(".", 1)) if "." in word else self._ref(word)

                return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", filled, text)
        raise ValueError(f"nobody knows {name}")

    def physical(self, name):
        """The name of a resource, the longest that it may get."""
        of = self.template["Resources"][name]
        own, most = NAMES.get(of["Type"], ("", 64))
        if own in of.get("Properties", {}):
            return self.value(of["Properties"][own])
        return f"{STACK_NAME}-{name}-{'X' * 13}"[:most]

    def _ref(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        kind, called = self.template["Resources"][name]["Type"], self.physical(name)
        region, account = PSEUDO["AWS::Region"], PSEUDO["AWS::AccountId"]
        match kind:
            case "AWS::SQS::Queue":
                return f"https://sqs.{region}.amazonaws.com/{account}/{called}"
            case "AWS::Lambda::Alias":
                properties = self.template["Resources"][name]["Properties"]
                return f"{self._attribute(properties['FunctionName']['Ref'], 'Arn')}:{properties['Name']}"
            case "AWS::SNS::Topic" | "AWS::SecretsManager::Secret":
                return self._attribute(name, "Arn")
            case "AWS::ApiGatewayV2::Api":
                return "a" * 10
        return called

    def _attribute(self, name, attribute):
        if attribute != "Arn":
            return self.physical(name)
        service = self.template["Resources"][name]["Type"].split("::")[1].lower()
        place = f"arn:{PSEUDO['AWS::Partition']}:{service}:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
        return f"{place}:function:{self.physical(name)}"


def names_in(value):
    """Everything that a value refers to: parameters, resources, and what belongs to AWS."""
    found = set()
    if isinstance(value, list):
        for one in value:
            found |= names_in(one)
    elif isinstance(value, dict):
        for name, of in value.items():
            if name == "Ref":
                found.add(of)
            elif name == "Fn::GetAtt":
                found.add(of.split(".")[0] if isinstance(of, str) else of[0])
            elif name == "Fn::Sub":
                text, own = of if isinstance(of, list) else (of, {})
                words = {word.split(".")[0] for word in re.findall(r"\$\{([A-Za-z0-9:.]+)\}", text) if word not in own}
                found |= words | names_in(own)
            else:
                found |= names_in(of)
    return found
