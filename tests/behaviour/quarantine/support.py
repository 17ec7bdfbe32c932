"""What the tests of quarantine share: lines of the future, runs at a time, and what a lake has to be in the end."""

from dataclasses import replace
from datetime import timedelta

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.operations.quarantine import replay as operation
from shoplake.operations.quarantine.contents import LineFilter
from shoplake.settings import Settings
from tests.support import (
    START,
    accepted,
    answers,
    command,
    dump,
    event,
    fates,
    five_answers,
    ingest,
    judge_files,
    ledger,
    oracle,
    prepare,
)

EARLY = START  # what lies a day after it is the future
LATE = START + timedelta(days=3)  # by then none of it is


def ahead(number, event_type="page_view", **changes):
    """A valid event of the next day but one: the future for a run at EARLY."""
    moment = (START + timedelta(hours=40, seconds=number)).isoformat()
    return event(number, event_type, timestamp=moment, **changes)


def ingest_at(now, source, lake, **settings):
    return pipeline.ingest(replace(prepare(source, lake, **settings), now=lambda: now))


def replay_at(now, lake, choice=None, **settings):
    run = operation.QuarantineReplay(Lake(lake), lambda: DuckDBEngine(2), Settings(**settings), now=lambda: now)
    return operation.replay(run, choice or LineFilter())


def truth(source, lake, *, more_links=False):
    """The lake is what one run over the source gives today, and what the judge says.

    Args:
        source: The raw files.
        lake: The lake.
        more_links: Whether the ledger may name more files that hold the events of a file's duplicates.
    """
    ingest(source, lake.parent / "fresh")
    found, due = dump(lake), dump(lake.parent / "fresh")
    if more_links:
        links, due_links = (
            {row["source_file"]: set(row.pop("duplicates_of")) for row in tables["ledger"]} for tables in (found, due)
        )
        assert all(links[path] >= due_links[path] for path in due_links)
    assert found == due
    judged = judge_files(source)
    assert answers(lake) == oracle(lake) == five_answers(accepted(judged))
    for path, row in ledger(lake).items():
        assert {name: row[name] for name in ("lines", "accepted", "duplicates", "quarantined")} == fates(judged[path])


def verified(source, lake):
    """Verify, with the source, finds nothing."""
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    assert told.json["ok"], [check for check in told.json["checks"] if not check["ok"]]
