"""What both engines ask of the lake's stored files: which of them matter to the hours of a batch."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from shoplake.lake.hours import ONE_HOUR
from shoplake.lake.snapshots import DataFile, View


def only_of(file: DataFile, paths: Collection[str]) -> bool:
    """Whether all rows of a data file of ``events`` are of one source file, one of these."""
    return file.lower["source_file"] == file.upper["source_file"] and file.lower["source_file"] in paths


def events_of_hours(base: View, hours: Collection[datetime], paths: Collection[str]) -> list[DataFile]:
    """The data files of ``events`` that may hold events of these hours, but for those of these source files alone."""
    last = ONE_HOUR - timedelta(microseconds=1)
    found = {file.path: file for hour in hours for file in base["events"].within(hour, hour + last)}
    return [file for file in found.values() if not only_of(file, paths)]
