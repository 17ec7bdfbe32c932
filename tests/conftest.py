"""Places for sources and lakes, a folder of this machine and a prefix on a real S3 server; and one Spark for all."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import time
import uuid
import warnings
from collections import Counter
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path, PurePosixPath
from urllib.request import urlopen

import pytest

from shoplake.cli import process
from shoplake.engines import packing, spark_session
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import UsageError
from shoplake.lake.catalog import Lake
from tests import support
from tests.s3 import server, spark
from tests.s3.path import S3Path

ROOT = Path(__file__).parents[1]


SPARK = "spark"
LONGEST = (
    *("s3/test_s3_faults", "web/test_browser", "docs/test_pages", "behaviour/maintain/test_merging"),
    *("behaviour/test_ingest", "behaviour/test_order", "behaviour/test_api", "aws/test_arrival"),
    *("recovery/test_kills", "recovery/test_no_room", "behaviour/test_replay", "behaviour/quarantine/test_replay"),
)
"""Files that take long, in this order, begin before the others: none of them should be what all workers wait for."""

CASES_A_ROUND = 4
"""How many cases of a function follow one another where all proofs are run, before other functions' turn comes."""

UNTIL = float(os.environ.get("SHOPLAKE_PROOFS_UNTIL", "inf"))
"""When no more proof begins, in seconds since 1970."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tests on Spark share a worker, which begins with them; proofs are left out unless they are asked for."""
    for item in items:
        if computes_with_spark(item, getattr(item, "callspec", None)):
            assert support.ENGINE == "spark" or scope(item.nodeid) == SPARK, f"{item.nodeid} names no Spark"
            item.add_marker(pytest.mark.spark)
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))  # left by PySpark
    if not support.FULL:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("proof")])
        items[:] = [item for item in items if not item.get_closest_marker("proof")]
    if hasattr(config, "workerinput"):
        items.sort(key=turn)
    if support.FULL:
        rounds = Rounds()
        items.sort(key=lambda item: rounds(item.nodeid) if item.get_closest_marker("proof") else 0)


def pytest_collection_finish():
    """What was imported and collected stays to the end: looking through it for garbage again and again finds none."""
    gc.freeze()


def pytest_sessionfinish():
    """At the end of the process it is garbage as well."""
    gc.unfreeze()


def computes_with_spark(item, call):
    engine = call.params.get("engine", support.ENGINE) if call else support.ENGINE
    return engine == "spark" or "session" in item.fixturenames


def turn(item):
    """When an item begins: Spark's first, then those of the longest files."""
    if scope(item.nodeid) == SPARK:
        return -1
    return next((number for number, name in enumerate(LONGEST) if f"{name}.py" in item.nodeid), len(LONGEST))


def scope(nodeid):
    """What stays on one worker: all tests on Spark, told by their names, since the scheduler knows no more; else a file."""
    named = "spark" in nodeid or nodeid.startswith("tests/aws/test_ddl.py")
    return SPARK if named else nodeid.partition("::")[0]


class Rounds:
    """When a proof's turn is: the first few cases of every function come before the next few of any.

    So a run that has not the time for all proofs tries each family of them.
    """

    def __init__(self):
        self._seen: Counter[str] = Counter()
        self._round: dict[str, int] = {}

    def __call__(self, nodeid):
        if nodeid not in self._round:
            function = nodeid.partition("[")[0]
            self._round[nodeid] = self._seen[function] // CASES_A_ROUND
            self._seen[function] += 1
        return self._round[nodeid]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One more than there are cores: tests wait for servers, browsers and processes a third of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Group as :func:`scope` does.

    The marks of ``--dist loadgroup`` no longer reach the scheduler: https://github.com/pytest-dev/pytest-xdist/issues/1386.
    """
    from xdist.scheduler.loadfile import LoadFileScheduling

    rounds = Rounds()

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            shared = scope(nodeid)
            return shared if shared == SPARK or not support.FULL else f"{shared} {rounds(nodeid)}"

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" and support.ENGINE != "spark" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Once the time that proofs may take is over, the others are left out, and named."""
    if time.time() > UNTIL and item.get_closest_marker("proof"):
        pytest.skip(f"no time was left for {item.nodeid.partition('[')[0]}")


@pytest.fixture(autouse=True)
def engine(request):
    """The engine of a test: as :data:`tests.support.both` says, or else the environment. Spark is started before the test."""
    name = getattr(request, "param", support.ENGINE)
    spark_computes = name == "spark" or "session" in request.fixturenames
    if spark_computes:
        request.getfixturevalue("session")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support, "ENGINE", name)
        yield name
    if spark_computes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # nobody else is blamed for what PySpark leaves
            gc.collect()


@pytest.fixture(scope="session", autouse=True)
def unsynced():
    """Nothing waits for the disk: what is written outlives a killed process without that, and no test cuts the power.

    That files are synced, and before what, tests/unit/test_storage.py shows. Processes that tests start sync as always.
    """

    def only_check(handle: int) -> None:
        os.fstat(handle)  # raises for one that is not open, as fsync does

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", only_check)
        yield


@pytest.fixture(scope="session", autouse=True)
def process_stays():
    """What a command does for its process would stay in the process of the tests, which also ask for data frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "pass_over_pandas", lambda: None)
        patch.setattr(process, "reuse_memory", lambda: False)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_database():
    """The engines of this process share the database in which they check raw lines: each more costs 17 ms of CPU.

    Only cursors of it are used, and nothing stays in it. A process that a test starts has a database of its own.
    """
    start = vars(DuckDBEngine)["_database"].func
    shared = cache(lambda threads: start(DuckDBEngine(threads)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckDBEngine, "_database", property(lambda engine: shared(engine._threads)))
        yield


JAVA_OPTIONS = (
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),  # these runs are short
    "-Dspark.python.daemon.module=tests.spark.daemon",
)


@pytest.fixture(scope="session")
def session(tmp_path_factory):
    """A local Spark with two cores that tries a failed task again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))  # for what tasks need of the tests
        patch.setenv("JDK_JAVA_OPTIONS", " ".join(JAVA_OPTIONS))
        with (tmp_path_factory.getbasetemp().parent / "spark").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two that fetch packages at once disturb each other
            started = start_spark()
        yield started
        started.stop()


def start_spark():
    """With the packages, or without where Maven Central is out of reach; whatever else keeps it from starting is a failure."""
    with_packages = partial(spark_session.start, "local[2, 3]", 2, f"{spark_session.ICEBERG},{spark_session.S3}")
    try:
        return with_packages()
    except UsageError as error:
        if "there is none" in str(error):
            pytest.skip(f"{error}. {error.remedy}")
    return with_packages() if reaches_maven_central() else spark_session.start("local[2, 3]", 2)


def reaches_maven_central():
    try:
        with urlopen("https://repo1.maven.org/maven2/", timeout=20):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session", autouse=True)
def spark_before_all(request):
    """Where Spark computes in all tests, no fixture of a module may start one that lacks the packages."""
    if support.ENGINE == "spark":
        request.getfixturevalue("session")


@pytest.fixture(scope="module", autouse=True)
def own_aws():
    """What the tests of a file say of AWS ends with them: the next file's would ask a server that is none of theirs."""
    before = aws_variables()
    yield
    assert aws_variables() == before


def aws_variables():
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


@pytest.fixture
def no_aws(monkeypatch):
    """The environment says nothing of AWS."""
    for name in aws_variables():
        monkeypatch.delenv(name)


@pytest.fixture
def unlocked(monkeypatch):
    """No run waits for another: as on storages that have no lock."""
    monkeypatch.setattr(Lake, "lock", lambda *_: nullcontext())


@pytest.fixture
def interruptible():
    """A shell's background job ignores SIGINT, and so would the processes that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def s3_url():
    """The URL of an S3 server that this session started."""
    with server.running() as url:
        yield url


@pytest.fixture
def s3_place(request, s3_url):
    """A prefix of its own on the server, which the environment describes, for Spark too where it computes."""
    from obstore.store import S3Store

    if support.ENGINE == "spark" or "session" in request.fixturenames:
        spark.reaches(request.getfixturevalue("session"), {**server.KEYS, "AWS_ENDPOINT_URL": s3_url})
    with pytest.MonkeyPatch.context() as patch:  # of its own: a test may undo its changes before it ends
        for name, value in {**server.KEYS, "AWS_ENDPOINT_URL": s3_url}.items():
            patch.setenv(name, value)
        store = S3Store(server.BUCKET, endpoint=s3_url, client_options={"allow_http": True})
        yield S3Path(store, server.BUCKET, PurePosixPath(uuid.uuid4().hex[:12]))


@pytest.fixture
def place(request):
    """A folder; for tests that are to run ``everywhere``, in a second run a prefix on S3."""
    return request.getfixturevalue(getattr(request, "param", "tmp_path"))


@pytest.fixture
def own_data_files(monkeypatch):
    """Each source file and each hour of gold has data files of its own, as those of many rows do."""
    monkeypatch.setattr(packing, "FEW_ROWS", 1)


@pytest.fixture(scope="module")
def built_places(tmp_path_factory):
    """Where the folders of :func:`as_built` are."""
    return tmp_path_factory.mktemp("built")


@pytest.fixture
def as_built(place, built_places):
    """Calls a file's function that builds a source and a lake at a place, and returns the place that has them.

    In a folder it is called for the first test alone. The others get a copy of what it built, always at the same place,
    since the files of a lake name each other by their places.
    """

    def prepare(build):
        if not isinstance(place, Path):
            build(place)
            return place
        at, kept = (built_places / support.ENGINE / name for name in ("place", "kept"))
        if kept.exists():
            shutil.rmtree(at)
            shutil.copytree(kept, at)
        else:
            build(at)
            shutil.copytree(at, kept)
        return at

    return prepare
