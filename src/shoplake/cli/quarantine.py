"""``shoplake quarantine``: what was turned down and why, and the way back."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.text import count, seconds

if TYPE_CHECKING:
    from shoplake.operations.quarantine.contents import Counts, Line
    from shoplake.operations.quarantine.replay import QuarantineReplayReport

_FILES_SHOWN = 20
_REASONS_SHOWN = 5
_WIDTH_SHOWN = 1000

_reason = click.option("--reason", metavar="CODE", help="Only lines that break this rule, whatever else they break.")
_files = click.option(
    "--file", "files", multiple=True, metavar="PATH", help="Only lines of this source file; may be given again."
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
    """Lines that break the contract: count them, look at them, judge them anew, take them out."""


@quarantine.command(
    "list",
    epilog=options.examples(
        "shoplake quarantine list --lake lake",
        "shoplake quarantine list --lake lake --by file",
        "shoplake quarantine list --lake lake --format json",
    ),
)
@options.lake
@click.option("--by", type=click.Choice(("reason", "file")), help="Only this count.  [default: both; reason for csv]")
@options.style
def list_(lake: str | None, by: str | None, style: str) -> None:
    """Count the quarantined lines by reason and by file, and name the files that could not be read.

    A line that breaks several rules counts for each of them. An unreadable file holds up no other; it is read again when its
    object in the source changes.
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
@click.option("--limit", type=options.whole(1), default=20, show_default=True, help="Show so many lines at most.")
@options.style
def show(lake: str | None, reason: str | None, files: tuple[str, ...], limit: int, style: str) -> None:
    """Show quarantined lines, as they came.

    Bytes that are not UTF-8 are kept and shown: as base64 (and encoding says so) in json and csv, as \\xNN for a person. So are
    characters that would steer a terminal.
    """  # noqa: D301 - one backslash in the help
    quarantined = api.quarantine(lake)
    total = quarantined.total(reason=reason, files=files)
    lines = list(islice(quarantined.lines(reason=reason, files=files), limit))
    if style == "json":
        _as_json({"total": total, "lines": [line._asdict() for line in lines]})
    elif style == "csv":
        rows = [(*line[:2], " ".join(line.reasons), line.encoding, line.raw) for line in lines]
        if sys.stdout.isatty():
            rows = [(*row[:-1], output.visible(row[-1])) for row in rows]
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
@click.option("--dry-run", is_flag=True, help="Judge the lines, say what would move, and change nothing.")
@options.style
def replay(lake: str | None, reason: str | None, files: tuple[str, ...], dry_run: bool, style: str) -> None:
    """Judge quarantined lines anew: those that meet the contract now become events, once.

    For when the contract was mended by a newer version, a setting was changed, or time has passed (future_timestamp). It needs
    no source: the lines are in the lake. Those that still break the contract stay, with the reasons that hold now.

    Where the producer sends a mended file under the same name, nothing is to be done here: the next shoplake ingest takes it in
    place of the broken one, and its quarantined lines go.
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
@click.option("--out", required=True, metavar="DIR|FILE", help="The file, or an existing folder for it.")
@_reason
@_files
@click.option("--raw", is_flag=True, help="The bytes of each line as they came, instead of JSON with its reasons.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@options.style
def export(
    lake: str | None, out: str, reason: str | None, files: tuple[str, ...], raw: bool, force: bool, style: str
) -> None:
    """Write quarantined lines to a file; they stay in quarantine.

    Each line of it is a JSON object with source_file, line_number, reasons, raw and encoding; with --raw it is the line itself,
    byte for byte. Mend such lines, gzip the file and put it into the source under a new name: the next shoplake ingest takes
    it in.
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
        output.say("No such line is quarantined; nothing was written.")


def _as_json(value: Any) -> None:
    """In ASCII, unlike elsewhere: what a hostile line holds must not steer a terminal."""
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
        f"{count(counts.lines, 'quarantined line')} of {count(len(counts.by_file), 'file')},"
        f" {count(len(counts.unreadable), 'unreadable file')}"
    )
    for reason in counts.by_reason if by != "file" else ():
        arrived = f"{reason.first_arrival:%Y-%m-%d %H:%M} to {reason.last_arrival:%Y-%m-%d %H:%M}"
        output.say(
            f"{reason.reason}: {count(reason.lines, 'line')} of {count(reason.files, 'file')}, arrived {arrived}"
        )
        output.say(f"    for instance line {reason.line_number:,} of {output.visible(reason.source_file)}")
    if by is None and counts.lines:
        output.say()
    for file in counts.by_file[:_FILES_SHOWN] if by != "reason" else ():
        output.say(output.visible(file.source_file))
        ranked = [f"{code} {number:,}" for code, number in file.reasons.most_common()]
        more = f" and {len(ranked) - _REASONS_SHOWN} more reasons" if len(ranked) > _REASONS_SHOWN else ""
        output.say(
            f"    {count(file.lines, 'line')}, the first is {file.line_number:,};"
            f" arrived {file.arrived_at:%Y-%m-%d %H:%M}; {', '.join(ranked[:_REASONS_SHOWN])}{more}"
        )
    if by != "reason" and len(counts.by_file) > _FILES_SHOWN:
        output.say(f"and {len(counts.by_file) - _FILES_SHOWN:,} more files; all of them with --format json")
    for one in counts.unreadable:
        output.say(f"Unreadable: {output.visible(one.source_file)}: {output.visible(one.error)}")
    if counts.unreadable:
        output.say("Unreadable files are read again when their object in the source changes.")


def _show_lines(lines: list[Line], total: int) -> None:
    for line in lines:
        kind = "" if line.encoding == "utf-8" else " (not UTF-8)"
        output.say(f"{output.visible(line.source_file)} line {line.line_number:,}: {', '.join(line.reasons)}{kind}")
        text = output.visible(line.octets.decode("utf-8", "surrogateescape"))
        cut = f" ... ({len(line.octets):,} bytes; --format json has all)" if len(text) > _WIDTH_SHOWN else ""
        output.say(f"  {text[:_WIDTH_SHOWN]}{cut}")
    if total > len(lines):
        output.say(f"{total - len(lines):,} more: give --limit, or see shoplake quarantine export")
    elif not total:
        output.say("No such line is quarantined.")


def _show_replayed(done: QuarantineReplayReport, *, dry_run: bool) -> None:
    if not done.lines:
        output.say("Nothing to replay: no such line is quarantined.")
        return
    verb, more = ("Would replay", ". Nothing was changed") if dry_run else ("Replayed", f" in {seconds(done.seconds)}")
    output.say(f"{verb} {count(done.lines, 'line')} of {count(done.files, 'file')}{more}.")
    moved = "meet the contract now" if dry_run else "moved to events"
    duplicates = "" if dry_run else f" + {count(done.duplicates, 'duplicate')}"
    output.say(
        f"  {done.lines:,} lines = {done.accepted:,} {moved}{duplicates} + {done.quarantined:,} still quarantined"
    )
    if done.reasons:
        ranked = ", ".join(f"{code} {number:,}" for code, number in done.reasons.most_common(8))
        output.say(f"  still quarantined for: {ranked}")
