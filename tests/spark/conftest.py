"""What only the tests of Spark itself need."""

import pytest

from shoplake.engines import spark_session


@pytest.fixture
def iceberg(session):
    """A session of its own with Iceberg."""
    if "iceberg" not in session.conf.get("spark.jars.packages", ""):
        pytest.skip(
            f"{spark_session.ICEBERG} could not be fetched: it needs Maven Central (https://repo1.maven.org) once,"
            " then it is kept in ~/.ivy2"
        )
    return session.newSession()
