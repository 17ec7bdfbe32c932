"""capstone-starter.cfn.yaml: in step with the code, deployable by the brief's command, and nothing in it is open."""

from __future__ import annotations

import json
import re

import pytest

from infra import build_template, emulate
from infra.emulate import TEMPLATE
from shoplake import queries
from tests.aws.support import REGION, ROOT

ANSWERS = ROOT / "docs" / "aws.md"


@pytest.fixture(scope="module")
def stack() -> emulate.Stack:
    return emulate.Stack({"StudentId": "a-b"}, REGION)


def test_the_template_is_made_of_the_code_as_it_is_now():
    assert TEMPLATE.read_text("utf-8") == build_template.build(), "run make template"


def test_create_stack_takes_it_as_a_template_body():
    assert len(TEMPLATE.read_bytes()) <= 51_200


def test_student_id_is_the_only_parameter_that_has_to_be_given():
    parameters = emulate.read(TEMPLATE)["Parameters"]
    assert [name for name, one in parameters.items() if "Default" not in one] == ["StudentId"]


def test_no_resource_needs_a_capability():
    template = emulate.read(TEMPLATE)
    assert not [one for one in template["Resources"].values() if one["Type"].startswith("AWS::IAM")]
    assert "Transform" not in template


def test_no_account_and_no_region_is_written_into_it():
    text = TEMPLATE.read_text("utf-8").replace("--region us-west-2", "")
    assert not re.search(r"\b\d{12}\b|[a-z]{2}-(east|west|central|north|south)\w*-\d", text)


def test_the_roles_default_to_lab_role_and_can_be_named(stack: emulate.Stack):
    given = {"GeneratorRole": "g", "SetupRole": "s", "PipelineRole": "p"}
    named = emulate.Stack({"StudentId": "x", **given}, REGION)
    for logical, role in (("EventGeneratorFunction", "g"), ("BucketCleanupFunction", "s"), ("Job", "p")):
        assert stack.resources[logical]["Properties"]["Role"].endswith(":role/LabRole")
        assert named.resources[logical]["Properties"]["Role"].endswith(f":role/{role}")


def test_the_schedule_needs_no_role_and_takes_one(stack: emulate.Stack):
    (plain,) = stack.resources["EventGeneratorSchedule"]["Properties"]["Targets"]
    assert "RoleArn" not in plain
    named = emulate.Stack({"StudentId": "x", "SchedulerRole": "e"}, REGION)
    (target,) = named.resources["EventGeneratorSchedule"]["Properties"]["Targets"]
    assert target["RoleArn"].endswith(":role/e")
    assert stack.of("AWS::Lambda::Permission")[0]["Principal"] == "events.amazonaws.com"


def test_buckets_are_private_encrypted_and_reached_by_tls_only(stack: emulate.Stack):
    buckets = stack.of("AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert "BucketEncryption" in bucket
        assert len(bucket["BucketName"]) <= 63
        policy = next(one for one in stack.of("AWS::S3::BucketPolicy") if one["Bucket"] == bucket["BucketName"])
        (statement,) = policy["PolicyDocument"]["Statement"]
        arn = f"arn:aws:s3:::{bucket['BucketName']}"
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}
        assert (statement["Principal"], statement["Action"], statement["Resource"]) == ("*", "s3:*", [arn, f"{arn}/*"])


def test_the_longest_student_id_makes_names_that_are_allowed():
    longest = "a" * 30
    stack = emulate.Stack({"StudentId": longest}, REGION)
    assert re.fullmatch(emulate.read(TEMPLATE)["Parameters"]["StudentId"]["AllowedPattern"], longest)
    assert max(len(bucket["BucketName"]) for bucket in stack.of("AWS::S3::Bucket")) <= 63
    assert max(len(function["FunctionName"]) for function in stack.of("AWS::Lambda::Function")) <= 64


def test_the_generator_has_the_memory_time_and_schedule_of_the_starter(stack: emulate.Stack):
    function = stack.resources["EventGeneratorFunction"]["Properties"]
    assert (function["MemorySize"], function["Timeout"], function["Runtime"]) == (3008, 900, "python3.13")
    rule = stack.resources["EventGeneratorSchedule"]["Properties"]
    assert (rule["ScheduleExpression"], rule["State"]) == ("cron(0/5 * * * ? *)", "ENABLED")
    assert function["Environment"]["Variables"]["LOW"] == 500_000
    assert function["Environment"]["Variables"]["HIGH"] == 750_000


def test_it_has_the_names_and_exports_of_the_provided_starter(stack: emulate.Stack):
    """Facts of the course's own template: graders' scripts and public solutions of the brief rely on them."""
    template = emulate.read(TEMPLATE)
    assert template["Parameters"]["StudentId"]["AllowedPattern"] == "^[a-z0-9-]+$"
    function = stack.resources["EventGeneratorFunction"]["Properties"]
    assert function["FunctionName"] == f"capstone-event-generator-{stack.parameters['StudentId']}"
    assert function["Handler"] == "index.lambda_handler"
    rule = stack.resources["EventGeneratorSchedule"]["Properties"]
    assert rule["Name"] == f"capstone-event-generator-schedule-{stack.parameters['StudentId']}"
    assert stack.resources["EventGeneratorFunctionPermission"]["Type"] == "AWS::Lambda::Permission"
    assert stack.resources["BucketCleanupFunction"]["Type"] == "AWS::Lambda::Function"
    cleanup = template["Resources"]["BucketCleanup"]["Properties"]["ServiceToken"]
    assert cleanup == {"Fn::GetAtt": ["BucketCleanupFunction", "Arn"]}
    exports = {one["Export"]["Name"]["Fn::Sub"]: name for name, one in template["Outputs"].items() if one.get("Export")}
    assert exports == {
        "${AWS::StackName}-SourceBucket": "SourceBucketName",
        "${AWS::StackName}-SourcePrefix": "SourceDataPrefix",
        "${AWS::StackName}-SourceBucketArn": "SourceBucketArn",
        "${AWS::StackName}-Schedule": "EventGeneratorSchedule",
        "${AWS::StackName}-LambdaFunction": "LambdaFunctionName",
    }


def test_the_files_in_the_lake_bucket_are_those_of_the_project(stack: emulate.Stack):
    files = stack.of("Custom::BucketCleanup")[0]["Files"]
    assert files["queries.sql"] == (ROOT / "queries.sql").read_text("utf-8")
    assert files["code/job.py"] == (ROOT / "jobs" / "glue_build_pipeline.py").read_text("utf-8")
    assert stack.outputs["QueriesFileS3Uri"].endswith("/queries.sql")
    job = stack.resources["Job"]["Properties"]
    assert job["Command"]["ScriptLocation"].endswith("/code/job.py")


def test_the_named_queries_are_the_five_questions(stack: emulate.Stack):
    named = stack.of("AWS::Athena::NamedQuery")
    assert [one["Name"] for one in named] == [query.name for query in queries.five()]
    parsed = [queries.parse(one["QueryString"])[0] for one in named]
    assert parsed == list(queries.five())


def test_the_job_runs_once_at_a_time_with_a_limit_and_no_secret(stack: emulate.Stack):
    job = stack.resources["Job"]["Properties"]
    assert job["GlueVersion"] == "5.1"
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert (job["MaxRetries"], job["Timeout"]) == (1, 60)
    assert not [
        name for name in job["DefaultArguments"] if re.search(r"key|secret|token|password", name, re.IGNORECASE)
    ]


def test_the_job_reads_every_argument_that_is_its_own(stack: emulate.Stack):
    text = (ROOT / "jobs" / "glue_build_pipeline.py").read_text("utf-8")
    given = stack.resources["Job"]["Properties"]["DefaultArguments"]
    own = [name.removeprefix("--") for name in given if re.fullmatch(r"--[a-z]+", name) and name != "--conf"]
    assert own == ["source", "lake", "database"]
    assert all(f'"{name}"' in text for name in own)


def arguments(stack: emulate.Stack) -> dict[str, str]:
    return dict(stack.resources["Job"]["Properties"]["DefaultArguments"])


def test_without_a_package_the_pipeline_waits_and_says_for_what(stack: emulate.Stack):
    """No run can do anything before it is there; until the name is ours on PyPI, no other package may run as it."""
    assert "--additional-python-modules" not in arguments(stack)
    assert stack.resources["ArrivalRule"]["Properties"]["State"] == "DISABLED"
    assert "shoplake deploy --student-id a-b" in stack.outputs["NextStep"]
    waiting = emulate.Stack({"StudentId": "a-b", "Runner": "glue"}, REGION)
    assert waiting.resources["Trigger"]["Properties"]["StartOnCreation"] is False


@pytest.mark.parametrize("given", [{"ShoplakePackage": "shoplake==9,duckdb==2.0.0"}, {"Bundle": "code/shoplake-9-abc"}])
def test_with_a_package_either_runner_runs_from_the_start(given: dict[str, str]):
    arrives = emulate.Stack({"StudentId": "a-b", **given}, REGION)
    assert arrives.resources["ArrivalRule"]["Properties"]["State"] == "ENABLED"
    assert "Trigger" not in arrives.resources
    assert arrives.outputs["NextStep"] == "None. The pipeline takes in each file as it arrives"
    scheduled = emulate.Stack({"StudentId": "a-b", "Runner": "glue", **given}, REGION)
    assert scheduled.resources["ArrivalRule"]["Properties"]["State"] == "DISABLED"
    assert scheduled.resources["Trigger"]["Properties"]["StartOnCreation"] is True
    assert scheduled.outputs["NextStep"] == "None. The pipeline runs every 15 minutes"


def test_both_runners_install_what_was_uploaded_and_ask_no_index(stack: emulate.Stack):
    built = emulate.Stack({"StudentId": "a-b", "Bundle": "code/shoplake-9-abc"}, REGION)
    bucket = f"s3://{stack.outputs['LakeBucketName']}/code/shoplake-9-abc"
    assert arguments(built)["--additional-python-modules"] == f"{bucket}.gluewheels.zip"
    assert arguments(built)["--python-modules-installer-option"] == "--no-index"
    function = built.resources["ArrivalFunction"]["Properties"]
    assert function["Environment"]["Variables"]["PACKAGE"] == f"{bucket}.lambda.zip"


def test_both_runners_install_a_release_by_its_name_and_its_libraries_pinned():
    package = "shoplake==9,duckdb==2.0.0"
    released = emulate.Stack({"StudentId": "a-b", "ShoplakePackage": package}, REGION)
    assert arguments(released)["--additional-python-modules"] == package
    assert "--python-modules-installer-option" not in arguments(released)
    assert released.resources["ArrivalFunction"]["Properties"]["Environment"]["Variables"]["PACKAGE"] == package


@pytest.mark.parametrize("runner", ["lambda", "glue"])
def test_schedule_off_pauses_all_that_runs_by_itself(runner: str):
    given = {"StudentId": "a-b", "Bundle": "code/shoplake-9-abc", "Runner": runner, "Schedule": "off"}
    paused = emulate.Stack(given, REGION)
    assert paused.resources["EventGeneratorSchedule"]["Properties"]["State"] == "DISABLED"
    assert paused.resources["ArrivalRule"]["Properties"]["State"] == "DISABLED"
    assert "Trigger" not in paused.resources
    assert paused.outputs["NextStep"] == "None. The pipeline is paused by the parameter Schedule"


def test_monitoring_off_leaves_out_what_a_role_may_not_be_allowed_to_make(stack: emulate.Stack):
    bare = emulate.Stack({"StudentId": "a-b", "Monitoring": "off", "AlarmEmail": "x@example.com"}, REGION)
    left = {"AWS::Logs", "AWS::SNS", "AWS::SQS", "AWS::CloudWatch"}
    assert {one["Type"].rpartition("::")[0] for one in stack.resources.values()} >= left
    assert not {one["Type"].rpartition("::")[0] for one in bare.resources.values()} & left
    assert not bare.of("AWS::S3::BucketPolicy")
    for function in bare.of("AWS::Lambda::Function"):
        assert "LoggingConfig" not in function
    assert "DestinationConfig" not in bare.of("AWS::Lambda::EventInvokeConfig")[0]
    assert not {"AlarmTopicArn", "DashboardConsole"} & set(bare.outputs)


def test_an_arrival_and_every_hour_invoke_the_function(stack: emulate.Stack):
    (source,) = [one for one in stack.of("AWS::S3::Bucket") if "events" in one["BucketName"]]
    assert source["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    rule = stack.resources["ArrivalRule"]["Properties"]
    assert rule["EventPattern"]["detail"]["bucket"] == {"name": [source["BucketName"]]}
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"wildcard": "events/*.jsonl.gz"}]}
    assert rule["ScheduleExpression"] == "cron(7 * * * ? *)"
    function = stack.resources["ArrivalFunction"]["Properties"]
    assert rule["Targets"] == [{"Id": "arrival", "Arn": emulate_arn(function["FunctionName"])}]
    permission = stack.resources["ArrivalPermission"]["Properties"]
    assert (permission["FunctionName"], permission["SourceArn"].rpartition("/")[2]) == (
        function["FunctionName"],
        rule["Name"],
    )


def emulate_arn(function: str) -> str:
    return f"arn:aws:lambda:{REGION}:{emulate.ACCOUNT}:function:{function}"


def test_a_failed_event_is_tried_again_then_kept_and_an_alarm_says_so(stack: emulate.Stack):
    retries = stack.resources["ArrivalRetries"]["Properties"]
    assert (retries["MaximumRetryAttempts"], retries["MaximumEventAgeInSeconds"]) == (2, 3600)
    queue = stack.resources["ArrivalFailures"]["Properties"]
    assert retries["DestinationConfig"]["OnFailure"]["Destination"].endswith(f":{queue['QueueName']}")
    assert stack.resources["ArrivalFailed"]["Properties"]["Dimensions"] == [
        {"Name": "QueueName", "Value": queue["QueueName"]}
    ]


def test_no_concurrency_is_reserved():
    """Course accounts have 10 in all, of which none can be reserved."""
    assert "ReservedConcurrentExecutions" not in TEMPLATE.read_text("utf-8")


def test_the_executors_know_the_region(stack: emulate.Stack):
    assert f"spark.executorEnv.AWS_REGION={REGION} " in arguments(stack)["--conf"]
    assert not {"--enable-metrics", "--enable-observability-metrics", "--datalake-formats"} & set(arguments(stack))


def test_athena_cannot_scan_without_limit(stack: emulate.Stack):
    group = stack.resources["WorkGroup"]["Properties"]["WorkGroupConfiguration"]
    assert group["EnforceWorkGroupConfiguration"] is True
    assert group["BytesScannedCutoffPerQuery"] == 10 * 2**30
    assert group["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{stack.outputs['LakeBucketName']}/")


def test_every_alarm_tells_the_topic_and_somebody_listens_if_wanted(stack: emulate.Stack):
    topic = stack.outputs["AlarmTopicArn"]
    alarms = stack.of("AWS::CloudWatch::Alarm")
    assert len(alarms) == 4
    assert all(alarm["AlarmActions"] == [topic] for alarm in alarms)
    assert not stack.of("AWS::SNS::Subscription")
    mailed = emulate.Stack({"StudentId": "x", "AlarmEmail": "x@example.com"}, REGION)
    assert [one["Endpoint"] for one in mailed.of("AWS::SNS::Subscription")] == ["x@example.com"]


def test_the_dashboard_is_json_and_names_what_is_there(stack: emulate.Stack):
    body = json.loads(stack.resources["Dashboard"]["Properties"]["DashboardBody"])
    assert len(body["widgets"]) == 5
    assert "${" not in json.dumps(body)


def test_every_finding_of_checkov_is_answered_in_the_docs():
    """Checkov itself is not a dependency: docs/aws.md has its command. The answers have to stay there."""
    text = ANSWERS.read_text("utf-8")
    checks = ("18", "21", "26", "27", "115", "116", "117", "158", "173", "195")
    assert [check for check in checks if f"CKV_AWS_{check} " not in text] == []


def test_what_uses_the_buckets_is_gone_before_the_setup_function_removes_them():
    """CloudFormation deletes in the reverse order: what depends on Setup goes first."""
    resources = emulate.read(TEMPLATE)["Resources"]
    first = {name for name, one in resources.items() if "BucketCleanup" in str(one.get("DependsOn", ""))}
    assert {"EventGeneratorSchedule", "Job", "ArrivalFunction"} <= first
    assert {"SourceEventsBucketPolicy", "LakeBucketPolicy"} <= first
    assert all(
        one["DeletionPolicy"] == "RetainExceptOnCreate"
        for one in resources.values()
        if one["Type"] == "AWS::S3::Bucket"
    )
