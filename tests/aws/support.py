"""What the tests of the AWS part share: the emulator, the template, and the Lambda runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.emulate import TEMPLATE, read
from infra.runtime import runtime

__all__ = ["runtime"]

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "infra" / "roles.cfn.yaml"
REGION = "us-west-2"
START = datetime(2025, 11, 18, 14, tzinfo=UTC)
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def inline(resource_id: str) -> str:
    """The inline code of a function of the template."""
    return str(read(TEMPLATE)["Resources"][resource_id]["Properties"]["Code"]["ZipFile"])


DATABASE = "shoplake_x"


class Context:
    """Lambda's, with so many seconds left."""

    def __init__(self, seconds: int = 900) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return self._seconds * 1000


def arrival_environment(place: Any, s3_url: str, emulator_url: str, memory_mib: int) -> dict[str, str]:
    """What the function for arrivals is given: source and lake at a place on the S3 server, all else on the emulator."""
    return {
        "AWS_ENDPOINT_URL": emulator_url,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
        "SOURCE": str(place / "raw"),
        "LAKE": str(place / "lake"),
        "DATABASE": DATABASE,
    }


@contextmanager
def emulator() -> Iterator[str]:
    """The URL of moto's server, with no state, in this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
