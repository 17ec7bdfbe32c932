"""The Python interface for analysts: a lake opened for reading."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import shoplake
from shoplake.errors import TransientError, UsageError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.parts import add_up
from shoplake.lake.reader import OpenLake
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from shoplake.tables import BY_NAME
from tests.support import (
    QUESTIONS,
    accepted,
    command,
    dump,
    event,
    events,
    everywhere,
    five_answers,
    ingest,
    judge_files,
    key,
    put,
)

TABLES = {
    *(
        "events",
        "quarantine",
        "ledger",
        "product_hourly",
        "user_hourly",
        "session_hourly",
        "activity_daily",
        "erasures",
    ),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A source of two files and the lake they were ingested into; tests here only read it."""
    folder = tmp_path_factory.mktemp("shop")
    put(folder / "raw", 0, events(60))
    put(folder / "raw", 1, [*events(60, first=50), b"broken"])
    ingest(folder / "raw", folder / "lake")
    return folder


@pytest.fixture
def lake(shop):
    with shoplake.open(shop / "lake") as opened:
        yield opened


def test_patterns_under_the_name_of_spark_and_trino(lake):
    """``regexp_like`` works, so that a query with a pattern has one text on every engine."""
    ((views,),) = lake.sql("SELECT count(*) FROM events WHERE regexp_like(event_type, '^page')").fetchall()
    assert lake.sql("SELECT count(*) FROM events WHERE event_type = 'page_view'").fetchall() == [(views,)]
    assert views


def test_sql_gives_rows(lake):
    """A statement over the tables by their plain names gives a DuckDB relation, whose rows are Python values."""
    relation = lake.sql("SELECT event_time, price FROM events WHERE event_type = 'purchase' ORDER BY 1 LIMIT 1")
    assert relation.columns == ["event_time", "price"]
    assert relation.fetchall() == [(dt.datetime(2025, 11, 18, 14, 0, 0, 411000), Decimal("19.99"))]


def test_sql_gives_frames(lake):
    """The same relation becomes a pandas or polars frame or an Arrow table, with the same rows."""
    relation = lake.sql("SELECT event_type, count(*) AS events, sum(price) AS money FROM events GROUP BY 1 ORDER BY 1")
    rows = relation.fetchall()
    assert len(rows) == 5
    assert relation.df()["events"].tolist() == [row[1] for row in rows]
    assert relation.pl()["event_type"].to_list() == [row[0] for row in rows]
    arrow = relation.arrow()
    table = arrow.read_all() if hasattr(arrow, "read_all") else arrow
    assert table.column("money").to_pylist() == [row[2] for row in rows]


@pytest.mark.parametrize("number", range(1, 6))
def test_query_by_name_and_number(shop, lake, number):
    """The five questions are asked by name, by number or by the number as text."""
    name = QUESTIONS[number - 1]
    expected = five_answers(accepted(judge_files(shop / "raw")))[name]
    assert (
        lake.query(name).fetchall() == lake.query(number).fetchall() == lake.query(str(number)).fetchall() == expected
    )


@pytest.mark.parametrize("name", ["nothing", "0", 6, "", "all the best"])
def test_unknown_query(lake, name):
    """A question that is not there is a usage error that names those that are."""
    with pytest.raises(UsageError) as caught:
        lake.query(name)
    assert "conversion_funnel" in caught.value.remedy


def test_tables(lake):
    """Every table is named and can be read, with the columns that the data dictionary lists."""
    assert set(lake.tables) == TABLES
    for name in lake.tables:
        assert tuple(lake.sql(f"SELECT * FROM {name}").columns) == BY_NAME[name].column_names


def test_times_are_utc(lake):
    """A time with a zone compares as UTC, whatever the machine's zone is."""
    found = lake.sql("SELECT min(event_time) = TIMESTAMPTZ '2025-11-18 15:00:00+01' FROM events").fetchall()
    assert found == [(True,)]


def test_missing_lake(tmp_path):
    """A lake that is not there is a usage error that says how to make one, and opening makes nothing."""
    with pytest.raises(UsageError, match="there is no lake at") as caught:
        shoplake.open(tmp_path / "nothing")
    assert "shoplake ingest" in caught.value.remedy
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("place", ["gs://bucket", "http://host/lake", "s3:/bucket/lake"])
def test_unsupported_place(place):
    """A place that is no folder is a usage error, not a folder of that name."""
    with pytest.raises(UsageError, match="local folder"):
        shoplake.open(place)


def test_file_instead_of_a_lake(tmp_path):
    """A file is no lake."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        shoplake.open(tmp_path / "file")


def test_path_as_text_and_uri(shop):
    """A lake is named by a path, a text or a file URI."""
    for name in (shop / "lake", str(shop / "lake"), f"file://{shop / 'lake'}"):
        with shoplake.open(name) as opened:
            assert opened.sql("SELECT count(*) FROM events").fetchall() == [(110,)]


@everywhere
def test_snapshots_stand_still(place):
    """An opened lake keeps to its snapshots when a run ends; refresh moves on to the next, all tables together."""
    put(place / "raw", 0, events(20))
    ingest(place / "raw", place / "lake")
    with shoplake.open(place / "lake") as opened:

        def seen():
            return [
                opened.sql(f"SELECT {what} FROM {table}").fetchall()[0][0]
                for what, table in (
                    *(("count(*)", "events"), ("sum(events)", "product_hourly"), ("sum(events)", "user_hourly")),
                    *(
                        ("sum(events)", "session_hourly"),
                        ("sum(events)", "activity_daily"),
                        ("sum(accepted)", "ledger"),
                    ),
                )
            ]

        assert seen() == [20] * 6
        put(place / "raw", 1, events(30, first=20))
        put(place / "raw", 0, events(10))
        ingest(place / "raw", place / "lake")
        assert seen() == [20] * 6
        opened.refresh()
        assert seen() == [40] * 6


@everywhere
def test_run_in_progress_is_not_seen(place, monkeypatch):
    """Until a run swaps the catalog, who opens the lake sees the state before it, in every table."""
    put(place / "raw", 0, events(20))
    ingest(place / "raw", place / "lake")
    put(place / "raw", 1, [*events(30, first=20), event(1, user_id="")])
    publish = Commit.publish
    seen: list[int] = []

    def look_first(commit):
        with shoplake.open(place / "lake") as opened:
            seen.extend(opened.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in opened.tables)
            seen.append(opened.query(5).fetchall()[0][3])
        return publish(commit)

    with shoplake.open(place / "lake") as opened:
        before = [opened.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in opened.tables]
    monkeypatch.setattr(Commit, "publish", look_first)
    ingest(place / "raw", place / "lake")
    assert seen == [*before, 20]


def through_pyiceberg(lake, name):
    """A table as PyIceberg reads it from its metadata document."""
    from pyiceberg.table import StaticTable

    return StaticTable.from_metadata(str(Lake(lake).view()[name].location))


def test_other_engines_can_read_it(shop):
    """The tables are Iceberg tables of format version 2, which PyIceberg reads with the same rows."""
    with shoplake.open(shop / "lake") as opened:
        for name in TABLES:
            table = through_pyiceberg(shop / "lake", name)
            assert table.metadata.format_version == 2
            assert table.scan().to_arrow().num_rows == len(opened.sql(f"SELECT * FROM {name}").fetchall())


def test_other_engines_can_read_a_long_history(tmp_path):
    """After many commits, replacements among them, PyIceberg reads the same rows from few manifests, and older snapshots."""
    counts: list[int] = []
    for slot in range(30):
        put(tmp_path / "raw", slot, events(3, first=10 * slot))
        if slot % 9 == 8:
            put(tmp_path / "raw", slot - 5, events(2, first=10 * slot + 5))
        ingest(tmp_path / "raw", tmp_path / "lake")
        with shoplake.open(tmp_path / "lake") as opened:
            counts += opened.sql("SELECT count(*) FROM events").fetchall()[0]
    rows = dump(tmp_path / "lake")
    for name in TABLES:
        table = through_pyiceberg(tmp_path / "lake", name)
        found = table.scan().to_arrow()
        if BY_NAME[name].unit:  # the parts of an hour, which any reader can add up
            found = add_up(BY_NAME[name], found)
        assert found.num_rows == len(rows[name])
        assert len(table.inspect.manifests()) <= 20
    table = through_pyiceberg(tmp_path / "lake", "events")
    assert [table.scan(snapshot_id=one.snapshot_id).count() for one in table.snapshots()] == counts
    one_file = table.scan(row_filter=f"source_file = '{key(7)}'")
    assert {row["user_id"] for row in one_file.to_arrow().to_pylist()} == {"u_0", "u_1", "u_2"}


def test_import_is_light():
    """Importing the package loads neither the engine nor the table library."""
    import subprocess
    import sys

    code = "import sys, shoplake; print(sorted({'duckdb', 'pyarrow', 'fastavro'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module", params=["as ingested", "maintained"])
def four_days(request, tmp_path_factory):
    """A source and its lake, with events at both ends of four days; maintained, a file holds many hours and days."""
    folder = tmp_path_factory.mktemp("days")
    for slot, day in enumerate(("2025-11-16", "2025-11-17", "2025-11-18", "2025-11-19")):
        lines = events(20, first=20 * slot)
        at_the_ends = [event(900 + slot, timestamp=f"{day}T{time}Z") for time in ("00:00:00", "23:59:59.999999")]
        moved = [line | {"timestamp": line["timestamp"].replace("2025-11-18", day)} for line in lines]
        put(folder / "raw", slot, moved + at_the_ends)
    ingest(folder / "raw", folder / "lake")
    if request.param == "maintained":
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=40)
        maintain(MaintenanceRequest(Lake(folder / "lake"), now=lambda: later))
    return folder


@pytest.mark.parametrize(("since", "until"), [(17, None), (None, 17), (18, 18), (17, 18), (20, None), (None, 1)])
def test_some_days(four_days, since, until):
    """Opened for some days, the five answers and the events are those of these days, both included; the ledger is whole."""
    low, high = (day and dt.date(2025, 11, day) for day in (since, until))
    found = [
        one
        for one in accepted(judge_files(four_days / "raw"))
        if (low or dt.date.min) <= one.time.date() <= (high or dt.date.max)
    ]
    with shoplake.open(four_days / "lake", since=low, until=high) as lake:
        assert {name: lake.query(name).fetchall() for name in QUESTIONS} == five_answers(found)
        for table in ("events", "user_hourly", "session_hourly"):
            column = "count(*)" if table == "events" else "coalesce(sum(events), 0)"
            assert lake.sql(f"SELECT {column} FROM {table}").fetchall() == [(len(found),)]
        assert lake.sql("SELECT count(*) FROM ledger").fetchall() == [(4,)]


def test_names_of_tables_are_parsed(shop):
    """A table is opened when a statement reads it, in whatever case, and not when its name is part of a text or a CTE."""
    for text, used in (
        ("SELECT count(*) FROM Events", {"events"}),
        ("SELECT 'quarantine' FROM ledger", {"ledger"}),
        ("WITH events AS (SELECT 1) SELECT * FROM events, erasures", {"erasures"}),
        ("SELECT * FROM events WHERE user_id IN (SELECT user_id FROM user_hourly)", {"events", "user_hourly"}),
    ):
        with shoplake.open(shop / "lake") as opened:
            opened.sql(text).fetchall()
            assert opened._viewed == used, text


def test_a_statement_opens_its_own_tables_alone(shop, monkeypatch):
    """Also the second one that reads a table, which is a view by then: no other table's files are touched."""
    opened: list[str] = []
    real = OpenLake._make_view

    def noting(self, table):
        opened.append(table.name)
        real(self, table)

    monkeypatch.setattr(OpenLake, "_make_view", noting)
    with shoplake.open(shop / "lake") as lake:
        for text in ("SELECT * FROM activity_daily", "SELECT events FROM activity_daily"):
            lake.sql(text).fetchall()
            list(lake.stream(text)[1])
    assert opened == ["activity_daily"]


def test_catalog_in_sql(lake):
    """SHOW TABLES lists the tables, DESCRIBE a table's columns; a join whose columns are named once works, too."""
    assert {row[0] for row in lake.sql("SHOW TABLES").fetchall()} == TABLES | set(lake.views)
    for text in ("DESCRIBE events", "SHOW events"):
        assert tuple(row[0] for row in lake.sql(text).fetchall()) == BY_NAME["events"].column_names
    assert lake.sql("SELECT count(*) FROM ledger JOIN events USING (source_file)").fetchall() == [(110,)]


def test_one_statement(lake):
    """Several statements in one text are refused, since only the last one's rows could be returned; PIVOT is one."""
    with pytest.raises(UsageError, match="several statements"):
        lake.sql("SELECT 1; SELECT 2")
    assert lake.sql("SELECT 1;").fetchall() == [(1,)]
    assert lake.sql("PIVOT events ON event_type USING count(*)").fetchall()


def test_repr(lake, shop):
    """An opened lake says where it is, which version is read, and which tables there are."""
    assert repr(lake).startswith(f"<shoplake lake {shop / 'lake'}, version 2, tables: events, quarantine, ")


def test_the_interface_is_listed():
    """dir() is the interface, and everything in it is there and says what it does."""
    names = dir(shoplake)
    assert {"open", "ingest", "preview", "replay", "status", "verify", "maintain", "erase", "quarantine"} <= set(names)
    assert "experiments" not in names
    assert all(getattr(shoplake, name).__doc__ for name in names)
    with pytest.raises(AttributeError, match="nothing"):
        shoplake.nothing  # noqa: B018 - the access is the point


# ------------------------------------------------------------------------------------------- as the command line does it


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A source and a lake to change, a working directory without settings, and both named by the environment."""
    put(tmp_path / "raw", 0, [*events(20), b"broken"])
    put(tmp_path / "raw", 1, [*events(20, first=15), event(3, quantity=1)])
    ingest(tmp_path / "raw", tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOPLAKE_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("SHOPLAKE_SOURCE", str(tmp_path / "raw"))
    return tmp_path


VARYING = {"seconds", "events_per_second", "at", "request", "freshness_seconds"}


def timeless(report):
    """Without the ages in the sentences of the checks, which grow between two looks."""
    return json.loads(re.sub(r"\d+ seconds? ago", "just now", json.dumps(report)))


def alike(report, *words):
    """The JSON of a report is what the command prints, but for times."""
    told = timeless(command(*words, "--format", "json").json)
    ours = timeless(json.loads(json.dumps(report.as_json())))
    assert ours.keys() <= told.keys()
    for name in ours.keys() - VARYING:
        assert ours[name] == told[name], name


@pytest.mark.usefixtures("mine")
def test_as_the_commands_report():
    """Each call without places takes those of the environment, and its report has the figures of the command."""
    alike(shoplake.status(), "status")
    alike(shoplake.verify(), "verify")
    alike(shoplake.ingest(), "ingest")
    alike(shoplake.maintain(dry_run=True), "maintain", "--dry-run")
    alike(shoplake.erase("u_3", dry_run=True), "erase", "--user", "u_3", "--dry-run")
    start, end = dt.datetime(2025, 11, 18), dt.datetime(2025, 11, 19)
    words = ("replay", "--from", "2025-11-18", "--to", "2025-11-19")
    alike(shoplake.replay(start=start, end=end, dry_run=True), *words, "--dry-run")
    alike(shoplake.replay(start=start, end=end), *words)
    alike(shoplake.quarantine().replay(), "quarantine", "replay")


def test_replay_in_python(mine):
    """A file that was replaced since is replayed as changed; one that is gone is refused, and the report is not ok."""
    put(mine / "raw", 1, events(5, first=100))
    (mine / "raw" / key(0)).unlink()
    done = shoplake.replay(files=[key(0), key(1)])
    assert (done.ok, done.choice.changed, done.choice.gone) == (False, [key(1)], (key(0),))
    assert done.run is not None
    assert (done.run.files, done.run.accepted) == (1, 5)
    unclear: tuple[dict[str, Any], ...] = (
        {},
        {"start": dt.datetime(2025, 11, 18)},
        {"files": [key(1)], "end": dt.datetime(2025, 11, 18)},
    )
    for which in unclear:
        with pytest.raises(UsageError, match="which files"):
            shoplake.replay(**which)


def test_erase_in_python(mine):
    """A person is erased, with a receipt; a dry run only says what would be."""
    would = shoplake.erase("u_3", raw=True, dry_run=True)
    assert (would.dry_run, would.removed["events"], len(dump(mine / "lake")["events"])) == (True, 5, 35)
    receipt = shoplake.erase("u_3", raw=True)
    assert (receipt.found, receipt.failed, len(dump(mine / "lake")["events"])) == (True, [], 30)
    assert shoplake.erase("u_3").found is False


def test_quarantine_in_python(mine):
    """Lines are counted, read, exported and judged again; what was read stands still until a replay or a refresh."""
    held = shoplake.quarantine()
    assert (held.counts().lines, held.total(), held.total(reason="malformed_json")) == (2, 2, 1)
    assert [line.octets for line in held.lines(files=[key(0)])] == [b"broken"]
    assert held.export(mine / "lines.jsonl", reason="malformed_json", raw=True) == 1
    assert (mine / "lines.jsonl").read_bytes() == b"broken\n"
    with pytest.raises(UsageError, match="no_such_reason"):
        held.lines(reason="no_such_reason")
    put(mine / "raw", 2, [b"broken, too"])
    shoplake.ingest(max_quarantine_rate=1)
    assert held.counts().lines == 2
    held.refresh()
    assert held.counts().lines == 3
    assert held.replay().quarantined == 3


def test_observers_follow(mine):
    """An observer is told how much there is to do, and all of it being done."""
    put(mine / "raw", 2, events(30, first=200))
    totals: list[int] = []
    done: list[tuple[int, int]] = []
    observer = shoplake.Observer(total=totals.append, advance=lambda amount, lines: done.append((amount, lines)))
    shoplake.ingest(observer=observer)
    assert totals == [(mine / "raw" / key(2)).stat().st_size]
    assert [sum(column) for column in zip(*done, strict=True)] == [totals[0], 30]


def test_wrong_arguments(mine):
    """Numbers out of their range are usage errors."""
    with pytest.raises(UsageError, match="sample must be a number above 0 up to 1"):
        shoplake.verify(sample=float("nan"))
    with pytest.raises(UsageError, match="older_than, in hours, must be a number from 1"):
        shoplake.maintain(older_than=dt.timedelta(minutes=5))
    with pytest.raises(UsageError, match="unknown setting: thread"):
        shoplake.status(thread=1)


WRITES = (
    "COPY (SELECT 'x' AS a) TO '{lake}/catalog.json' (FORMAT csv)",
    "EXPLAIN ANALYZE COPY (SELECT 'x' AS a) TO '{lake}/catalog.json' (FORMAT csv)",
    "ATTACH '{lake}/x.duckdb'",
    "EXPORT DATABASE '{lake}/x'",
    "INSTALL httpfs",
    "LOAD json",
    "PRAGMA threads = 1",
    "SET lock_configuration = false",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE VIEW events AS SELECT 1",
    "DROP VIEW events",
    "CALL pragma_version()",
    "USE memory",
    "BEGIN",
    "SELECT 1; COPY (SELECT 1) TO '{lake}/x.csv'",
)
OUTSIDE = (
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{lake}/../raw.txt')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '{lake}/../raw.txt'",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
    "SELECT * FROM duckdb_secrets()",
)


@pytest.fixture
def guarded(tmp_path):
    put(tmp_path / "raw", 0, events(20))
    ingest(tmp_path / "raw", tmp_path / "lake")
    (tmp_path / "raw.txt").write_text("outside")
    return tmp_path / "lake"


def files_of(lake):
    return {path: path.read_bytes() for path in lake.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", WRITES)
def test_a_statement_that_could_write_is_refused(guarded, text):
    """It says what may be used instead and how to open up, and nothing has changed: the lake can still be asked."""
    before = files_of(guarded)
    with shoplake.open(guarded) as lake:
        with pytest.raises(UsageError) as refused:
            lake.sql(text.format(lake=guarded))
        assert refused.value.remedy
        assert lake.sql("SELECT count(*) FROM events").fetchall() == [(20,)]
    assert files_of(guarded) == before
    told = command("query", "--lake", guarded, "--sql", text.format(lake=guarded))
    assert told.code == 2
    assert files_of(guarded) == before


NAMES = {
    "INSTALL httpfs": "INSTALL",
    "CHECKPOINT": "CHECKPOINT",
    "-- a note\nreset threads": "RESET",
    "UPDATE EXTENSIONS": "UPDATE",
    "WITH x AS (SELECT 1) INSERT INTO events FROM x": "INSERT",
    "EXPLAIN /* ) */ ANALYZE DELETE FROM events": "EXPLAIN DELETE",
}


@pytest.mark.parametrize("text", NAMES)
def test_a_refused_statement_is_called_by_its_own_name(lake, text):
    """DuckDB has one type for INSTALL and LOAD, and one that its Python package does not know."""
    with pytest.raises(UsageError, match=f"and {NAMES[text]} is not a statement that"):
        lake.sql(text)


@pytest.mark.parametrize(
    "text",
    ["EXPLAIN (SELECT count(*) FROM events)", "/* a note */ EXPLAIN(FORMAT json)SELECT 1", "EXPLAIN-- \nFROM events"],
)
def test_what_is_explained_is_read(lake, text):
    """However it is written."""
    assert lake.sql(text).fetchall()[0][0] == "physical_plan"


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_query_stays_in_the_lake(guarded, text):
    """Neither the disk nor the network around it can be read."""
    with shoplake.open(guarded) as lake, pytest.raises(duckdb.Error):
        lake.sql(text.format(lake=guarded)).fetchall()
    assert command("query", "--lake", guarded, "--sql", text.format(lake=guarded)).code == 2


@pytest.mark.parametrize(
    "text",
    [
        "SHOW TABLES",
        "DESCRIBE events",
        "SUMMARIZE events",
        "FROM events",
        "EXPLAIN SELECT * FROM events",
        "EXPLAIN ANALYZE SELECT * FROM events",
        "PIVOT events ON event_type USING count(*) GROUP BY user_id",
        "WITH few AS (SELECT * FROM events LIMIT 3) SELECT * FROM few",
        "VALUES (1)",
    ],
)
def test_statements_that_read(guarded, text):
    with shoplake.open(guarded) as lake:
        assert lake.sql(text).fetchall()


def test_a_lake_can_be_opened_up(guarded):
    """On request the connection is DuckDB as it is."""
    target = guarded.parent / "out.csv"
    with shoplake.open(guarded, allow_external=True) as lake:
        lake.sql(f"COPY (SELECT count(*) AS n FROM events) TO '{target}' (FORMAT csv)")
        assert lake.sql(f"SELECT n FROM read_csv('{target}')").fetchall() == [(20,)]


def test_a_table_of_the_lake_is_not_replaced(guarded):
    with shoplake.open(guarded) as lake:
        with pytest.raises(UsageError, match="table of the lake"):
            lake.register("Events", pa.table({"n": [1]}))
        lake.register("mine", pa.table({"n": [1]}))
        assert lake.sql("SELECT n FROM mine").fetchall() == [(1,)]


def test_a_lake_that_changed_since_it_was_opened(guarded):
    """An erasure deletes old files at once: whoever has the lake open is told to open it again."""
    with shoplake.open(guarded) as lake:
        assert command("erase", "--user", "u_1", "--lake", guarded, "--yes").code == 0
        with pytest.raises(TransientError, match="changed since it was opened") as told, lake.reading():
            lake.sql("SELECT count(*) FROM events").fetchall()
        assert "refresh()" in told.value.remedy
        lake.refresh()
        assert lake.sql("SELECT count(*) FROM events WHERE user_id = 'u_1'").fetchall() == [(0,)]
