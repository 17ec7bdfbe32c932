"""What can be wrong with S3 is said in plain words, with what to do, and soon."""

import pytest

import shoplake
from shoplake.errors import FatalError, ShoplakeError, TransientError, UsageError
from shoplake.lake.catalog import Lake
from shoplake.sources.open import open_source
from shoplake.storage import bucket as s3
from tests.s3.fault_proxy import proxied
from tests.support import command, dump, events, ingest, put

pytestmark = pytest.mark.s3


@pytest.fixture(autouse=True)
def _impatient():
    # Not by the tests' own monkeypatch, which would then be there before s3_place and bring its endpoint back after it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "RETRIES", 1)
        patch.setattr(s3, "RETRY_SECONDS", 1)
        yield


@pytest.fixture
def proxy(s3_place, s3_url, monkeypatch):
    """Everybody asks the proxy."""
    with proxied(s3_url) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        yield between


def failing(family, *words, place):
    """Reading a lake, listing a source and a whole ingest fail with the same words."""
    for call in (
        lambda: shoplake.open(f"{place}/lake"),
        lambda: open_source(f"{place}/raw").list(),
        lambda: ingest(place / "raw", place / "lake"),
    ):
        with pytest.raises(ShoplakeError) as caught:
            call()
        assert isinstance(caught.value, family)
        said = f"{caught.value} {caught.value.remedy}"
        assert all(word in said for word in words), said
        assert "Debug source" not in said
    told = command("ingest", "--source", f"{place}/raw", "--lake", f"{place}/lake")
    assert (told.code, told.out) == (family.exit_code, "")
    assert "Traceback" not in told.err


def test_missing_bucket(s3_place):
    """The bucket is named, and how to make it."""
    nowhere = type(s3_place)(s3_place.store, "no-such-bucket", s3_place.path)
    failing(UsageError, "there is no bucket no-such-bucket", "aws s3 mb s3://no-such-bucket", place=nowhere)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials(s3_place, monkeypatch, name):
    """Keys that the server does not know are told from missing permissions."""
    monkeypatch.setenv(name, "wrong")
    failing(UsageError, "does not know the credentials", "AWS_SECRET_ACCESS_KEY", place=s3_place)


def test_no_credentials(s3_place, monkeypatch):
    """Without any credentials nothing is tried, and the ways to give some are named."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    failing(UsageError, "no credentials", "AWS_ACCESS_KEY_ID", place=s3_place)


def test_denied(s3_place, proxy):
    """The permissions that are needed are named."""
    proxy.rule = lambda _: "denied"
    failing(FatalError, "access is denied (AccessDenied)", "s3:ListBucket", "s3:PutObject", place=s3_place)


def test_denied_to_write(s3_place, proxy):
    """Who may read and not write is told so, and nothing is changed."""
    put(s3_place / "raw", 0, events(5))
    ingest(s3_place / "raw", s3_place / "lake")
    before = dump(s3_place / "lake")
    put(s3_place / "raw", 1, events(5, first=5))
    proxy.rule = lambda request: "denied" if request.method == "PUT" else None
    with pytest.raises(FatalError, match=r"writing .*: access is denied"):
        ingest(s3_place / "raw", s3_place / "lake")
    assert dump(s3_place / "lake") == before


def test_wrong_region(s3_place, proxy):
    """The right region is named."""
    proxy.rule = lambda _: "wrong region"
    failing(UsageError, "is in another region", "AWS_REGION=eu-west-1", place=s3_place)


def test_nobody_there(s3_place, monkeypatch):
    """A wrong endpoint fails in a second or two, not in minutes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    failing(TransientError, "did not respond", "AWS_ENDPOINT_URL", place=s3_place)


def test_server_without_conditional_writes(s3_place, proxy):
    """A server that overlooks conditions would lose batches: no lake is made there."""
    put(s3_place / "raw", 0, events(5))
    proxy.rule = lambda request: "overlook" if request.conditional else None
    with pytest.raises(FatalError, match="ignores the conditions of writes"):
        ingest(s3_place / "raw", s3_place / "lake")
    assert not [path for path in (s3_place / "lake").rglob("*") if "catalog.json" in path.name]
    proxy.rule = lambda _: None
    with pytest.raises(UsageError, match="there is no lake"):
        Lake(str(s3_place / "lake")).need()


@pytest.mark.parametrize("uri", ["s3://", "s3:///lake", "s3://bucket/a//b", "s3://bucket/../x", "s3://b$cket/lake"])
def test_no_such_names(uri):
    """A URI that names no bucket and prefix is a usage error, not a folder of that name."""
    with pytest.raises(UsageError, match="names no bucket"):
        Lake(uri)
    with pytest.raises(UsageError, match="names no bucket"):
        open_source(uri)
