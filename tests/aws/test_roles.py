"""infra/roles.cfn.yaml allows what the code calls, on this stack's resources, and nothing else."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra import emulate
from tests.aws.support import REGION, ROLES, ROOT

ACCOUNT = emulate.ACCOUNT
SOURCE = "arn:aws:s3:::capstone-events-a-b-123456789012"
LAKE = "arn:aws:s3:::capstone-lake-a-b-123456789012"
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
TABLE = f"{GLUE}:table/shoplake_a_b/events"
GENERATOR = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:capstone-event-generator-a-b"
# What each call of the code needs. A call that is not here fails the test: its permission has to be thought of.
CALLS = {
    "Generator": {"put_object": [("s3:PutObject", f"{SOURCE}/events/year=2025/x.jsonl.gz")]},
    "Scheduler": {"targets": [("lambda:InvokeFunction", GENERATOR)]},  # EventBridge calls, no code of ours
    "Setup": {
        "put_object": [("s3:PutObject", f"{LAKE}/code/job.py"), ("s3:PutObject", f"{LAKE}/queries.sql")],
        "object_versions.delete": [
            (action, resource)
            for bucket in (SOURCE, LAKE)
            for action, resource in (
                ("s3:ListBucketVersions", bucket),
                ("s3:DeleteObject", f"{bucket}/x"),
                ("s3:DeleteObjectVersion", f"{bucket}/x"),
            )
        ],
        "describe_stacks": [
            ("cloudformation:DescribeStacks", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/capstone-a-b/1")
        ],
        "bucket.delete": [("s3:DeleteBucket", SOURCE), ("s3:DeleteBucket", LAKE)],
    },
    "Pipeline": {
        "get_table": [("glue:GetTable", arn) for arn in (f"{GLUE}:catalog", f"{GLUE}:database/shoplake_a_b", TABLE)],
        "create_table": [("glue:CreateTable", TABLE)],
        "update_table": [("glue:UpdateTable", TABLE)],
        "put_metric_data": [("cloudwatch:PutMetricData", "*")],
        "obstore.get": [("s3:GetObject", f"{SOURCE}/events/x"), ("s3:GetObject", f"{LAKE}/lake/catalog.json")],
        "obstore.head": [("s3:GetObject", f"{LAKE}/lake/x")],
        "obstore.put": [("s3:PutObject", f"{LAKE}/lake/catalog.json"), ("s3:AbortMultipartUpload", f"{LAKE}/lake/x")],
        "obstore.list": [("s3:ListBucket", SOURCE), ("s3:ListBucket", LAKE)],
        "obstore.delete": [("s3:DeleteObject", f"{LAKE}/lake/x")],
        "download_fileobj": [("s3:GetObject", f"{LAKE}/code/shoplake-0.1.0-a.lambda.zip")],
        "destination": [  # Lambda and Glue themselves, with the role
            ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:shoplake-arrival-failures-a-b"),
            (
                "logs:PutLogEvents",
                f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/shoplake-arrival-a-b:log-stream:x",
            ),
            ("s3:GetBucketLocation", LAKE),
        ],
    },
    "Analyst": {
        "start_query_execution": [
            ("athena:StartQueryExecution", "WORKGROUP"),
            ("s3:PutObject", f"{LAKE}/athena-results/x"),
        ],
        "stop_query_execution": [("athena:StopQueryExecution", "WORKGROUP")],
        "get_query_execution": [("athena:GetQueryExecution", "WORKGROUP")],
        "get_query_results": [("athena:GetQueryResults", "WORKGROUP"), ("s3:GetObject", f"{LAKE}/athena-results/x")],
        "console": [  # the editor's own calls
            ("athena:ListWorkGroups", "*"),
            ("athena:ListQueryExecutions", "WORKGROUP"),
            ("athena:ListDatabases", f"arn:aws:athena:{REGION}:{ACCOUNT}:datacatalog/AwsDataCatalog"),
            ("glue:GetDatabases", f"{GLUE}:catalog"),
        ],
    },
}
CODE = {
    "Generator": ["infra/handler.py"],
    "Setup": ["infra/setup.py"],
    "Pipeline": [
        *("src/shoplake/aws/glue_catalog.py", "src/shoplake/aws/figures.py", "src/shoplake/storage/bucket.py"),
        "infra/arrival.py",
    ],
    "Analyst": ["src/shoplake/aws/athena.py"],
}
BY_SERVICES = {"destination", "console"}
_VERB = r"(download|get|put|list|head|create|update|delete|start|stop|batch|describe|copy)(_\w+)?"


def statements(role: str) -> list[dict[str, Any]]:
    """The statements of a role, resolved for the stack of student a-b."""
    found = emulate.Stack({"StudentId": "a-b"}, REGION, ROLES).resources[role]["Properties"]["Policies"]
    return [statement for policy in found for statement in policy["PolicyDocument"]["Statement"]]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allows(role: str, action: str, resource: str) -> bool:
    wanted = resource.replace("WORKGROUP", f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/shoplake-a-b")
    return any(
        action in listed(statement["Action"]) and any(fnmatchcase(wanted, one) for one in listed(statement["Resource"]))
        for statement in statements(role)
    )


def calls(path: Path) -> set[str]:
    """The calls in a module that look like those of an AWS client: their names, with what they are called on."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and re.fullmatch(_VERB, node.func.attr):
            owner = ast.unparse(node.func.value)
            if owner == "obstore":
                found.add(f"obstore.{node.func.attr}")
            elif owner.endswith("object_versions"):
                found.add("object_versions.delete")
            elif owner == "bucket":
                found.add("bucket.delete")
            elif "_" in node.func.attr and not owner.startswith("self"):
                found.add(node.func.attr)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_paginator"):
            found.add(ast.literal_eval(node.args[0]))
    return found - {"get_paginator", "get_range", "create_connection"}  # the last is a socket


@pytest.mark.parametrize("role", CODE)
def test_the_table_of_calls_is_what_the_code_calls(role: str):
    assert set().union(*(calls(ROOT / path) for path in CODE[role])) == set(CALLS[role]) - BY_SERVICES


@pytest.mark.parametrize(
    ("role", "call", "action", "resource"),
    [(role, call, *need) for role, table in CALLS.items() for call, needs in table.items() for need in needs],
)
def test_the_role_allows_the_call(role: str, call: str, action: str, resource: str):
    assert allows(role, action, resource)


@pytest.mark.parametrize("role", CALLS)
def test_every_statement_is_limited_to_this_stack(role: str):
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        assert all("*" not in action for action in listed(statement["Action"]))
        for resource in listed(statement["Resource"]):
            known = re.search(r"a-b|a_b|:catalog$|/aws-glue/jobs/\*$|datacatalog/AwsDataCatalog$", resource)
            lists = all(action.startswith("athena:List") for action in listed(statement["Action"]))
            assert known or lists or (resource == "*" and "cloudwatch:namespace" in str(statement["Condition"]))


@pytest.mark.parametrize(
    ("role", "action", "resource"),
    [
        ("Generator", "s3:DeleteObject", f"{SOURCE}/events/x"),
        ("Generator", "s3:PutObject", f"{LAKE}/lake/catalog.json"),
        ("Scheduler", "lambda:InvokeFunction", GENERATOR.replace("generator", "setup")),
        ("Scheduler", "lambda:InvokeFunction", f"{GENERATOR}c"),
        ("Pipeline", "s3:PutObject", f"{SOURCE}/events/x"),
        ("Pipeline", "s3:DeleteObject", f"{SOURCE}/events/x"),
        ("Pipeline", "s3:PutObject", f"{LAKE}/code/job.py"),
        ("Pipeline", "glue:UpdateTable", f"{GLUE}:table/other/events"),
        ("Analyst", "s3:PutObject", f"{LAKE}/lake/x"),
        ("Analyst", "s3:DeleteObject", f"{LAKE}/lake/x"),
        ("Analyst", "glue:UpdateTable", TABLE),
    ],
)
def test_what_a_role_is_not_for_it_does_not_allow(role: str, action: str, resource: str):
    assert not allows(role, action, resource)


def test_the_schedulers_role_is_for_the_generators_rule_only():
    roles, stack = emulate.Stack({"StudentId": "a-b"}, REGION, ROLES), emulate.Stack({"StudentId": "a-b"}, REGION)
    (trust,) = roles.resources["Scheduler"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    rule = stack.resources["EventGeneratorSchedule"]["Properties"]["Name"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"] == {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"}}
    assert stack.resources["EventGeneratorFunction"]["Properties"]["FunctionName"] == GENERATOR.rpartition(":")[2]


def test_the_pipelines_role_is_for_both_runners():
    roles = emulate.Stack({"StudentId": "a-b"}, REGION, ROLES)
    (trust,) = roles.resources["Pipeline"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": ["glue.amazonaws.com", "lambda.amazonaws.com"]}


def test_each_output_of_the_roles_is_a_parameter_of_the_template():
    names = set(emulate.read(ROLES)["Outputs"]) - {"AnalystRole"}
    assert names == {name for name in emulate.read()["Parameters"] if name.endswith("Role")}
