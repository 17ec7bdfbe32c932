"""What only the tests of Spark itself need."""

import pytest

from shoplake.engines import spark_session


@pytest.fixture
def iceberg(session):
    """A session of its own with Iceberg."""
    if "iceberg" not in session.conf.get("spark.jars.packages", ""):
        pytest.skip(f"Maven Central cannot be reached, so there is no {spark_session.ICEBERG}")
    return session.newSession()
