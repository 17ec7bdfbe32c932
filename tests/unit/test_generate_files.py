"""Files written by the generator: their places, their faults, and the truth told about them."""

import gzip
import json
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoplake.generator import files as module
from shoplake.generator.broken_lines import BROKEN_LINES
from shoplake.generator.events import render
from shoplake.generator.faults import Expected, Faults
from shoplake.generator.files import MANIFEST_NAME, generate_files

START = datetime(2025, 11, 18, 23, 50, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
FIELDS = {
    *("timestamp", "user_id", "session_id", "event_type", "product_id", "quantity", "price", "category", "search_query")
}
WITH_PRODUCT = {"page_view", "add_to_cart", "remove_from_cart", "purchase"}
WITH_AMOUNT = WITH_PRODUCT - {"page_view"}
CODES = {
    *("malformed_json", "invalid_utf8", "bad_timestamp", "unknown_event_type", "bad_quantity", "bad_price"),
    *("missing_timestamp", "missing_user_id", "missing_session_id", "missing_event_type", "missing_product_id"),
    *("missing_category", "missing_quantity", "missing_price", "missing_search_query", "unexpected_product_id"),
    *("unexpected_category", "unexpected_quantity", "unexpected_price", "unexpected_search_query"),
}


def reasons_for(line):
    """Judge one line by the contract, written here anew from its text."""
    try:
        event = json.loads(line.decode())
    except UnicodeDecodeError:
        return {"invalid_utf8"}
    except ValueError:
        return {"malformed_json"}
    if not isinstance(event, dict):
        return {"malformed_json"}
    kind, found = event.get("event_type"), set()

    def check(name, is_due, fine=lambda _: True, code=""):
        value = event.get(name)
        if is_due and (value is None or (value == "" and name != "search_query")):
            found.add(f"missing_{name}")
        elif is_due and not fine(value):
            found.add(code)
        elif not is_due and value is not None:
            found.add(f"unexpected_{name}")

    check("timestamp", True, is_iso, "bad_timestamp")
    check("user_id", True)
    check("session_id", True)
    check("event_type", True, (WITH_PRODUCT | {"search"}).__contains__, "unknown_event_type")
    if kind in WITH_PRODUCT | {"search"}:
        check("product_id", kind in WITH_PRODUCT)
        check("category", kind in WITH_PRODUCT)
        check("quantity", kind in WITH_AMOUNT, lambda n: type(n) is int and n >= 1, "bad_quantity")
        check("price", kind in WITH_AMOUNT, lambda n: type(n) is float and 0 <= n <= 9999999999.99, "bad_price")
        check("search_query", kind == "search")
    return found


def is_iso(value):
    """Say whether Python reads the value as an ISO 8601 time."""
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def count_plainly(files, slot_of):
    """Count what an exact pipeline makes of the files, by reading them in order of their path."""
    seen: set[bytes] = set()
    counted: dict[Path, Expected] = {}
    for path in sorted(files):
        try:
            text = gzip.decompress(path.read_bytes())
        except (EOFError, gzip.BadGzipFile, zlib.error):
            counted[path] = Expected(unreadable=True)
            continue
        lines = [line.removesuffix(b"\r") for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
        blank = lines.count(b"") if text else 0
        lines = [line for line in lines if line]
        duplicates = quarantined = 0
        reasons: Counter[str] = Counter()
        hours: Counter[str] = Counter()
        for line in lines:
            if broken := reasons_for(line):
                quarantined += 1
                reasons.update(broken)
            elif line in seen:
                duplicates += 1
            else:
                seen.add(line)
                moment = datetime.fromisoformat(json.loads(line)["timestamp"])
                early = slot_of[path] - moment
                if early > timedelta(minutes=10):  # resent lines of a lost previous file are less than that early
                    assert timedelta(hours=1) <= early <= timedelta(days=3)
                    hours[f"{moment:%Y-%m-%dT%H}"] += 1
        counted[path] = Expected(
            lines=len(lines),
            accepted=len(lines) - duplicates - quarantined,
            duplicates=duplicates,
            quarantined=quarantined,
            quarantined_by_reason=dict(sorted(reasons.items())),
            late_events=hours.total(),
            late_hours=dict(sorted(hours.items())),
            blank_lines=blank,
        )
    return counted


def contents(folder):
    """Return every file below the folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_file_is_the_render_of_its_slot(tmp_path):
    """Files lie five minutes apart under their keys, across midnight, and hold what render gives for the slot."""
    files = generate_files(tmp_path, 4, (50, 90), START, 42)
    assert [file.scheduled for file in files] == [START + timedelta(minutes=5 * n) for n in range(4)]
    assert files[0].key == "events/year=2025/month=11/day=18/hour=23/minute=50/events-20251118-235000.jsonl.gz"
    assert files[2].key == "events/year=2025/month=11/day=19/hour=00/minute=00/events-20251119-000000.jsonl.gz"
    for file in files:
        assert file.path == tmp_path / file.key
        assert file.bytes == file.path.stat().st_size
        assert 50 <= file.events <= 90
        assert file.expected == Expected(lines=file.events, accepted=file.events)
        text = gzip.decompress(file.path.read_bytes())
        assert text == b"".join(render(file.scheduled, file.events, 42, "realistic"))
    assert contents(tmp_path).keys() == {file.key for file in files}


@pytest.mark.parametrize("profile", ["realistic", "uniform"])
def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path, profile):
    """One process and two write the same files and the same manifest."""
    for workers in (1, 2):
        generate_files(
            tmp_path / str(workers), 5, (300, 400), START, 3, profile, faults=Faults.heavy(), workers=workers
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_progress_ends_with_everything_done(tmp_path):
    """Progress rises file by file to the total."""
    calls = []
    files = generate_files(tmp_path, 3, (20, 40), START, 1, progress=lambda *call: calls.append(call))
    total = sum(file.events for file in files)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert calls[-1] == (total, total)
    assert {all_of_them for _, all_of_them in calls} == {total}


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    """While a file is written its name is absent and a dotted one grows; a failure leaves neither behind."""

    def failing(chunks):
        yield b"".join(chunks)[:10]
        (temporary,) = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert temporary.name.startswith(".events-20251118-235000.jsonl.gz")
        raise OSError("disk full")

    monkeypatch.setattr(module, "gzip_file", failing)
    with pytest.raises(OSError, match="disk full"):
        generate_files(tmp_path, 1, (10, 10), START, 1)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("profile", ["realistic", "uniform"])
@pytest.mark.parametrize("preset", ["demo", "heavy"])
def test_the_manifest_tells_the_truth(tmp_path, preset, profile):
    """Every number expected of a file equals a plain count of its lines against the contract."""
    faults = getattr(Faults, preset)()
    files = generate_files(tmp_path, 8, (1_000, 1_200), START, 11, profile, faults=faults)
    counted = count_plainly([file.path for file in files], {file.path: file.scheduled for file in files})
    assert {file.path: file.expected for file in files} == counted
    manifest = json.loads((tmp_path / MANIFEST_NAME).read_text())
    assert {row.pop("path"): Expected(**row) for row in manifest["files"]} == {
        file.key: file.expected for file in files
    }
    assert manifest["totals"]["lines"] == sum(truth.lines for truth in counted.values())
    assert all(truth.lines == truth.accepted + truth.duplicates + truth.quarantined for truth in counted.values())


def test_heavy_faults_have_every_kind_in_a_file_of_1000_events(tmp_path):
    """One file of 1,000 events has every reason code, late events and both sorts of duplicates."""
    first, second = generate_files(tmp_path, 2, (1_000, 1_000), START, 42, faults=Faults.heavy())
    for file in (first, second):
        assert file.expected.quarantined_by_reason.keys() == CODES
        assert file.expected.quarantined >= len(BROKEN_LINES)
        assert file.expected.late_events == 20
        assert file.expected.blank_lines == 10
    assert first.expected.duplicates == 20
    assert second.expected.duplicates == 20 + 10


def test_every_broken_line_has_the_reasons_it_claims():
    """Each kind, applied to any line, breaks the contract in the ways it names and in no other."""
    for line in next(render(START, 50, 1, "realistic")).strip().split(b"\n"):
        for kind in BROKEN_LINES:
            assert reasons_for(kind.apply(line)) == set(kind.reasons), kind.name
    assert {reason for kind in BROKEN_LINES for reason in kind.reasons} == CODES


def test_demo_faults_touch_small_files_too(tmp_path):
    """A fraction above zero touches at least one line of every file and leaves all of them readable."""
    files = generate_files(tmp_path, 3, (100, 100), START, 42, faults=Faults.demo())
    for file in files:
        assert file.expected.quarantined == 1
        assert file.expected.late_events == 1
        assert not file.expected.unreadable
    assert [file.expected.duplicates for file in files] == [1, 2, 2]


def test_lines_resent_from_a_lost_file_are_no_duplicates(tmp_path):
    """A line of an unreadable file that comes again in the next one is accepted there."""
    faults = Faults(cross_duplicate_fraction=0.1, cut_gzip=frozenset({0}))
    lost, after = generate_files(tmp_path, 2, (100, 100), START, 42, faults=faults)
    assert lost.expected == Expected(unreadable=True)
    assert (after.expected.accepted, after.expected.duplicates) == (110, 0)


def test_troubled_files_are_what_they_say(tmp_path):
    """Cut, not gzip, empty, CRLF and byte order mark: each shows in the file's bytes."""
    faults = Faults(
        cut_gzip=frozenset({0}),
        not_gzip=frozenset({1}),
        empty=frozenset({2}),
        crlf=frozenset({3}),
        bom=frozenset({4}),
        blank_fraction=0.01,
    )
    cut, plain, empty, crlf, bom = generate_files(tmp_path, 5, (100, 100), START, 42, faults=faults)
    with pytest.raises(EOFError):
        gzip.decompress(cut.path.read_bytes())
    assert plain.path.read_bytes().startswith(b"HTTP/1.1 502")
    assert gzip.decompress(empty.path.read_bytes()) == b""
    text = gzip.decompress(crlf.path.read_bytes())
    assert text.count(b"\r\n") == text.count(b"\n") == 100
    assert gzip.decompress(bom.path.read_bytes()).startswith(b'\xef\xbb\xbf{"timestamp"')
    assert [file.expected.unreadable for file in (cut, plain, empty, crlf, bom)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": 0}, "files must be at least 1"),
        ({"events_per_file": (5, 1)}, "low <= high"),
        ({"profile": "steady"}, "realistic, uniform"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"start": START.replace(tzinfo=None)}, "zone"),
    ],
)
def test_wrong_arguments_write_nothing(tmp_path, changes, message):
    """A bad value is named in the error and nothing is written."""
    arguments = {"files": 1, "events_per_file": (1, 2), "start": START, "seed": 1, **changes}
    with pytest.raises(ValueError, match=message):
        generate_files(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_impossible_faults_are_refused():
    """A fraction beyond 1 and a file both cut and empty are refused."""
    with pytest.raises(ValueError, match=r"late_fraction must be between 0 and 1, got 1\.5"):
        Faults(late_fraction=1.5)
    with pytest.raises(ValueError, match="index 2"):
        replace(Faults.heavy(), empty=frozenset({2}))


def test_everything_can_be_malformed(tmp_path):
    """At fractions of 1 each line of a file is broken and no copies are made of it."""
    faults = Faults(malformed_fraction=1, late_fraction=1, duplicate_fraction=1, cross_duplicate_fraction=1)
    for file in generate_files(tmp_path, 2, (40, 40), START, 1, faults=faults):
        assert (file.expected.lines, file.expected.quarantined) == (40, 40)


def script(*arguments, cwd):
    """Run the script with a bare Python, without the environment of this one."""
    command = [sys.executable, "-I", "-B", str(ROOT / "generate_sample_data.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_script_writes_files_with_a_bare_python(tmp_path):
    """The brief's own command writes six files and says how to ingest them; they are those of sample-data/."""
    done = script("--num-files", "6", "--events-per-file", "1000", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrote 6 files, 6,000 events" in done.stdout
    assert "shoplake ingest --source sample-data --lake lake" in done.stdout
    written, committed = contents(tmp_path / "sample-data"), contents(ROOT / "sample-data")
    assert len(written) == 6
    for key, packed in written.items():
        assert gzip.decompress(packed) == gzip.decompress(committed[key])


def test_the_commands_of_the_brief(tmp_path):
    """Word for word, in a clone without sample files, with a bare Python; the committed files answer the second as well."""
    clone, path = tmp_path / "clone", tmp_path / "bin"
    shutil.copytree(
        ROOT / "src" / "shoplake", clone / "src" / "shoplake", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    shutil.copy(ROOT / "generate_sample_data.py", clone)
    path.mkdir()
    (path / "python").symlink_to(sys.executable)
    environment = {"PATH": f"{path}:/usr/bin:/bin"}

    def run(command, folder):
        return subprocess.run(
            ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=True
        )

    run("python generate_sample_data.py --num-files 6 --events-per-file 1000", clone)
    look = "gunzip -c sample-data/events-*.jsonl.gz | head -20"
    shown = run(look, clone).stdout
    assert [set(json.loads(line)) for line in shown.splitlines()] == [FIELDS] * 20
    assert run(look, ROOT).stdout == shown


def test_both_layouts(tmp_path):
    """Flat or in Hive folders: the same files, with the same bytes, faults and truth."""
    hive = generate_files(tmp_path / "hive", 2, (50, 50), START, 1, faults=Faults.demo())
    flat = generate_files(tmp_path / "flat", 2, (50, 50), START, 1, layout="flat", faults=Faults.demo())
    assert [file.key for file in flat] == ["events-20251118-235000.jsonl.gz", "events-20251118-235500.jsonl.gz"]
    assert [(file.path.name, file.path.read_bytes(), file.expected) for file in flat] == [
        (file.path.name, file.path.read_bytes(), file.expected) for file in hive
    ]
    with pytest.raises(ValueError, match="layout must be one of hive, flat"):
        generate_files(tmp_path / "deep", 1, (5, 5), START, 1, layout="deep")
    assert not (tmp_path / "deep").exists()


def test_the_script_takes_its_options(tmp_path):
    """Start, profile, range, output folder and faults all take effect."""
    options = (
        "--num-files 2 --events-per-file 10-20 --output-dir raw --start 2025-01-01 --profile uniform --faults demo"
    )
    done = script(*options.split(), cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "raw" / MANIFEST_NAME).exists()
    (first, *_) = sorted((tmp_path / "raw").glob("*.gz"))
    assert first.name == "events-20250101-000000.jsonl.gz"
    assert MANIFEST_NAME in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-files", "0"], "files must be at least 1, got 0"),
        (["--num-files", "many"], "invalid int value: 'many'"),
        (["--events-per-file", "9-3"], "1 <= low <= high"),
        (["--events-per-file", "few"], "neither a number nor LOW-HIGH"),
        (["--start", "tomorrow"], "not an ISO 8601 time"),
        (["--start", "9999-12-31T23:59:00Z"], "out of range"),
        (["--profile", "steady"], "invalid choice"),
        (["--faults", "all"], "invalid choice"),
        (["--layout", "deep"], "invalid choice"),
    ],
)
def test_the_script_refuses_bad_values(tmp_path, options, message):
    """A bad value ends with code 2 and a message, and writes nothing."""
    done = script(*options, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(tmp_path) == {}


def test_the_scripts_help_has_examples(tmp_path):
    """Help shows commands to copy."""
    done = script("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "python generate_sample_data.py --num-files 6 --events-per-file 1000" in done.stdout
