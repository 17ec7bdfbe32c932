"""One file of the real size by the inline generator under the Lambda runtime interface client: time and peak memory.

python -m tests.aws.measure
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import boto3

from infra import grade
from tests.aws import support


def main() -> None:
    """Run it for three times of the day."""
    with grade.emulator(), tempfile.TemporaryDirectory() as folder:
        boto3.client("s3").create_bucket(Bucket="raw", CreateBucketConfiguration={"LocationConstraint": support.REGION})
        environment = {**os.environ, "BUCKET": "raw", "SEED": "42", "LOW": "500000", "HIGH": "750000"}
        code = support.inline("EventGeneratorFunction")
        with support.runtime(code, Path(folder), environment, 3008) as invoke:
            for hour in (3, 14, 20):
                done = invoke({"time": f"2025-11-18T{hour:02}:00:00Z"})
                print(  # noqa: T201 - a script for the terminal
                    f"{done.answer['events']:,} events, {done.answer['bytes']:,} bytes, {done.seconds:.1f} s "
                    f"({done.cpu_seconds:.1f} s of CPU), peak {done.peak_mib:,.0f} MiB"
                )


if __name__ == "__main__":
    main()
