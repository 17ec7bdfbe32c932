"""Writes the job's script and queries.sql into the lake's bucket; empties and removes the buckets with the stack."""

import json
import time
import urllib.request

import boto3

ATTEMPTS = 30


def handler(event, context):
    status, reason = "SUCCESS", "done"
    try:
        wanted = event["ResourceProperties"]
        if event["RequestType"] != "Delete":
            write(wanted["LakeBucket"], wanted["Files"])
        elif ends(event["StackId"], wanted["KeepData"]):
            for name in (wanted["SourceBucket"], wanted["LakeBucket"]):
                remove(name)
        else:
            reason = "the buckets stay"
    except Exception as error:  # whatever it is, the stack must hear of it, or it waits for an hour
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    print(json.dumps({"request": event["RequestType"], "status": status, "reason": reason}))
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": status, "Reason": reason, "PhysicalResourceId": event["LogicalResourceId"]}
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=30).close()


def ends(stack, keep):
    """Whether the stack itself goes: CloudFormation also sends Delete when an update renames or replaces this resource."""
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    # A stack that could not be made keeps nothing: buckets with data would fail the rollback.
    return found["StackStatus"] in ("ROLLBACK_IN_PROGRESS", *(["DELETE_IN_PROGRESS"] if keep == "false" else []))


def write(bucket, files):
    client = boto3.client("s3")
    for key, text in files.items():
        client.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/plain; charset=utf-8")


def remove(name):
    bucket = boto3.resource("s3").Bucket(name)
    for attempt in range(1, ATTEMPTS + 1):  # a last run may still write
        try:
            bucket.object_versions.delete()
            bucket.delete()
        except bucket.meta.client.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NoSuchBucket":
                return
            if code != "BucketNotEmpty" or attempt == ATTEMPTS:
                raise
            time.sleep(2)
        else:
            return
