"""Rebuilds the hours and days of gold that differ from events. Nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time

from shoplake.engines.base import Engine, GoldRequest
from shoplake.errors import FatalError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.snapshots import View
from shoplake.lake.transact import transact
from shoplake.operations.verify.files import GOLD, Inventory, hours_of
from shoplake.operations.verify.gold import days_of
from shoplake.operations.verify.reader import Hours, iso
from shoplake.operations.verify.report import Audit
from shoplake.tables import ACTIVITY_DAILY, GOLD_HOURLY

REPAIR = "repair"


@dataclass
class Repaired:
    """What was rebuilt.

    Attributes:
        hours: Hours of the hourly tables.
        days: Days of the daily table.
        left: What could not be rebuilt, with the reason.
    """

    hours: list[datetime] = field(default_factory=list)
    days: list[date] = field(default_factory=list)
    left: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, list[str] | list[dict[str, str]]]:
        """What was rebuilt, as the fixed JSON interface names it."""
        return {"hours": [iso(hour) for hour in self.hours], "days": [str(day) for day in self.days], "left": self.left}


@dataclass
class _Group:
    """Hours that one commit rebuilds, with their days, and the unreadable files that it replaces."""

    hours: set[datetime]
    broken: set[str]


def rebuild(
    lake: Lake,
    engine: Engine,
    audits: Collection[Audit],
    inventory: Inventory,
    hours: Hours,
    now: Callable[[], datetime],
    note: Callable[[str], None],
) -> Repaired:
    """Rebuild what differs according to the audits, a day at a time.

    Args:
        lake: The lake.
        engine: What recomputes.
        audits: The audits of gold; the hours and days of their differences are rebuilt.
        inventory: Tells which gold files cannot be read: all of their hours and days are rebuilt.
        hours: Tells which hours have events, and which have events that cannot be read.
        now: The time, UTC with a zone.
        note: Receives a sentence for each lost race.

    Raises:
        TransientError: Other runs changed the lake faster than this could.
    """
    repaired = Repaired()
    for group in _groups(audits, inventory, hours):
        if closed := sorted(hour for hour in group.hours if hours.is_closed(hour)):
            why = "its events were removed by retention; restore the file from a backup"
            repaired.left += [{"where": iso(hour), "why": why} for hour in closed]
            continue
        lost = sorted(group.hours & hours.lacking)
        if lost and (group.broken or group.hours == set(lost)):
            repaired.left += [_left(hour) for hour in lost]
            continue
        repaired.left += [_left(hour) for hour in lost]
        group.hours -= set(lost)
        try:
            _publish(lake, engine, group, now, note)
        except FatalError as error:
            days = ", ".join(str(day) for day in sorted({hour.date() for hour in group.hours}))
            repaired.left.append({"where": days, "why": str(error)})
            continue
        repaired.hours += sorted(group.hours)
        repaired.days += sorted({hour.date() for hour in group.hours})
    return repaired


def _left(hour: datetime) -> dict[str, str]:
    return {"where": iso(hour), "why": "a data file of its events cannot be read"}


def _groups(audits: Collection[Audit], inventory: Inventory, hours: Hours) -> list[_Group]:
    """What to rebuild: one group for each day, or for several days that share an unreadable file."""
    groups: dict[date, _Group] = {}
    for some, broken in _wanted(audits, inventory, hours):
        merged = _Group(set(some), set(broken))
        for day in {hour.date() for hour in some} & set(groups):
            merged.hours |= groups[day].hours
            merged.broken |= groups[day].broken
        for hour in merged.hours:
            groups[hour.date()] = merged
    return list({id(group): group for _, group in sorted(groups.items())}.values())


def _wanted(
    audits: Collection[Audit], inventory: Inventory, hours: Hours
) -> Iterator[tuple[Collection[datetime], Collection[str]]]:
    """Hours to rebuild together, with the unreadable file that they share; a day is rebuilt through one of its hours."""

    def an_hour_of(day: date) -> datetime:
        good = (hour for hour in hours.events if hour.date() == day and hour not in hours.lacking)
        return min(good, default=datetime.combine(day, time()))

    for audit in audits:
        for difference in audit.differences:
            if "hour" in difference.more:
                yield [difference.more["hour"]], ()
            elif "day" in difference.more:
                yield [an_hour_of(difference.more["day"])], ()
    for table in GOLD_HOURLY:
        for file in inventory.broken(table):
            yield hours_of(file, "event_hour"), [file.path]
    for file in inventory.broken(ACTIVITY_DAILY):
        yield [an_hour_of(day) for day in days_of(file)], [file.path]


def _publish(
    lake: Lake, engine: Engine, group: _Group, now: Callable[[], datetime], note: Callable[[str], None]
) -> None:
    hours = frozenset(group.hours)
    properties = {"shoplake.operation": REPAIR, "shoplake.engine": engine.name}

    def rebuild_from(base: View) -> None:
        computed_from = {"shoplake.events-snapshot": str(base["events"].snapshot_id)}
        with Commit(lake, base, now().replace(tzinfo=None), properties) as commit:
            gold = engine.gold(GoldRequest([], hours, base), commit)
            for table in GOLD:
                keys = gold.days if table is ACTIVITY_DAILY else hours
                new = gold.daily if table is ACTIVITY_DAILY else gold.hourly[table.name]
                broken = {file.path for file in base[table.name].files} & group.broken
                commit.replace(table, keys, new, merge=broken, properties=computed_from)
            commit.publish()

    transact(lake, rebuild_from, doing="rebuild gold", note=note)
