"""Writes the job's script and queries.sql into the lake's bucket; empties and removes the buckets with the stack."""

import json
import urllib.request

import boto3


def handler(event, context):
    status, reason = "SUCCESS", "done"
    try:
        wanted = event["ResourceProperties"]
        if event["RequestType"] != "Delete":
            write(wanted["LakeBucket"], wanted["Files"])
        elif wanted["KeepData"] == "false":
            for name in (wanted["SourceBucket"], wanted["LakeBucket"]):
                remove(name)
    except Exception as error:  # whatever it is, the stack must hear of it, or it waits for an hour
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    print(json.dumps({"request": event["RequestType"], "status": status, "reason": reason}))
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": status, "Reason": reason, "PhysicalResourceId": event["LogicalResourceId"]}
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=30).close()


def write(bucket, files):
    client = boto3.client("s3")
    for key, text in files.items():
        client.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/plain; charset=utf-8")


def remove(name):
    bucket = boto3.resource("s3").Bucket(name)
    try:
        bucket.object_versions.delete()
        bucket.delete()
    except bucket.meta.client.exceptions.NoSuchBucket:
        pass
