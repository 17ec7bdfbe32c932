"""Replays quarantined lines in a process of its own and dies, as if killed, at a named point of it.

The points are those of driver.py.
"""

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake.catalog import Lake
from shoplake.operations.quarantine.contents import LineFilter
from shoplake.operations.quarantine.replay import QuarantineReplay, replay
from shoplake.settings import Settings
from tests.recovery.driver import kill_at


def main(lake, point, hours):
    kill_at(point)
    replay(QuarantineReplay(Lake(lake), lambda: DuckDBEngine(2), Settings(max_future_hours=float(hours))), LineFilter())
