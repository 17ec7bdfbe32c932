"""``shoplake quarantine``: the lines that were rejected, why, and how to get them back."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.text import count, seconds, visible

if TYPE_CHECKING:
    from shoplake.operations.quarantine.contents import Counts, Line
    from shoplake.operations.quarantine.replay import QuarantineReplayReport

_FILES_SHOWN = 20
_REASONS_SHOWN = 5
_WIDTH_SHOWN = 1000

_reason = click.option(
    "--reason", metavar="CODE", help="Only lines that break this rule, even if they break others too."
)
_files = click.option(
    "--file", "files", multiple=True, metavar="PATH", help="Only lines of this source file; repeatable."
)


@click.group(
    cls=options.Group,
    epilog=options.examples(
        "shoplake quarantine list --lake lake",
        "shoplake quarantine show --lake lake --reason bad_price",
        "shoplake quarantine replay --lake lake --dry-run",
        "shoplake quarantine export --lake lake --out quarantine.jsonl",
    ),
)
def quarantine() -> None:
    """Lines that break the contract: count, show, re-check and export them."""


@quarantine.command(
    "list",
    epilog=options.examples(
        "shoplake quarantine list --lake lake",
        "shoplake quarantine list --lake lake --by file",
        "shoplake quarantine list --lake lake --format json",
    ),
)
@options.lake
@click.option(
    "--by", type=click.Choice(("reason", "file")), help="Count only by this.  [default: both; reason for csv]"
)
@options.style
def list_(lake: str | None, by: str | None, style: str) -> None:
    """Count the quarantined lines by reason and by file, and list the files that could not be read.

    A line that breaks several rules counts for each of them. An unreadable file does not hold up the others; it is read
    again when its object in the source changes.
    """
    counts = api.quarantine(lake).counts()
    if style == "json":
        _as_json(_counts_as_json(counts, by))
    elif style == "csv":
        _counts_as_csv(counts, by or "reason")
    else:
        _show_counts(counts, by)


@quarantine.command(
    epilog=options.examples(
        "shoplake quarantine show --lake lake",
        "shoplake quarantine show --lake lake --reason bad_timestamp --limit 5",
        "shoplake quarantine show --lake lake --file events/year=2025/.../events-20251118-140000.jsonl.gz --format json",
    )
)
@options.lake
@_reason
@_files
@click.option("--limit", type=options.whole(1), default=20, show_default=True, help="Show at most this many lines.")
@options.style
def show(lake: str | None, reason: str | None, files: tuple[str, ...], limit: int, style: str) -> None:
    """Show quarantined lines exactly as they arrived.

    Bytes that are not UTF-8 are kept and shown: as base64 in json and csv (encoding says so), as \\xNN in a table. So are
    terminal control characters.
    """  # noqa: D301 - one backslash in the help
    quarantined = api.quarantine(lake)
    total = quarantined.total(reason=reason, files=files)
    lines = list(islice(quarantined.lines(reason=reason, files=files), limit))
    if style == "json":
        _as_json({"total": total, "lines": [line._asdict() for line in lines]})
    elif style == "csv":
        rows = [(*line[:2], " ".join(line.reasons), line.encoding, line.raw) for line in lines]
        output.as_csv(("source_file", "line_number", "reasons", "encoding", "raw"), rows)
    else:
        _show_lines(lines, total)


@quarantine.command(
    epilog=options.examples(
        "shoplake quarantine replay --lake lake --dry-run",
        "shoplake quarantine replay --lake lake",
        "shoplake quarantine replay --lake lake --reason future_timestamp",
        "SHOPLAKE_MAX_FUTURE_HOURS=72 shoplake quarantine replay --lake lake --reason future_timestamp",
    )
)
@options.lake
@_reason
@_files
@click.option("--dry-run", is_flag=True, help="Show what would move without changing anything.")
@options.style
def replay(lake: str | None, reason: str | None, files: tuple[str, ...], dry_run: bool, style: str) -> None:
    """Check quarantined lines against the contract again; those that now meet it become events, exactly once.

    Use it after an upgrade that changed the contract, after changing a setting, or once time has passed (future_timestamp).
    It needs no source: the lines are in the lake. Lines that still break the contract stay, with their current reasons.

    If the producer resends a corrected file under the same name, do nothing here: the next shoplake ingest
    replaces the broken one, and its quarantined lines with it.
    """
    with output.progress("judging", "lines", shown=style == "table") as observer:
        done = api.quarantine(lake).replay(reason=reason, files=files, dry_run=dry_run, observer=observer)
    figures = done.as_json() | {"dry_run": dry_run}
    if style == "json":
        _as_json(figures)
    elif style == "csv":
        plain = {key: value for key, value in figures.items() if not isinstance(value, list | dict)}
        output.as_csv(list(plain), [list(plain.values())])
    else:
        _show_replayed(done, dry_run=dry_run)


@quarantine.command(
    epilog=options.examples(
        "shoplake quarantine export --lake lake --out quarantine.jsonl",
        "shoplake quarantine export --lake lake --out broken --reason bad_price",
        "shoplake quarantine export --lake lake --out lines.jsonl --raw",
    )
)
@options.lake
@click.option(
    "--out",
    required=True,
    type=options.Written(),
    metavar="DIR|FILE",
    help="The file to write, or an existing folder.",
)
@_reason
@_files
@click.option("--raw", is_flag=True, help="Write each line's original bytes instead of JSON with its reasons.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@options.style
def export(
    lake: str | None, out: str, reason: str | None, files: tuple[str, ...], raw: bool, force: bool, style: str
) -> None:
    """Write quarantined lines to a file; they stay in quarantine.

    Each line of the file is a JSON object with source_file, line_number, reasons, raw and encoding; with --raw it is the
    original line, byte for byte. Correct such lines, gzip the file and put it into the source under a new name; the next
    shoplake ingest ingests it.
    """
    target = Path(out)
    if target.is_dir():
        target /= "quarantine.raw.jsonl" if raw else "quarantine.jsonl"
    number = api.quarantine(lake).export(target, reason=reason, files=files, raw=raw, force=force)
    written = str(target) if number else None
    if style == "json":
        _as_json({"lines": number, "file": written})
    elif style == "csv":
        output.as_csv(("lines", "file"), [(number, written)])
    elif number:
        output.say(f"Wrote {count(number, 'quarantined line')} to {target}")
    else:
        output.say("No matching line is quarantined; nothing was written.")


def _as_json(value: Any) -> None:
    """In ASCII, unlike elsewhere: nothing in a hostile line must control a terminal."""
    click.echo(json.dumps(value))


def _counts_as_json(counts: Counts, by: str | None) -> dict[str, Any]:
    from shoplake.text import json_value

    found: dict[str, Any] = {"lines": counts.lines}
    if by != "file":
        found["by_reason"] = [vars(one) for one in counts.by_reason]
    if by != "reason":
        found["by_file"] = [vars(one) for one in counts.by_file]
    found["unreadable"] = [one._asdict() for one in counts.unreadable]
    return {key: json_value(value) for key, value in found.items()}


def _counts_as_csv(counts: Counts, by: str) -> None:
    if by == "reason":
        columns = ("reason", "lines", "files", "source_file", "line_number", "first_arrival", "last_arrival")
        output.as_csv(columns, [[vars(one)[name] for name in columns] for one in counts.by_reason])
        return
    rows: list[tuple[Any, ...]] = [
        (one.source_file, one.lines, " ".join(one.reasons), one.line_number, one.arrived_at, None)
        for one in counts.by_file
    ]
    rows += [(one.source_file, 0, None, None, one.arrived_at, one.error) for one in counts.unreadable]
    output.as_csv(("source_file", "lines", "reasons", "line_number", "arrived_at", "error"), rows)


def _show_counts(counts: Counts, by: str | None) -> None:
    output.say(
        f"{count(counts.lines, 'quarantined line')} in {count(len(counts.by_file), 'file')},"
        f" {count(len(counts.unreadable), 'unreadable file')}"
    )
    for reason in counts.by_reason if by != "file" else ():
        arrived = f"{reason.first_arrival:%Y-%m-%d %H:%M} to {reason.last_arrival:%Y-%m-%d %H:%M}"
        output.say(
            f"{reason.reason}: {count(reason.lines, 'line')} of {count(reason.files, 'file')}, arrived {arrived}"
        )
        output.say(f"    for example line {reason.line_number:,} of {reason.source_file}")
    if by is None and counts.lines:
        output.say()
    for file in counts.by_file[:_FILES_SHOWN] if by != "reason" else ():
        output.say(file.source_file)
        ranked = [f"{code} {number:,}" for code, number in file.reasons.most_common()]
        more = f" and {count(len(ranked) - _REASONS_SHOWN, 'more reason')}" if len(ranked) > _REASONS_SHOWN else ""
        output.say(
            f"    {count(file.lines, 'line')}, the first is line {file.line_number:,};"
            f" arrived {file.arrived_at:%Y-%m-%d %H:%M}; {', '.join(ranked[:_REASONS_SHOWN])}{more}"
        )
    if by != "reason" and len(counts.by_file) > _FILES_SHOWN:
        output.say(f"and {count(len(counts.by_file) - _FILES_SHOWN, 'more file')}; all of them with --format json")
    for one in counts.unreadable:
        output.say(f"Unreadable: {one.source_file}: {one.error}")
    if counts.unreadable:
        output.say("Unreadable files are read again when their object in the source changes.")


def _show_lines(lines: list[Line], total: int) -> None:
    for line in lines:
        kind = "" if line.encoding == "utf-8" else " (not UTF-8)"
        output.say(f"{line.source_file} line {line.line_number:,}: {', '.join(line.reasons)}{kind}")
        text = visible(line.octets.decode("utf-8", "surrogateescape"))
        cut = f" ... ({len(line.octets):,} bytes; --format json shows all)" if len(text) > _WIDTH_SHOWN else ""
        output.say(f"  {text[:_WIDTH_SHOWN]}{cut}")
    if total > len(lines):
        output.say(f"{total - len(lines):,} more; raise --limit, or use shoplake quarantine export")
    elif not total:
        output.say("No matching line is quarantined.")


def _show_replayed(done: QuarantineReplayReport, *, dry_run: bool) -> None:
    if not done.lines:
        output.say("Nothing to replay: no matching line is quarantined.")
        return
    verb, more = ("Would replay", ". Nothing was changed") if dry_run else ("Replayed", f" in {seconds(done.seconds)}")
    output.say(f"{verb} {count(done.lines, 'line')} of {count(done.files, 'file')}{more}.")
    moved = "now meet the contract" if dry_run else "moved to events"
    duplicates = "" if dry_run else f" + {count(done.duplicates, 'duplicate')}"
    output.say(
        f"  {count(done.lines, 'line')} = {done.accepted:,} {moved}{duplicates} + {done.quarantined:,} still quarantined"
    )
    if done.reasons:
        ranked = ", ".join(f"{code} {number:,}" for code, number in done.reasons.most_common(8))
        output.say(f"  still quarantined for: {ranked}")
