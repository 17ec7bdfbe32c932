"""Between shoplake and the S3 server something breaks: a run finishes or fails in plain words, and nothing is lost or doubled.

A few in every test run; many more, seeded, by

    make proofs ARGS=tests/s3/test_s3_faults.py
"""

import random
from contextlib import closing, contextmanager
from itertools import product
from typing import Any

import pytest

import shoplake
from shoplake.errors import ShoplakeError, TransientError, UnknownOutcomeError
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.operations.verify.reader import Reader
from shoplake.sources import s3 as s3_source
from shoplake.storage import bucket as s3
from shoplake.tables import EVENTS
from tests.s3.fault_proxy import FAULTS, proxied
from tests.support import (
    answers,
    dump,
    event,
    events,
    ingest,
    key,
    oracle,
    proofs,
    put,
)

STALE = "stale list"
RANDOM = [("any", 0), *proofs(*(("any", seed) for seed in range(1, 10)), *product(FAULTS, range(10)))]

pytestmark = pytest.mark.s3


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Seconds instead of minutes, and small ranges, so that small files are read in several."""
    monkeypatch.setattr(s3, "STALLED_SECONDS", 0.5)
    monkeypatch.setattr(s3, "RETRY_SECONDS", 4)
    monkeypatch.setattr(s3, "RETRIES", 3)
    monkeypatch.setattr(s3, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(s3_source, "RANGE_BYTES", 400)


def patient(monkeypatch):
    """Enough for another run to do all its work meanwhile."""
    monkeypatch.setattr(s3, "STALLED_SECONDS", 60)
    monkeypatch.setattr(s3, "RETRY_SECONDS", 60)


@pytest.fixture
def proxy(s3_place, s3_url):
    """What is between a disturbed run and the server; what it spoils is set later."""
    with proxied(s3_url) as between:
        yield between


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables after both steps, undisturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    begin(folder)
    change(folder)
    ingest(folder / "raw", folder / "lake")
    return dump(folder / "lake")


def begin(place):
    """A lake of two files that share an event."""
    put(place / "raw", 1, [*events(30, first=20), event(100, "purchase", price=1.25), b"broken"])
    put(place / "raw", 2, [*events(30, first=60), event(100, "purchase", price=1.25)])
    ingest(place / "raw", place / "lake")


def change(place):
    """What the disturbed run is about: a replaced file, and new ones, one of them earlier by name, with shared events."""
    put(
        place / "raw",
        1,
        [*events(25, first=20), event(101, "purchase", timestamp="2025-11-18T09:00:00Z"), b"broken, too"],
    )
    put(place / "raw", 0, [*events(30), event(60)])
    put(place / "raw", 3, [*events(20, first=85), event(102, timestamp="2025-11-19T01:00:00Z")])


@contextmanager
def between(proxy):
    """Who asks S3 in this block asks the proxy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield
    proxy.let_go.set()


def disturbed(place, proxy):
    """A run by way of the proxy, which may fail, but only in plain words; returns its error."""
    with between(proxy):
        try:
            ingest(place / "raw", place / "lake")
        except ShoplakeError as error:
            assert error.remedy  # noqa: PT017 - both ends are right
            assert "Debug source" not in str(error)  # noqa: PT017
            return error
    return None


def recovered(place, truth):
    """Readers see whole batches; the next run, undisturbed, brings the tables to the truth; the one after finds nothing."""
    lake = place / "lake"
    assert answers(lake) == oracle(lake)
    ingest(place / "raw", lake)
    assert dump(lake) == truth
    assert ingest(place / "raw", lake).batches == 0


def once(fault, *kinds):
    """A rule: the first request of each kind gets the fault."""
    left = list(kinds)

    def rule(request):
        kind = next((kind for kind in left if kind(request)), None)
        if kind:
            left.remove(kind)
        return fault if kind else None

    return rule


def reads_source(request):
    return request.method == "GET" and request.path.endswith(key(3))


def reads_lake(request):
    return request.method == "GET" and "/lake/" in request.path and request.path.endswith((".parquet", ".avro"))


def writes_data(request):
    return request.method == "PUT" and "/events/data/" in request.path


def swaps(request):
    return request.conditional and request.path.endswith("catalog.json")


def lists(request):
    return request.lists


def deletes(request):
    return request.method == "POST" and "delete" in request.query


KINDS = (lists, reads_source, reads_lake, writes_data, swaps)


@pytest.mark.parametrize("fault", ["503", "stalled body", "cut", *proofs("reset", "reset after", "stalled")])
def test_single_faults_are_repaired(s3_place, proxy, truth, fault):
    """One broken answer to each kind of request costs repetitions and nothing else: the run finishes."""
    begin(s3_place)
    change(s3_place)
    proxy.rule = once(fault, *KINDS)
    assert disturbed(s3_place, proxy) is None
    assert len(proxy.done_to(fault)) == len(KINDS)
    assert dump(s3_place / "lake") == truth


@pytest.mark.parametrize(("fault", "seed"), RANDOM)
def test_faults_at_random(s3_place, proxy, truth, fault, seed):
    """When every fifth answer is broken, a run finishes or fails cleanly, and the next one makes it good."""
    begin(s3_place)
    change(s3_place)
    rng = random.Random(seed)
    proxy.rule = lambda _: (rng.choice(FAULTS) if fault == "any" else fault) if rng.random() < 0.2 else None
    disturbed(s3_place, proxy)
    assert any(what for _, what in proxy.seen)
    recovered(s3_place, truth)


@pytest.mark.parametrize("fault", ["503", "stalled", *proofs("reset", "cut")])
def test_no_answer_at_all(s3_place, proxy, truth, fault):
    """When nothing works any more the run gives up in time, with what to do, and has changed nothing."""
    begin(s3_place)
    before = dump(s3_place / "lake")
    change(s3_place)
    proxy.rule = lambda request: fault if request.method == "GET" else None
    error = disturbed(s3_place, proxy)
    assert isinstance(error, TransientError)
    assert "run the same command again" in error.remedy
    assert dump(s3_place / "lake") == before
    recovered(s3_place, truth)


@pytest.mark.parametrize("hidden", [key(3), key(2)], ids=["a new file", "a file to be done again"])
def test_stale_listing(s3_place, proxy, truth, monkeypatch, hidden):
    """An object that a listing does not show yet is taken in by a later run, and what is known of it stays."""
    monkeypatch.setattr(pipeline, "MAX_PASSES", 2)
    begin(s3_place)
    change(s3_place)
    proxy.hidden = hidden
    proxy.rule = lambda request: STALE if request.lists else None
    disturbed(s3_place, proxy)
    assert proxy.done_to(STALE)
    assert dump(s3_place / "lake") != truth
    recovered(s3_place, truth)


def test_answer_to_the_swap_lost(s3_place, proxy, truth):
    """A swap that was done, but whose answer got lost, is seen to have been done: nothing is planned again or doubled."""
    begin(s3_place)
    change(s3_place)
    version = Lake(str(s3_place / "lake")).view().version
    proxy.rule = once("reset after", swaps)
    assert disturbed(s3_place, proxy) is None
    assert len(proxy.done_to("reset after")) == 1
    assert Lake(str(s3_place / "lake")).view().version == version + 2, "one batch, and the files that it reopened"
    recovered(s3_place, truth)


def test_answer_to_the_swap_lost_and_overtaken(s3_place, proxy, truth, monkeypatch):
    """The swap was done, its answer lost, and another run built upon it before this one could look: its files stay."""
    patient(monkeypatch)
    begin(s3_place)
    change(s3_place)
    swapped: list[Any] = []
    others: list[Any] = []

    def other():
        others.append(ingest(s3_place / "raw", s3_place / "lake"))  # takes up the reopened files

    def rule(request):
        if not swapped and swaps(request):
            swapped.append(request)
            return "reset after"
        if len(swapped) == 1:
            swapped.append(request)
            return other
        return None

    proxy.rule = rule
    assert disturbed(s3_place, proxy) is None
    assert [run.batches for run in others] == [1]
    assert dump(s3_place / "lake") == truth
    assert shoplake.verify(str(s3_place / "lake"), threads=2).ok, "what earlier snapshots name is there, too"


def test_overtaken_at_the_swap(s3_place, proxy, truth, monkeypatch):
    """Another run commits while this one's swap is on its way: it is refused, and this run plans again, tidy or not."""
    patient(monkeypatch)
    begin(s3_place)
    change(s3_place)
    swapped: list[Any] = []
    others: list[Any] = []

    def other():
        others.append(ingest(s3_place / "raw", s3_place / "lake"))

    def rule(request):
        if not swapped and swaps(request):
            swapped.append(request)
            return other
        return "503" if deletes(request) else None

    proxy.rule = rule
    assert disturbed(s3_place, proxy) is None
    assert [run.batches for run in others] == [2]
    assert proxy.done_to("503")
    assert dump(s3_place / "lake") == truth


def test_swap_without_an_answer(s3_place, proxy, truth):
    """When it cannot be known whether the swap was done, the run says so, and whatever the tables may need stays."""
    begin(s3_place)
    change(s3_place)
    struck: list[Any] = []

    def rule(request):
        if swaps(request) and not struck:
            struck.append(request)
            return "reset after"
        return "stalled" if struck and request.path.endswith("catalog.json") else None

    proxy.rule = rule
    error = disturbed(s3_place, proxy)
    assert isinstance(error, UnknownOutcomeError)
    recovered(s3_place, truth)


@pytest.mark.parametrize("fault", ["503", "cut", *proofs("reset", "stalled body")])
def test_readers(s3_place, proxy, fault):
    """An analyst's query goes on after a broken answer, and fails in plain words when there are no others."""
    begin(s3_place)
    question = "SELECT sum(price), count(DISTINCT user_id) FROM events"
    with shoplake.open(str(s3_place / "lake"), threads=2) as lake:
        expected = lake.sql(question).fetchall()
    with between(proxy), shoplake.open(str(s3_place / "lake"), threads=2) as lake:
        proxy.rule = once(fault, reads_lake)
        assert lake.sql(question).fetchall() == expected
        assert proxy.done_to(fault)
        proxy.rule = lambda request: fault if reads_lake(request) else None
        with pytest.raises(TransientError, match="reading s3://"), lake.reading():
            lake.sql("SELECT sum(events) FROM session_hourly").fetchall()
        proxy.rule = lambda _: None
        assert lake.sql(question).fetchall() == expected


def test_verify(s3_place, proxy):
    """When S3 does not answer, verify says so; it does not call data files damaged."""
    begin(s3_place)
    lake = Lake(str(s3_place / "lake"))
    assert shoplake.verify(str(s3_place / "lake"), str(s3_place / "raw"), threads=2).ok
    with between(proxy):
        proxy.rule = once("503", reads_lake)
        assert shoplake.verify(str(s3_place / "lake"), threads=2).ok
        proxy.rule = lambda request: "503" if request.path.endswith(".parquet") else None
        with pytest.raises(TransientError, match="responded with 503"):
            shoplake.verify(str(s3_place / "lake"), threads=2)
        with closing(Reader(2)) as reader, pytest.raises(TransientError, match="responded with 503"):
            reader.why_unreadable(EVENTS, lake.view()["events"].files[0])


def test_requests_of_a_run_that_finds_nothing(s3_place, proxy):
    """One listing; of the lake the catalog, each table's metadata, what the ledger consists of, a note of a failure: once."""
    begin(s3_place)
    assert disturbed(s3_place, proxy) is None
    requests = [request for request, _ in proxy.seen]
    assert {request.method for request in requests} == {"GET"}
    assert sum(request.lists for request in requests) == 1
    reads = [request.path for request in requests if not request.lists]
    assert len(reads) == len(set(reads)) == 13, reads
