"""What a lake holds of one person, for a request for access; nothing is changed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from shoplake.lake import erasures, parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.reader import OpenLake
from shoplake.operations.erase import rows
from shoplake.operations.erase.people import People
from shoplake.tables import BY_NAME, ERASURES, QUARANTINE
from shoplake.text import json_value

# Tables that name the person in a column, and the order of their rows.
_BY_USER = {
    "events": "event_time, session_id, event_type, product_id",
    "user_hourly": "event_hour",
    "session_hourly": "event_hour, session_id",
}


@dataclass
class PersonReport:
    """All that a lake holds of one person.

    Attributes:
        user: The user_id.
        lake: The lake's location.
        version: The lake's version that was read.
        at: When, UTC.
        tables: Rows by table, each with all of its columns.
        source_files: The source files that the events and quarantined lines came in.
        mentions: Rows of other people that contain the id, by table; what is in them is theirs.
    """

    user: str
    lake: str
    version: int
    at: datetime
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    source_files: list[str] = field(default_factory=list)
    mentions: dict[str, int] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether the lake holds anything about the person, including that they were erased."""
        return any(self.tables.values())

    def as_json(self) -> dict[str, Any]:
        """The report as the fixed JSON interface names it."""
        figures = {name: value for name, value in vars(self).items() if name != "tables"}
        return {name: json_value(value) for name, value in {**figures, "found": self.found, **self.tables}.items()}


def person(user: str, lake: Lake, threads: int, at: datetime) -> PersonReport:
    """Collect what a lake holds of one person.

    Args:
        user: The user_id.
        lake: The lake.
        threads: How many cores to use.
        at: The time, UTC without a zone.

    Raises:
        UsageError: There is no lake, or no event can have such an id.
        FatalError: The lake is damaged.
    """
    people = People((user,))
    people.check()
    with closing(OpenLake(lake, threads)) as opened:
        view = opened.view
        report = PersonReport(user, lake.root, view.version, at)
        opened.register("asked_for", pa.table({"user_id": pa.array([user], pa.string())}))
        for name, order in _BY_USER.items():
            chosen = opened.sql(f"SELECT * FROM {name} SEMI JOIN asked_for USING (user_id) ORDER BY {order}")
            with opened.reading():
                report.tables[name] = [
                    dict(zip(BY_NAME[name].column_names, row, strict=True)) for row in chosen.fetchall()
                ]
        found = rows.find(view, people, threads)
        report.tables[QUARANTINE.name] = []
        for file in found.files[QUARANTINE.name]:
            with parquet.reading(file.path):
                lines = parquet.read(QUARANTINE, view[QUARANTINE.name].storage.read(file.path))
            report.tables[QUARANTINE.name] += lines.filter(rows.of_people(QUARANTINE, lines, people)).to_pylist()
        report.tables[ERASURES.name] = erasures.of_person(view[ERASURES.name], user)
    report.tables[QUARANTINE.name].sort(key=lambda line: (line["source_file"], line["line_number"]))
    report.source_files = sorted(found.lines)
    report.mentions = found.mentions
    return report
