"""The handler of the event generator's Lambda. The template carries it after the text of ``shoplake.generator.events``."""

import json
from datetime import UTC, datetime

from shoplake.generator.events import SLOT, event_count, gzip_file, object_key, render


def lambda_handler(event: object, _: object) -> dict[str, object]:
    """Write the events of the five minutes before the scheduled time, or before now; asked twice, it writes once."""
    import os

    import boto3
    from botocore.exceptions import ClientError

    at, seed = scheduled(event), int(os.environ["SEED"])
    bucket, low, high = os.environ["BUCKET"], int(os.environ["LOW"]), int(os.environ["HIGH"])
    events = event_count(seed, at, low, high)
    body = b"".join(gzip_file(render(at - SLOT, events, seed)))
    done = {"bucket": bucket, "key": object_key(at), "events": events, "bytes": len(body), "written": True}
    about = {"ContentType": "application/x-ndjson", "ContentEncoding": "gzip"}
    s3 = boto3.client("s3")
    for attempt in range(5):
        try:
            s3.put_object(Bucket=bucket, Key=done["key"], Body=body, IfNoneMatch="*", **about)
            break
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "PreconditionFailed":  # the same invocation came before
                done["written"] = False
                break
            # Another write of this key is under way: only the next attempt tells what became of it.
            if code != "ConditionalRequestConflict" or attempt == 4:
                raise
    print(json.dumps(done))
    return done


def scheduled(event: object) -> datetime:
    """The time that a payload gives (UTC without a zone); now for any other payload, or none."""
    try:
        at = datetime.fromisoformat(event["time"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError, IndexError):
        at = datetime.now(UTC).replace(microsecond=0)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
