#!/usr/bin/env python3
"""Writes a small set of raw event files, with nothing installed but Python 3.11 or newer."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

EXAMPLES = """\
examples:
  python generate_sample_data.py --num-files 6 --events-per-file 1000
  python generate_sample_data.py --num-files 12 --events-per-file 500000-750000 --output-dir raw-hour
  python generate_sample_data.py --layout hive --output-dir raw
  python generate_sample_data.py --faults demo --start 2025-11-18T09:00:00Z --seed 7

The same options always write the same files. Next:
  shoplake ingest --source sample-data --lake lake
"""


def main(arguments: list[str] | None = None) -> int:
    """Generate the files and print what was written.

    Returns:
        0, or 1 when a file could not be written.

    Raises:
        SystemExit: With 2 and a message on a bad option.
    """
    from shoplake.generator.faults import Faults
    from shoplake.generator.files import MANIFEST_NAME, generate_files

    parser = _parser()
    options = parser.parse_args(arguments)
    faults = {"none": None, "demo": Faults.demo(), "heavy": Faults.heavy()}[options.faults]
    out: Path = options.output_dir
    try:
        files = generate_files(
            out,
            options.num_files,
            options.events_per_file,
            options.start,
            options.seed,
            options.profile,
            layout=options.layout,
            faults=faults,
            progress=_show_progress if sys.stderr.isatty() else None,
        )
    except (ValueError, OverflowError) as error:
        parser.error(str(error))
    except OSError as error:
        print(f"cannot write to {out}: {error}", file=sys.stderr)
        return 1
    events, size = sum(file.events for file in files), sum(file.bytes for file in files)
    print(f"wrote {len(files)} files, {events:,} events, {size:,} bytes to {out}")
    print(f"  first: {files[0].key}\n  last:  {files[-1].key}")
    if faults:
        print(f"  faults, and what to expect of them: {out / MANIFEST_NAME}")
    print(f"ingest them with: shoplake ingest --source {out} --lake lake")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Write raw shop events as gzipped JSON Lines, one file every five minutes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--num-files", type=int, default=6, metavar="N", help="files to write (default: 6)")
    add(
        "--events-per-file",
        type=_range,
        default=(1000, 1000),
        metavar="N|LOW-HIGH",
        help="events per file; within a range, the time of day decides (default: 1000)",
    )
    add("--output-dir", type=Path, default=Path("sample-data"), metavar="DIR", help="default: sample-data")
    add(
        "--layout",
        choices=("flat", "hive"),
        default="flat",
        help="all files in one folder, or in folders by their time, as in the bucket (default: flat)",
    )
    add(
        "--start",
        type=_moment,
        default=datetime(2025, 11, 18, 14, tzinfo=UTC),
        metavar="TIME",
        help="start of the first file, ISO 8601, UTC unless it has an offset (default: 2025-11-18T14:00:00Z)",
    )
    add("--seed", type=int, default=42, metavar="N", help="seed of the events (default: 42)")
    add(
        "--profile",
        choices=("realistic", "uniform"),
        default="realistic",
        help="users, sessions and journeys, or independent draws like the course's starter (default: realistic)",
    )
    add(
        "--faults",
        choices=("none", "demo", "heavy"),
        default="none",
        help="add late, duplicate and malformed lines: a few, or every kind (default: none)",
    )
    return parser


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor LOW-HIGH") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 time, such as 2025-11-18T14:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {total:,} events", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
