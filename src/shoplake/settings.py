"""The one reader of configuration: options first, then the environment, then ``shoplake.toml``, then the default."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoplake.errors import UsageError

CONFIG_FILE = "shoplake.toml"
ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class Setting:
    """One setting: its key in ``shoplake.toml``, its environment variable is ``SHOPLAKE_`` and the key in capitals."""

    name: str
    default: Any
    kind: type
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"SHOPLAKE_{self.name.upper()}"


SETTINGS = (
    Setting("lake", None, str, "Folder of the lake: its catalog and every table."),
    Setting("source", None, str, "Folder with the raw .jsonl.gz files, searched to any depth."),
    Setting("engine", "duckdb", str, "What computes a run: duckdb (this process) or spark."),
    Setting(
        "master",
        None,
        str,
        "Master of the Spark engine, such as local[4] or yarn; by default spark-submit's, or this machine.",
    ),
    Setting("threads", 0, int, "Worker threads of the engine; 0 means one per core."),
    Setting("batch_bytes", 192 * 1024 * 1024, int, "Compressed bytes of source files that one batch takes on at most."),
    Setting(
        "max_quarantine_rate",
        0.5,
        float,
        "Share of quarantined lines (0-1) over which a batch stops before it commits.",
    ),
    Setting(
        "max_future_hours", 24.0, float, "How far after the clock an event's time may lie; later ones are quarantined."
    ),
    Setting("freshness_minutes", 10.0, float, "How old the newest arrival may be before status calls the lake stale."),
)


@dataclass(frozen=True)
class Settings:
    """The settings in force for one call.

    Attributes:
        lake: Path of the lake, or None when nothing names one.
        source: Path of the raw files, or None.
        engine: What computes a run, duckdb or spark.
        master: Spark's master, or None.
        threads: Worker threads, at least 1.
        batch_bytes: Upper bound on the compressed bytes of a batch (one larger file is a batch of its own).
        max_quarantine_rate: The breaker's threshold, 0-1.
        max_future_hours: How far in the future an event may lie.
        freshness_minutes: The freshness objective in minutes.
    """

    lake: str | None = None
    source: str | None = None
    engine: str = "duckdb"
    master: str | None = None
    threads: int = 2
    batch_bytes: int = 192 * 1024 * 1024
    max_quarantine_rate: float = 0.5
    max_future_hours: float = 24.0
    freshness_minutes: float = 10.0

    def need_lake(self) -> str:
        """The lake, or a usage error that says how to name one."""
        if not self.lake:
            raise UsageError(
                "no lake is named",
                remedy=f'Give --lake DIR, set SHOPLAKE_LAKE, or write lake = "DIR" into {CONFIG_FILE}.',
            )
        return self.lake

    def need_source(self) -> str:
        """The source, or a usage error that says how to name one."""
        if not self.source:
            raise UsageError(
                "no source is named",
                remedy=f'Give --source DIR, set SHOPLAKE_SOURCE, or write source = "DIR" into {CONFIG_FILE}.',
            )
        return self.source


def load(overrides: dict[str, Any] | None = None, *, cwd: Path | None = None) -> Settings:
    """Settle every setting once.

    Args:
        overrides: Values from the command line or the caller; None means "not given".
        cwd: Where ``shoplake.toml`` is looked for; the working directory by default.

    Raises:
        UsageError: The file is not TOML, has an unknown key, or a value is of the wrong type.
    """
    path = (cwd or Path.cwd()) / CONFIG_FILE
    from_file = _read_file(path) if path.is_file() else {}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        given = (overrides or {}).get(setting.name)
        for value, where in (
            (given, f"option --{setting.name.replace('_', '-')}"),
            (os.environ.get(setting.variable), setting.variable),
            (from_file.get(setting.name), str(path)),
        ):
            if value is not None and value != "":
                values[setting.name] = _convert(setting, value, where)
                break
        else:
            values[setting.name] = setting.default
    if values["engine"] not in ENGINES:
        raise UsageError(f"there is no engine {values['engine']!r}", remedy=f"Known: {', '.join(ENGINES)}.")
    if values["threads"] < 1:
        values["threads"] = os.cpu_count() or 1
    return Settings(**values)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}", remedy="Mend the file or move it away.") from error
    unknown = sorted(set(content) - {setting.name for setting in SETTINGS})
    if unknown:
        raise UsageError(
            f"{path} has an unknown setting: {', '.join(unknown)}",
            remedy="Known settings: " + ", ".join(setting.name for setting in SETTINGS) + ".",
        )
    return content


def _convert(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.kind(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{setting.name} = {value!r} from {where} is not a {setting.kind.__name__}", remedy=setting.help
        ) from error
