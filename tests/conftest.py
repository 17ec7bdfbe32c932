"""Places for sources and lakes, a folder of this machine and a prefix on a real S3 server; and one Spark for all."""

from __future__ import annotations

import gc
import os
import uuid
import warnings
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest

from shoplake.engines import spark_session
from shoplake.errors import UsageError
from shoplake.lake import Lake
from tests.s3 import server
from tests.s3.path import S3Path
from tests.support import ENGINE

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """PySpark leaves the sockets through which rows come to the garbage collector."""
    for item in items:
        if ENGINE == "spark" or "session" in item.fixturenames:
            item.add_marker(pytest.mark.spark)
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(autouse=True)
def _engine(request):
    """The engine that the environment names for all tests; nobody else is blamed for what PySpark leaves."""
    spark = ENGINE == "spark" or "session" in request.fixturenames
    if spark:
        request.getfixturevalue("session")
    yield
    if spark:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(scope="session")
def session():
    """A local Spark with two cores that tries a failed task again."""
    from pyspark.errors import PySparkRuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))  # for what tasks need of the tests
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # these runs are short
        try:
            try:
                started = spark_session.start("local[2, 3]", 2, spark_session.ICEBERG)
            except PySparkRuntimeError:  # what Spark says when it cannot fetch the package
                started = spark_session.start("local[2, 3]", 2)
        except UsageError as error:  # there is no Java
            pytest.skip(f"{error}. {error.remedy}")
        yield started
        started.stop()


@pytest.fixture
def unlocked(monkeypatch):
    """No run waits for another: as on storages that have no lock."""
    monkeypatch.setattr(Lake, "writing", lambda *_: nullcontext())


@pytest.fixture(scope="session")
def s3_url():
    """The URL of an S3 server that this session started."""
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
