"""A stack on moto, an emulator of AWS, as far as it goes.

moto's CloudFormation makes the buckets, functions, rules, topics, log groups and the dashboard. What it does not know is made
here through the emulator's own APIs, with the properties that the template has: policies, alarms, Glue, Athena. The set-up
function, which CloudFormation would call, runs in this process.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import boto3
import yaml

TEMPLATE = Path(__file__).parents[1] / "capstone-starter.cfn.yaml"
ACCOUNT = "123456789012"
BY_CLOUDFORMATION = (
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
)
_NAMES = ("BucketName", "FunctionName", "Name", "TopicName", "LogGroupName", "AlarmName", "DashboardName", "QueueName")
_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::Events::Rule": "arn:aws:events:{region}:{account}:rule/{name}",
    "AWS::SNS::Topic": "arn:aws:sns:{region}:{account}:{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{name}",
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
}


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's short forms: ``!Ref x`` becomes ``{"Ref": "x"}``."""


def _short(loader: Any, suffix: str, node: Any) -> Any:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short)


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """A template as Python values."""
    return dict(yaml.load(path.read_text("utf-8"), _Loader))  # noqa: S506 - a safe loader


class Stack:
    """A template with its parameters: every reference resolved, as CloudFormation would do it.

    Attributes:
        resources: The resources whose condition holds, with resolved properties.
        outputs: The resolved outputs.
    """

    def __init__(self, parameters: dict[str, str], region: str, path: Path = TEMPLATE) -> None:
        """Resolve.

        Raises:
            KeyError: A reference to nothing, or a parameter without a value.
        """
        self._template, self._region = read(path), region
        declared = self._template["Parameters"]
        unknown = set(parameters) - set(declared)
        if unknown:
            raise KeyError(f"the template has no parameter {', '.join(sorted(unknown))}")
        self.parameters = {
            name: str(parameters[name] if name in parameters else one["Default"]) for name, one in declared.items()
        }
        self.resources: dict[str, dict[str, Any]] = {
            name: {**one, "Properties": self._value(one.get("Properties", {}))}
            for name, one in self._template["Resources"].items()
            if "Condition" not in one or self._holds(one["Condition"])
        }
        self.outputs: dict[str, str] = {
            name: str(self._value(one["Value"]))
            for name, one in self._template.get("Outputs", {}).items()
            if "Condition" not in one or self._holds(one["Condition"])
        }

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The properties of all resources of a type."""
        return [one["Properties"] for one in self.resources.values() if one["Type"] == kind]

    def for_cloudformation(self) -> str:
        """The part that moto's CloudFormation makes, as a template."""
        made = {
            name: {"Type": one["Type"], "Properties": one["Properties"], "DeletionPolicy": _fate(one)}
            for name, one in self.resources.items()
            if one["Type"] in BY_CLOUDFORMATION
        }
        outputs = {name: {"Value": value} for name, value in self.outputs.items()}
        parameters = {name: {"Type": "String", "Default": value} for name, value in self.parameters.items()}
        return json.dumps({"Parameters": parameters, "Resources": made, "Outputs": outputs})

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._value(one) for one in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, given = next(iter(node.items()))
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, given)
        resolved = {key: self._value(one) for key, one in node.items()}
        return {key: one for key, one in resolved.items() if one is not None}

    def _function(self, name: str, given: Any) -> Any:  # noqa: PLR0911 - one return a function
        if name == "Ref":
            return self._reference(given)
        if name == "Fn::GetAtt":
            return self._name(given[0]) if given[1].endswith("Name") else self._arn(given[0])
        if name == "Fn::If":
            return self._value(given[1 if self._holds(given[0]) else 2])
        if name == "Fn::Sub":
            text, more = given if isinstance(given, list) else (given, {})
            return re.sub(r"\$\{(!?)([^}]+)\}", lambda found: self._substitute(found, more), text)
        given = self._value(given)
        if name == "Fn::Join":
            return given[0].join(given[1])
        if name == "Fn::Split":
            return given[1].split(given[0])
        if name == "Fn::FindInMap":
            return self._template["Mappings"][given[0]][given[1]][given[2]]
        raise KeyError(f"{name} is not known here")

    def _substitute(self, found: re.Match[str], more: dict[str, Any]) -> str:
        if found[1]:
            return f"${{{found[2]}}}"
        if found[2] in more:
            return str(self._value(more[found[2]]))
        if found[2].endswith(".Arn"):
            return self._arn(found[2].removesuffix(".Arn"))
        return str(self._reference(found[2]))

    def _reference(self, name: str) -> str | int | None:
        if name == "AWS::NoValue":
            return None
        fixed = {"AWS::AccountId": ACCOUNT, "AWS::Region": self._region, "AWS::Partition": "aws"}
        if name in fixed:
            return fixed[name]
        if name in self.parameters:
            number = self._template["Parameters"][name]["Type"] == "Number"
            return int(self.parameters[name]) if number else self.parameters[name]
        resource = self._template["Resources"][name]
        return self._arn(name) if resource["Type"] == "AWS::SNS::Topic" else self._name(name)

    def _name(self, logical: str) -> str:
        resource = self._template["Resources"][logical]
        properties = resource.get("Properties", {})
        properties = properties.get("DatabaseInput", properties)
        found = next((properties[key] for key in _NAMES if key in properties), logical)
        return str(self._value(found))

    def _arn(self, logical: str) -> str:
        kind = self._template["Resources"][logical]["Type"]
        return _ARNS[kind].format(name=self._name(logical), region=self._region, account=ACCOUNT)

    def _holds(self, condition: str) -> bool:
        def value(node: Any) -> Any:
            name, given = next(iter(node.items())) if isinstance(node, dict) else ("", node)
            if name == "Condition":
                return self._holds(given)
            if name == "Fn::Not":
                return not value(given[0])
            if name in ("Fn::And", "Fn::Or"):
                return (all if name == "Fn::And" else any)(map(value, given))
            if name == "Fn::Equals":
                return self._value(given[0]) == self._value(given[1])
            return self._value(node)

        return bool(value(self._template["Conditions"][condition]))


def _fate(resource: dict[str, Any]) -> str:
    """What becomes of a resource when the stack is deleted; moto does not know RetainExceptOnCreate."""
    return str(resource.get("DeletionPolicy", "Delete")).removesuffix("ExceptOnCreate")


def create(stack: Stack, name: str) -> None:
    """Make the stack on the emulator that the environment names."""
    boto3.client("iam").create_role(RoleName="LabRole", AssumeRolePolicyDocument="{}")
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=stack.for_cloudformation())
    complete(stack)


def complete(stack: Stack) -> None:
    """Make what moto's CloudFormation does not know, in the template's order."""
    makers: dict[str, Callable[[dict[str, Any]], Any]] = {
        "AWS::S3::BucketPolicy": _bucket_policy,
        "AWS::SNS::TopicPolicy": _topic_policy,
        "AWS::SNS::Subscription": lambda given: boto3.client("sns").subscribe(**given),
        "AWS::CloudWatch::Alarm": lambda given: boto3.client("cloudwatch").put_metric_alarm(**given),
        "AWS::Glue::Database": lambda given: boto3.client("glue").create_database(**given),
        "AWS::Glue::Table": lambda given: boto3.client("glue").create_table(**given),
        "AWS::Glue::Job": lambda given: boto3.client("glue").create_job(**given),
        "AWS::Glue::Trigger": lambda given: boto3.client("glue").create_trigger(**given),
        "AWS::Lambda::EventInvokeConfig": lambda given: boto3.client("lambda").put_function_event_invoke_config(
            **given
        ),
        "AWS::Athena::WorkGroup": _work_group,
        "AWS::Athena::NamedQuery": lambda given: boto3.client("athena").create_named_query(**given),
        "Custom::BucketCleanup": lambda given: set_up(stack, given, "Create"),
    }
    for one in stack.resources.values():
        if one["Type"] not in BY_CLOUDFORMATION:
            makers[one["Type"]](dict(one["Properties"]))


def delete(stack: Stack, name: str) -> None:
    """Remove the stack again; the set-up function removes the buckets, as it does on AWS."""
    glue = boto3.client("glue")
    for trigger in stack.of("AWS::Glue::Trigger"):
        glue.delete_trigger(Name=trigger["Name"])
    for job in stack.of("AWS::Glue::Job"):
        glue.delete_job(JobName=job["Name"])
    set_up(stack, stack.of("Custom::BucketCleanup")[0], "Delete")
    for database in stack.of("AWS::Glue::Database"):
        glue.delete_database(Name=database["DatabaseInput"]["Name"])
    athena = boto3.client("athena")
    for group in stack.of("AWS::Athena::WorkGroup"):
        athena.delete_work_group(WorkGroup=group["Name"], RecursiveDeleteOption=True)
    alarms = [alarm["AlarmName"] for alarm in stack.of("AWS::CloudWatch::Alarm")]
    boto3.client("cloudwatch").delete_alarms(AlarmNames=alarms)
    boto3.client("cloudformation").delete_stack(StackName=name)


def set_up(stack: Stack, given: dict[str, Any], request: str, status: str = "DELETE_IN_PROGRESS") -> None:
    """Do what the set-up function does when CloudFormation calls it, while the stack has the given status.

    Raises:
        RuntimeError: It told CloudFormation that it failed.
    """
    code: dict[str, Any] = {"__name__": "setup"}
    exec(stack.resources["BucketCleanupFunction"]["Properties"]["Code"]["ZipFile"], code)  # noqa: S102 - the template's own
    answers: list[dict[str, Any]] = []

    class Answered:
        def close(self) -> None:
            return

    def answer(asked: Any, **_: Any) -> Answered:
        answers.append(json.loads(asked.data))
        return Answered()

    class CloudFormation:
        def describe_stacks(self, **_: Any) -> Any:
            return {"Stacks": [{"StackStatus": status}]}

    class Boto3:
        resource = staticmethod(boto3.resource)

        @staticmethod
        def client(service: str) -> Any:
            return CloudFormation() if service == "cloudformation" else boto3.client(service)

    code["boto3"] = Boto3
    urllib_request = code["urllib"].request
    real, urllib_request.urlopen = urllib_request.urlopen, answer
    try:
        event = {"RequestType": request, "ResponseURL": "https://localhost/", "ResourceProperties": given}
        with redirect_stdout(io.StringIO()):  # the function's log
            code["handler"]({**event, "StackId": "s", "RequestId": "r", "LogicalResourceId": "BucketCleanup"}, None)
    finally:
        urllib_request.urlopen = real
    if answers[0]["Status"] != "SUCCESS":
        raise RuntimeError(answers[0]["Reason"])


def _bucket_policy(given: dict[str, Any]) -> None:
    """Try it and take it back: the emulator is reached without TLS, which the policy denies."""
    client = boto3.client("s3")
    client.put_bucket_policy(Bucket=given["Bucket"], Policy=json.dumps(given["PolicyDocument"]))
    client.delete_bucket_policy(Bucket=given["Bucket"])


def _topic_policy(given: dict[str, Any]) -> None:
    boto3.client("sns").set_topic_attributes(
        TopicArn=given["Topics"][0], AttributeName="Policy", AttributeValue=json.dumps(given["PolicyDocument"])
    )


def _work_group(given: dict[str, Any]) -> None:
    boto3.client("athena").create_work_group(Name=given["Name"], Configuration=given["WorkGroupConfiguration"])
