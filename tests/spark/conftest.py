"""One Spark for all of these tests."""

import gc
import os
import warnings
from importlib import util
from pathlib import Path

import pytest

from shoplake.engines import spark_session
from shoplake.errors import UsageError

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items):
    """PySpark leaves the sockets through which rows come to the garbage collector."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.spark)
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(autouse=True)
def _tidy():
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # so that no other test is blamed for them


@pytest.fixture(scope="session")
def session():
    """A local Spark with two cores that tries a failed task again."""
    if util.find_spec("pyspark") is None:
        pytest.skip("PySpark is not installed: pip install 'shoplake[spark]'")
    from pyspark.errors import PySparkRuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))  # for what tasks need of the tests
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # these runs are short
        try:
            try:
                started = spark_session.start("local[2, 3]", 2, spark_session.ICEBERG)
            except PySparkRuntimeError:  # what Spark says when it cannot fetch the package
                started = spark_session.start("local[2, 3]", 2)
        except UsageError as error:
            pytest.skip(f"{error}. {error.remedy}")
        yield started
        started.stop()


@pytest.fixture
def iceberg(session):
    """A session of its own with Iceberg."""
    if "iceberg" not in session.conf.get("spark.jars.packages", ""):
        pytest.skip(f"Maven Central cannot be reached, so there is no {spark_session.ICEBERG}")
    return session.newSession()
