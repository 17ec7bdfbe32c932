"""What only the tests of Spark itself need."""

import pytest

from shoplake.engines import spark_session
from tests.support import skip_without


@pytest.fixture
def iceberg(session):
    """A session of its own with Iceberg."""
    if "iceberg" not in session.conf.get("spark.jars.packages", ""):
        skip_without(spark_session.ICEBERG)
    return session.newSession()
