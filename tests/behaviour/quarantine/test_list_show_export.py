"""``shoplake quarantine list``, ``show`` and ``export``: what was turned down can be counted, seen and taken out."""

import base64
import csv
import gzip
import io
import json
from collections import defaultdict

import pytest

import shoplake
from shoplake.errors import UsageError
from shoplake.operations.quarantine import contents
from tests.behaviour.quarantine.support import truth
from tests.support import command, dump, event, events, ingest, judge_files, key, put, put_bytes

HOSTILE = (
    b"\x1b[2J\x1b]0;owned\x07 red \x1b[31m",
    b"\xff\xfe\x1b[31m \x00",
    '{"a": "\u202egnp.exe", "b": "\u2028"}'.encode(),
    "\u009b31m c1 \u0085 nbsp\u00a0 zero\u200bwidth".encode(),
    b"[bold red]markup[/] :smile: [/]",
    b"carriage\rreturn\r",
    b'"quotes", commas, =cmd|calc, \ttabs',
    b"nul \x00 byte",
    b"back\\slash \\u001b",
    "schön, 日本, \U0001f600".encode(),
    b"x" * 5000,
)


def with_hostile_lines(folder):
    """A source and its lake: every hostile line, with a blank one before each; some broken events; a file that is cut."""
    source, lake = folder / "raw", folder / "lake"
    lines = [line for hostile in HOSTILE for line in (b"", hostile)]
    put(source, 0, [event(0), *lines])
    put(source, 1, [event(1), event(2, user_id=""), event(3, "purchase", user_id="", price=-1)])
    put_bytes(source, 2, (source / key(1)).read_bytes()[:40])
    ingest(source, lake, max_quarantine_rate=1)
    return source, lake


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """For tests that only look."""
    return with_hostile_lines(tmp_path_factory.mktemp("hostile"))


def expected(source):
    """The quarantined lines, by plain Python: file, number, bytes, reasons."""
    return [
        (path, verdict.number, verdict.raw, verdict.reasons)
        for path, verdicts in sorted(judge_files(source).items())
        for verdict in verdicts
        if verdict.fate == "quarantined"
    ]


def decoded(row):
    octets = base64.b64decode(row["raw"]) if row["encoding"] == "base64" else row["raw"].encode()
    return row["source_file"], int(row["line_number"]), octets


def test_counts(hostile):
    """By reason and by file, as a count over the raw lines gives them, with a sample and the unreadable files."""
    source, lake = hostile
    lines = expected(source)
    assert len(lines) == len(HOSTILE) + 2
    of: dict[str, list] = defaultdict(list)
    for path, number, _, reasons in lines:
        for reason in reasons:
            of[reason].append((path, number))
    found = command("quarantine", "list", "--lake", lake, "--format", "json").json
    assert found["lines"] == len(lines)
    arrived = {path: row["arrived_at"].isoformat() + "Z" for path, row in arrivals(lake).items()}
    assert {one["reason"]: one for one in found["by_reason"]} == {
        reason: {
            "reason": reason,
            "lines": len(places),
            "files": len({path for path, _ in places}),
            "source_file": places[0][0],
            "line_number": places[0][1],
            "first_arrival": arrived[places[0][0]],
            "last_arrival": arrived[places[-1][0]],
        }
        for reason, places in of.items()
    }
    assert [one["lines"] for one in found["by_reason"]] == sorted((len(places) for places in of.values()), reverse=True)
    assert [(one["source_file"], one["lines"], one["line_number"]) for one in found["by_file"]] == [
        (key(0), len(HOSTILE), 3),
        (key(1), 2, 2),
    ]
    assert found["by_file"][1]["reasons"] == {"missing_user_id": 2, "bad_price": 1}
    assert [(one["source_file"], one["error"][:4]) for one in found["unreadable"]] == [(key(2), "cut:")]


def arrivals(lake):
    with shoplake.open(lake) as opened:
        rows = opened.sql("SELECT source_file, arrived_at FROM ledger").fetchall()
    return {path: {"arrived_at": arrived} for path, arrived in rows}


def test_counts_for_a_person(tmp_path):
    """The table has the same figures; --by leaves one count out; an unreadable file is gone from it once replaced."""
    source, lake = with_hostile_lines(tmp_path)
    told = command("quarantine", "list", "--lake", lake)
    assert told.out.startswith(f"{len(HOSTILE) + 2} quarantined lines in 2 files, 1 unreadable file\n")
    assert "bad_price: 1 line of 1 file, arrived 20" in told.out
    assert f"for example line 3 of {key(1)}\n" in told.out
    assert "bad_price: " not in command("quarantine", "list", "--lake", lake, "--by", "file").out
    assert f"{key(1)}\n    2 lines, the first is line 2; arrived 20" in told.out
    assert f"Unreadable: {key(2)}: cut" in told.out
    by_file = command("quarantine", "list", "--lake", lake, "--by", "file", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(by_file)))
    assert [(row["source_file"], row["lines"], row["error"][:3]) for row in rows] == [
        (key(0), str(len(HOSTILE)), ""),
        (key(1), "2", ""),
        (key(2), "0", "cut"),
    ]
    by_reason = list(csv.DictReader(io.StringIO(command("quarantine", "list", "--lake", lake, "--format", "csv").out)))
    assert {row["reason"] for row in by_reason} == {reason for line in expected(source) for reason in line[3]}
    json_by = command("quarantine", "list", "--lake", lake, "--by", "reason", "--format", "json").json
    assert set(json_by) == {"lines", "by_reason", "unreadable"}
    put(source, 2, events(5, first=70))
    ingest(source, lake)
    told = command("quarantine", "list", "--lake", lake)
    assert "0 unreadable files" in told.out
    assert "Unreadable" not in told.out


def test_show_gives_the_bytes(hostile):
    """Json and csv hold every line byte for byte, by file and number, with its encoding."""
    source, lake = hostile
    lines = [line[:3] for line in expected(source)]
    shown = command("quarantine", "show", "--lake", lake, "--limit", 100, "--format", "json")
    assert shown.json["total"] == len(lines)
    assert [decoded(row) for row in shown.json["lines"]] == lines
    assert [set(row["reasons"]) for row in shown.json["lines"]] == [line[3] for line in expected(source)]
    assert shown.out.isascii()
    assert {row["encoding"] for row in shown.json["lines"]} == {"utf-8", "base64"}
    printed = command("quarantine", "show", "--lake", lake, "--limit", 100, "--format", "csv").out
    assert [decoded(row) for row in csv.DictReader(io.StringIO(printed, newline=""))] == lines


def test_show_cannot_be_steered(hostile):
    """What a person sees has no character that steers a terminal, and every byte that is not plain stands as an escape."""
    _, lake = hostile
    shown = command("quarantine", "show", "--lake", lake, "--limit", 100).out
    assert all(char.isprintable() for char in shown.replace("\n", ""))
    assert len(shown.splitlines()) == 2 * (len(HOSTILE) + 2)
    for plain in (
        r"\x1b[2J\x1b]0;owned\x07 red \x1b[31m",
        r"\xff\xfe\x1b[31m \x00",
        r'{"a": "\u{202e}gnp.exe", "b": "\u{2028}"}',
        r"\x9b31m c1 \x85 nbsp\xa0 zero\u{200b}width",
        "[bold red]markup[/] :smile: [/]",
        r"carriage\rreturn".replace(r"\r", r"\x0d"),
        r"back\slash \u001b",
        "schön, 日本, \U0001f600",
        "(5,000 bytes; --format json shows all)",
    ):
        assert plain in shown
    assert f"{key(0)} line 5: invalid_utf8 (not UTF-8)\n" in shown


@pytest.mark.parametrize(
    ("words", "count"), [(("--reason", "bad_price"), 1), (("--file", key(1)), 2), ((), 13)], ids=str
)
def test_show_some(hostile, words, count):
    """A reason, files and a limit narrow what is shown; what is left out is said."""
    _, lake = hostile
    shown = command("quarantine", "show", "--lake", lake, "--limit", 1, "--format", "json", *words).json
    assert (shown["total"], len(shown["lines"])) == (count, 1)
    told = command("quarantine", "show", "--lake", lake, "--limit", 1, *words).out
    assert (f"{count - 1} more" in told) == (count > 1)


def test_export(hostile, tmp_path):
    """As JSON Lines with reasons and place; in a folder it has a name; only what was asked for."""
    source, lake = hostile
    out = tmp_path / "out"
    out.mkdir()
    told = command("quarantine", "export", "--lake", lake, "--out", out)
    assert (told.code, told.out) == (0, f"Wrote 13 quarantined lines to {out / 'quarantine.jsonl'}\n")
    content = (out / "quarantine.jsonl").read_bytes()
    assert content.isascii()
    rows = [json.loads(line) for line in content.decode().splitlines()]
    assert [(*decoded(row), frozenset(row["reasons"])) for row in rows] == expected(source)
    told = command("quarantine", "export", "--lake", lake, "--out", out / "new" / "f", "--reason", "bad_price")
    assert len((out / "new" / "f").read_bytes().splitlines()) == 1


def test_export_from_python_stays_out_of_lakes(tmp_path):
    """The command line refuses such a place by its option, the function by itself."""
    _, lake = with_hostile_lines(tmp_path)
    catalog = (lake / "catalog.json").read_bytes()
    with pytest.raises(UsageError, match="is inside the lake"):
        shoplake.quarantine(lake).export(lake / "catalog.json", force=True)
    assert (lake / "catalog.json").read_bytes() == catalog


def test_export_raw_mend_ingest(tmp_path):
    """--raw gives the very bytes back; mended, gzipped and put into the source they are events of a new file."""
    source, lake = with_hostile_lines(tmp_path)
    out = tmp_path / "lines.jsonl"
    assert command("quarantine", "export", "--lake", lake, "--out", out, "--raw").code == 0
    assert out.read_bytes().split(b"\n") == [*(line[2] for line in expected(source)), b""]
    command("quarantine", "export", "--lake", lake, "--out", out, "--raw", "--force", "--reason", "missing_user_id")
    mended = out.read_bytes().replace(b'"user_id": ""', b'"user_id": "u"').replace(b'"price": -1', b'"price": 1')
    put_bytes(source, 9, gzip.compress(mended))
    assert ingest(source, lake).accepted == 2
    assert len(expected(source)) == len(dump(lake)["quarantine"]), "they stay as what came"
    truth(source, lake)


def test_export_never_overwrites(hostile, tmp_path, monkeypatch):
    """An existing file stays as it is, unless --force replaces it whole; a failure leaves the old one and nothing else."""
    _, lake = hostile
    out = tmp_path / "out" / "f"
    out.parent.mkdir()
    out.write_bytes(b"mine")
    words = ("quarantine", "export", "--lake", lake, "--out", out)
    told = command(*words)
    assert (told.code, out.read_bytes(), "--force" in told.err) == (2, b"mine", True)
    real = contents.Line.octets

    def broken(line):
        if line.line_number > 5:
            raise OSError(28, "No space left on device")
        return real.__get__(line)

    with monkeypatch.context() as patched:
        patched.setattr(contents.Line, "octets", property(broken))
        told = command(*words, "--force", "--raw")
    assert (told.code, out.read_bytes(), list(out.parent.iterdir())) == (1, b"mine", [out])
    assert command(*words, "--force").code == 0
    assert len(out.read_bytes().splitlines()) == 13
    assert list(out.parent.iterdir()) == [out]


def test_export_does_not_win_a_race(hostile, tmp_path, monkeypatch):
    """A file that comes to be while the lines are written is not overwritten either."""
    _, lake = hostile
    out = tmp_path / "f"
    real = contents.lines

    def slow(*words):
        out.write_bytes(b"theirs")
        return real(*words)

    monkeypatch.setattr(contents, "lines", slow)
    assert command("quarantine", "export", "--lake", lake, "--out", out).code == 2
    assert out.read_bytes() == b"theirs"
