"""Which entries of a source are source files, by name and by bytes, and what becomes of all others."""

import gzip
import json
import os
import socket
import subprocess

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from shoplake.sources.local import LocalSource
from shoplake.sources.open import open_source
from shoplake.storage.bucket import Bucket
from shoplake.storage.bucket_errors import Failure, explain
from tests.s3.server import KEYS
from tests.support import as_line, command, dump, event, events, everywhere, ingest, key, ledger, put, put_bytes

LINES = b"\n".join(map(as_line, events(4)))
PACKED = {
    "plain": LINES,
    "gzip": gzip.compress(LINES),
    "zstd": pa.compress(LINES, "zstd", asbytes=True),
}


def left_out(source):
    """The entries that a listing leaves out, by reason."""
    return {each.why: (each.entries, each.first) for each in open_source(str(source)).list().left_out}


@pytest.fixture(params=["native", "sql"])
def path(request, monkeypatch):
    """The path of reading."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", "1" if request.param == "native" else "0")


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("packed", PACKED)
def test_names_and_formats(tmp_path, packed, capfd):
    """Names of JSON Lines in any case are taken, and the bytes decide how they are read; no library complains of it."""
    names = [
        f"{stem}{end}"
        for number, stem in enumerate(["a.jsonl", "b.ndjson", "c.json", "D.JSONL", "e.Json"])
        for end in ["", ".gz", ".GZ", ".zst"][: 4 - number % 2]
    ]
    for name in names:
        put_bytes(tmp_path / "raw", name, PACKED[packed])
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.files, report.lines, report.accepted, report.failures) == (len(names), 4 * len(names), 4, [])
    assert sorted(ledger(tmp_path / "lake")) == sorted(names)
    assert capfd.readouterr() == ("", "")


@everywhere
def test_what_is_left_out_is_named(place):
    """Hidden entries, other kinds of files and the marks of writers are left out, counted and named."""
    raw = place / "raw"
    put(raw, 0, events(3))
    others = [
        ".hidden.jsonl.gz",
        ".folder/a.jsonl.gz",
        "_SUCCESS",
        "day_$folder$",
        "a.csv",
        "b.gz",
        "faults-manifest.json",
    ]
    for name in others:
        put_bytes(raw, name, b"x")
    report = ingest(raw, place / "lake")
    assert (report.files, report.failures) == (1, [])
    found = {each.why: each.entries for each in report.left_out}
    assert found == {"hidden": 2, "marker of a writer or a folder": 2, "another kind of file": 3}
    result = command("status", "--source", raw, "--lake", place / "lake", "--format", "json").json
    assert {each["why"]: each["entries"] for each in result["left_out"]} == found
    (waiting,) = [check for check in result["checks"] if check["check"] == "waiting"]
    assert waiting["verdict"] == "ok"
    for words in (("ingest",), ("ingest", "--dry-run"), ("status",)):
        said = command(*words, "--source", raw, "--lake", place / "lake").err
        assert "left out of the source: " in said
        assert "3 another kind of file (" in said
        assert "a.csv" in said
    todo = command("ingest", "--dry-run", "--source", raw, "--lake", place / "lake", "--format", "json").json
    assert {each["why"]: each["entries"] for each in todo["left_out"]} == found


def test_many_left_out_are_counted(tmp_path):
    """However many entries are left out, a few of them are named."""
    for number in range(200):
        put_bytes(tmp_path / "raw", f"{number:03}.csv", b"")
    (entries, first) = left_out(tmp_path / "raw")["another kind of file"]
    assert (entries, len(first)) == (200, 5)


def test_what_is_no_file(tmp_path):
    """Broken links, pipes and sockets are left out; nothing waits for a pipe."""
    put(tmp_path / "raw", 0, events(3))
    (tmp_path / "raw" / "broken.jsonl").symlink_to("nowhere")
    os.mkfifo(tmp_path / "raw" / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()  # noqa: PTH109 - the path of a socket is short
        os.chdir(tmp_path / "raw")
        listening.bind("socket.jsonl")
        os.chdir(before)
        assert ingest(tmp_path / "raw", tmp_path / "lake").files == 1
    found = left_out(tmp_path / "raw")
    assert found["broken link"] == (1, ["broken.jsonl"])
    assert sorted(found["neither a file nor a folder"][1]) == ["pipe.jsonl", "socket.jsonl"]


ODD = {
    "a link to itself": (lambda raw: (raw / "self.jsonl").symlink_to("self.jsonl"), "link to itself", "self.jsonl"),
    "a folder loop": (
        lambda raw: ((raw / "a").mkdir(), (raw / "a" / "up").symlink_to("..")),
        "link to a folder that it lies in",
        "a/up/",
    ),
    "two folders that contain each other": (
        lambda raw: ((raw / "a").mkdir(), (raw / "a" / "b").symlink_to("../a")),
        "link to a folder that it lies in",
        "a/b/",
    ),
    "a name that is not UTF-8": (
        lambda raw: open(os.fsencode(raw) + b"/bad\xff.jsonl", "wb").close(),  # noqa: PTH123
        "name that is not UTF-8",
        "bad\\xff.jsonl",
    ),
    "a folder that is not UTF-8": (
        lambda raw: os.mkdir(os.fsencode(raw) + b"/bad\xff"),  # noqa: PTH102
        "name that is not UTF-8",
        "bad\\xff",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_entry_fails_alone(tmp_path, name):
    """One entry that cannot be looked at is named, with exit code 0; the others are ingested, and status warns."""
    make, why, path = ODD[name]
    put(tmp_path / "raw", "good.jsonl", events(3))
    make(tmp_path / "raw")
    places = ("--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    result = command("ingest", *places)
    assert (result.code, "Ingested 1 file" in result.out) == (0, True)
    assert f"1 {why} ({path})" in result.err
    assert "lake" not in result.err
    (waiting,) = [
        one for one in command("status", *places, "--format", "json").json["checks"] if one["check"] == "waiting"
    ]
    assert waiting["verdict"] == "warning"
    assert "1 entry of the source could not be looked at" in waiting["sentence"]
    assert command("replay", *places, "--files", "good.jsonl").code == 0
    assert command("verify", *places).code == 0


def test_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    """It is named with the reason, as is a link into one, and what lies beside it is ingested."""
    put(tmp_path / "raw", "good.jsonl", events(3))
    (tmp_path / "raw" / "closed").mkdir()
    (tmp_path / "raw" / "link.jsonl").symlink_to("closed/x")
    scandir, stat = os.scandir, os.stat

    def refusing(real):
        def call(path, *more, **how):
            if "closed" in os.fspath(path):
                raise PermissionError(13, "Permission denied", path)
            return real(path, *more, **how)

        return call

    monkeypatch.setattr(os, "scandir", refusing(scandir))
    monkeypatch.setattr(os, "stat", refusing(stat))
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert report.files == 1
    assert ("cannot be read now (Permission denied)", ["closed/"]) in [
        (each.why, each.first) for each in report.left_out
    ]


def test_a_thousand_folders_deep(tmp_path, monkeypatch):
    """No depth is too deep, up to what the system itself can name."""
    put(tmp_path / "raw", "a.jsonl", events(3))
    monkeypatch.chdir(tmp_path / "raw")
    try:
        for folder in ["d"] * 1000:
            os.mkdir(folder)  # noqa: PTH102 - a path of pathlib is too deep for itself
            os.chdir(folder)
        with open("deep.jsonl", "wb") as file:  # noqa: PTH123
            file.write(as_line(event(7)))
        assert ingest(tmp_path / "raw", tmp_path / "lake").accepted == 4
        for folder in ["x" * 200] * 15:  # longer than any path that can be asked for at once
            os.mkdir(folder)  # noqa: PTH102
            os.chdir(folder)
        assert left_out(tmp_path / "raw")["cannot be read now (File name too long)"][0] == 1
    finally:
        os.chdir(tmp_path)
        subprocess.run(["rm", "-rf", "raw/d"], check=True)


def test_a_source_that_cannot_be_listed_is_not_the_lakes_fault(tmp_path):
    """A source that is a link to itself, or whose name is too long, is a usage error that names the source."""
    (tmp_path / "loop").symlink_to("loop")
    for source in (tmp_path / "loop", tmp_path / ("x" * 300), "~nobody-of-that-name/raw"):
        result = command("ingest", "--source", source, "--lake", tmp_path / "lake")
        assert result.code == 2
        assert "the source" in result.err
        assert "Traceback" not in result.err
    for lake in (tmp_path / "loop", tmp_path / ("x" * 300), "~nobody-of-that-name"):
        result = command("status", "--lake", lake)
        assert result.code in {1, 2}
        assert "Traceback" not in result.err


def test_damaged_zstandard_and_other_formats(tmp_path):
    """What cannot be read whole is set aside with its reason, whatever its format."""
    whole = PACKED["zstd"]
    contents = {
        "cut.jsonl.zst": whole[: len(whole) // 2],
        "bent.jsonl.zst": whole[:20] + bytes(4) + whole[24:],
        "bytes.jsonl": b"PK\x03\x04\0\0\0",
        "text.jsonl.gz": b"neither",
        "broken.jsonl": b'{"half": \n' + as_line(event(9)),
    }
    for name, content in contents.items():
        put_bytes(tmp_path / "raw", name, content)
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    errors = {failure["file"]: failure["error"] for failure in report.failures}
    assert set(errors) == set(contents) - {"broken.jsonl"}
    assert "Zstandard" in errors["cut.jsonl.zst"]
    assert "neither gzip nor Zstandard nor text" in errors["bytes.jsonl"]
    assert (report.accepted, report.quarantined) == (1, 1)


@pytest.mark.parametrize("packed", PACKED)
def test_an_erasure_keeps_the_format(tmp_path, packed):
    """A raw file that is rewritten without a person stays plain, gzip or Zstandard."""
    name = {"plain": "a.jsonl", "gzip": "a.jsonl.gz", "zstd": "a.jsonl.zst"}[packed]
    put_bytes(tmp_path / "raw", name, PACKED[packed])
    places = ("--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    ingest(tmp_path / "raw", tmp_path / "lake")
    assert command("erase", *places, "--user", "u_1", "--raw", "--yes").code == 0
    content = (tmp_path / "raw" / name).read_bytes()
    if packed != "plain":
        content = pa.input_stream(pa.py_buffer(content), compression=packed).read()
    users = [json.loads(line)["user_id"] for line in content.splitlines()]
    assert users == ["u_0", "u_2", "u_3"]
    assert len(dump(tmp_path / "lake")["events"]) == 3


@pytest.fixture
def denied(monkeypatch):
    """Paths that nobody may read now."""
    paths: set[str] = set()
    local, ranges = LocalSource.open, Bucket.get_range

    def open_local(self, file):
        if file.path in paths:
            raise PermissionError(13, "Permission denied", file.path)
        return local(self, file)

    def get_range(self, name, *more):
        if any(name.endswith(path) for path in paths):
            raise explain(Failure(OSError("status code: 403 <Code>AccessDenied</Code>"), "reading", self.name, "AWS"))
        return ranges(self, name, *more)

    monkeypatch.setattr(LocalSource, "open", open_local)
    monkeypatch.setattr(Bucket, "get_range", get_range)
    return paths


@everywhere
def test_a_file_that_cannot_be_read_now_is_tried_again(place, denied):
    """It is named with exit code 1, the others are ingested, and the next run that may read it does; nobody blames the lake."""
    raw, lake = place / "raw", place / "lake"
    for slot in range(3):
        put(raw, slot, events(3, first=3 * slot))
    denied.add(key(1))
    places = ("--source", raw, "--lake", lake)
    result = command("ingest", *places)
    assert result.code == 1
    assert f"not read: {key(1)}: cannot be read now: " in result.err
    assert "denied" in result.err
    assert "1 file could not be read now; the next run tries again" in result.out
    assert set(ledger(lake)) == {key(0), key(2)}
    again = command("ingest", *places, "--format", "json")
    assert (again.code, again.json["unavailable"], again.json["failed_files"]) == (1, [key(1)], 1)
    state = command("status", *places, "--format", "json").json
    assert (state["waiting"]["files"], state["unreadable"]) == (1, [])
    denied.clear()
    assert command("ingest", *places).code == 0
    assert ledger(lake)[key(1)]["status"] == "ingested"
    assert len(dump(lake)["events"]) == 9


@everywhere
def test_an_ingested_file_that_cannot_be_read_now(place, denied):
    """Its rows stay, replaced or replayed, and verify says that it is a matter of permissions."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, events(3))
    ingest(raw, lake)
    before = dump(lake)
    denied.add(key(0))
    places = ("--source", raw, "--lake", lake)
    assert command("replay", *places, "--files", key(0)).code == 1
    report = command("verify", *places)
    assert report.code == 1
    assert "check the source's permissions" in report.out
    put(raw, 0, events(5))
    assert command("ingest", *places).code == 1
    assert dump(lake) == before
    denied.clear()
    assert command("ingest", *places).code == 0
    assert len(dump(lake)["events"]) == 5


def test_another_source_is_refused(tmp_path):
    """Equal names of another source never replace rows; the message says how to go on, and a dry run says it too."""
    put(tmp_path / "raw", "a.jsonl", events(3))
    put(tmp_path / "other", "a.jsonl", events(4, first=10))
    lake = tmp_path / "lake"
    assert command("ingest", "--source", tmp_path / "raw", "--lake", lake).code == 0
    before = dump(lake)
    for words in (
        ("ingest",),
        ("ingest", "--dry-run"),
        ("replay", "--files", "a.jsonl"),
        ("erase", "--user", "u_1", "--raw", "--yes"),
    ):
        result = command(*words, "--source", tmp_path / "other", "--lake", lake)
        assert result.code == 2
        assert f"the lake was filled from {tmp_path / 'raw'}, not from {tmp_path / 'other'}" in result.err
        assert f"--source-name {tmp_path / 'raw'}" in result.err
    assert dump(lake) == before


def test_a_source_that_was_moved(tmp_path, monkeypatch):
    """By its name a source is known wherever it is, and by a link to it as well; nothing is ingested again."""
    lake = tmp_path / "lake"
    put(tmp_path / "raw", "a.jsonl", events(3))
    ingest(tmp_path / "raw", lake)
    (tmp_path / "link").symlink_to("raw")
    assert command("ingest", "--source", tmp_path / "link", "--lake", lake).code == 0
    (tmp_path / "raw").rename(tmp_path / "moved")
    put(tmp_path / "moved", "b.jsonl", events(3, first=5))
    moved = ("--source", tmp_path / "moved", "--lake", lake)
    assert command("ingest", *moved).code == 2
    assert command("ingest", *moved, "--source-name", tmp_path / "raw", "--format", "json").json["files"] == 1
    assert command("replay", *moved, "--source-name", tmp_path / "raw", "--files", "a.jsonl").code == 0
    monkeypatch.setenv("SHOPLAKE_SOURCE_NAME", str(tmp_path / "raw"))
    assert command("ingest", *moved).code == 0
    assert len(dump(lake)["events"]) == 6


def test_a_lake_that_does_not_know_its_source_yet(tmp_path):
    """A lake of an earlier version takes the first source that it sees; erasure and maintenance keep it."""
    put(tmp_path / "raw", "a.jsonl", events(3))
    ingest(tmp_path / "raw", tmp_path / "lake")
    catalog = json.loads((tmp_path / "lake" / "catalog.json").read_bytes())
    document = tmp_path / "lake" / catalog["tables"]["ledger"]
    metadata = json.loads(document.read_bytes())
    del metadata["properties"]["shoplake.source"]
    document.write_text(json.dumps(metadata))
    put(tmp_path / "new", "b.jsonl", events(3, first=5))
    ingest(tmp_path / "new", tmp_path / "lake")
    assert command("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake").code == 2
    assert command("erase", "--user", "u_1", "--yes", "--lake", tmp_path / "lake").code == 0
    assert command("maintain", "--closed-after", "0", "--lake", tmp_path / "lake").code == 0
    assert command("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake").code == 2


def test_an_odd_key_on_s3_costs_its_own_folder(monkeypatch):
    """A name such as a//b is left out with its folder, which is named; everything else is listed."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="odd-keys")
        for name in (
            "raw/good.jsonl",
            "raw/a//b.jsonl",
            "raw/a/hidden-by-it.jsonl",
            "raw/b/c/good.jsonl",
            "raw/a/deep/good.jsonl",
        ):
            client.put_object(Bucket="odd-keys", Key=name, Body=b"{}")
        found = open_source("s3://odd-keys/raw").list()
    finally:
        server.stop()
    assert [file.path for file in found] == ["b/c/good.jsonl", "good.jsonl"]
    (odd,) = found.left_out
    assert (odd.entries, odd.first, odd.trouble) == (1, ["a/"], True)


@everywhere
def test_a_lake_inside_its_source_is_refused(place):
    """Its documents would be taken for source files, and maintenance would look for orphans among the raw files."""
    put(place / "raw", 0, events(3))
    for lake in (place / "raw", place / "raw" / "lake"):
        for words in ((), ("--dry-run",)):
            result = command("ingest", "--source", place / "raw", "--lake", lake, *words)
            assert (result.code, "is inside the source" in result.err) == (2, True)
    assert [path.name for path in (place / "raw").rglob("*.json*")] == [key(0).rpartition("/")[2]]
    assert ingest(place / "raw", place / "raw-lake").accepted == 3, "a name that begins as the source's does"


@everywhere
def test_a_lake_inside_another_is_refused(place):
    """The other one's maintenance would take its files for orphans."""
    put(place / "raw", 0, events(3))
    ingest(place / "raw", place / "lake")
    result = command("ingest", "--source", place / "raw", "--lake", place / "lake" / "events" / "inner")
    assert (result.code, f"is inside the lake {place / 'lake'}" in result.err) == (2, True)
    assert not (place / "lake" / "events" / "inner").exists()
