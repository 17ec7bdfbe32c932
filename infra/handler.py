"""The handler of the event generator's Lambda. The template carries it after the text of ``shoplake.generator.events``."""

import json
from datetime import datetime

from shoplake.generator.events import SLOT, event_count, gzip_file, object_key, render


def handler(event: dict[str, str], _: object) -> dict[str, object]:
    """Write the events of the five minutes before the scheduled time; asked twice, it writes once."""
    import os

    import boto3
    from botocore.exceptions import ClientError

    at, seed = datetime.fromisoformat(event["time"]), int(os.environ["SEED"])
    bucket, low, high = os.environ["BUCKET"], int(os.environ["LOW"]), int(os.environ["HIGH"])
    events = event_count(seed, at, low, high)
    body = b"".join(gzip_file(render(at - SLOT, events, seed)))
    done = {"bucket": bucket, "key": object_key(at), "events": events, "bytes": len(body), "written": True}
    about = {"ContentType": "application/x-ndjson", "ContentEncoding": "gzip"}
    try:
        boto3.client("s3").put_object(Bucket=bucket, Key=done["key"], Body=body, IfNoneMatch="*", **about)
    except ClientError as error:  # the same invocation came before
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
        done["written"] = False
    print(json.dumps(done))
    return done
