"""The settings, each declared once; options come first, then the environment, then ``shoplake.toml``, then the default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from shoplake.errors import UsageError

CONFIG_FILE = "shoplake.toml"
_METRICS = "metrics"  # a table of that file beside the settings: what experiments compare
ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class Range:
    """The numbers that a setting or an option takes; never NaN or an infinity.

    Attributes:
        least: The smallest.
        most: The largest.
        whole: Whether only whole numbers are taken.
        above: Whether ``least`` itself is left out.
    """

    least: float
    most: float
    whole: bool = False
    above: bool = False

    def __str__(self) -> str:
        """The range in words: ``a number from 0 to 1``."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} {'above' if self.above else 'from'} {_number(self.least)} {'up ' * self.above}to {_number(self.most)}"

    def read(self, value: Any) -> int | float:
        """The number that a value or its text stands for.

        Raises:
            ValueError: It is not a number, or not one of these.
        """
        if isinstance(value, bool):
            raise ValueError(value)  # noqa: TRY004 - int and float raise ValueError for a text that is not a number, too
        number: int | float = float(value)
        if self.whole:
            if isinstance(value, float) and not value.is_integer():
                raise ValueError(value)
            number = int(value)
        if not self.least <= number <= self.most or (  # which NaN is not, either
            self.above and number == self.least
        ):
            raise ValueError(value)
        return number

    def check(self, value: float, name: str) -> None:
        """Refuse a number of the caller's that is not one of these.

        Raises:
            UsageError: With the argument's name.
        """
        try:
            self.read(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"{name} must be {self}, not {value!r}", remedy=f"Give {self}.") from error


# What options and arguments take that are not settings.
SHARE = Range(0, 1, above=True)
WEIGHT = Range(0, 1e9, above=True)
CONFIDENCE = Range(0.01, 0.9999)
DAYS = Range(0, 36_500, above=True)
UNITS = Range(1, 1e12)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


@dataclass(frozen=True)
class Setting:
    """One setting: its key in ``shoplake.toml``, its environment variable is ``SHOPLAKE_`` and the key in capitals.

    Attributes:
        name: The key.
        default: Its value where nothing gives one.
        allowed: The numbers or the texts that it takes; any text if None.
        help: What it means.
    """

    name: str
    default: Any
    allowed: Range | tuple[str, ...] | None
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"SHOPLAKE_{self.name.upper()}"

    def read(self, value: Any, where: str) -> Any:
        """A value of the right type and range.

        Args:
            value: What was given: a text or a value of the right type.
            where: Who gave it, for the message.

        Raises:
            UsageError: The setting does not take it.
        """
        if isinstance(self.allowed, Range):
            try:
                return self.allowed.read(value)
            except (TypeError, ValueError, OverflowError) as error:
                raise self._refused(value, where, str(self.allowed)) from error
        if not isinstance(value, str | Path):
            raise self._refused(value, where, "text")
        if self.allowed and value not in self.allowed:
            raise self._refused(value, where, " or ".join(self.allowed))
        return str(value)

    def _refused(self, value: Any, where: str, wanted: str) -> UsageError:
        return UsageError(f"{where}: {self.name} must be {wanted}, not {value!r}", remedy=self.help)


def _setting(default: Any, meaning: str, allowed: Range | tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": meaning, "allowed": allowed})


@dataclass(frozen=True)
class Bounds:
    """How much of a source is read at once.

    Attributes:
        line_bytes: Most bytes of a line.
        file_bytes: Most bytes that a file may inflate to.
    """

    line_bytes: int
    file_bytes: int


@dataclass(frozen=True)
class Settings:
    """The settings in force for one call; its fields are the declaration of every setting.

    Raises:
        UsageError: A value is not in its setting's range.
    """

    lake: str | None = _setting(None, "The lake: a folder, or s3://BUCKET/PREFIX.")
    source: str | None = _setting(
        None,
        "The raw files (.jsonl, .ndjson or .json; plain, .gz or .zst): a folder or s3://BUCKET/PREFIX, to any depth.",
    )
    source_name: str | None = _setting(
        None, "What a lake knows its source by, so that another is refused; by default the source's own place."
    )
    engine: str = _setting("duckdb", "What computes a run: duckdb (this process) or spark.", ENGINES)
    master: str | None = _setting(
        None, "Master of the Spark engine, such as local[4] or yarn; by default spark-submit's, or this machine."
    )
    threads: int = _setting(0, "Worker threads of the engine; 0 means one per core.", Range(0, 1024, whole=True))
    batch_bytes: int = _setting(
        192 * 1024 * 1024,
        "Most compressed bytes of source files in one batch; a larger file is a batch of its own.",
        Range(1, 2**50, whole=True),
    )
    max_quarantine_rate: float = _setting(
        0.5,
        "Share of quarantined lines, of all or of those that need one field, above which a batch stops before it commits; fewer"
        " than 1,000 such lines always pass, and 1 never stops.",
        Range(0, 1),
    )
    max_future_hours: float = _setting(
        24.0, "How far ahead of the clock an event's time may be; later events are quarantined.", Range(0, 1e9)
    )
    maintain: str = _setting(
        "on",
        "Whether a run that ingested something keeps the lake small afterwards, a little at a time.",
        ("on", "off"),
    )
    sweep_minutes: float = _setting(
        60.0,
        "Minutes from one run that looks at the whole source to the next; those between look at its newest 2,016 files. 0:"
        " every run looks at the whole.",
        Range(0, 1e9),
    )
    maintain_every: int = _setting(
        24, "After how many batches a run also removes old files and merges small ones.", Range(1, 2**30, whole=True)
    )
    maintain_bytes: int = _setting(
        192 * 1024 * 1024,
        "Most bytes that one run merges; files that only fit together into more are merged alone.",
        Range(1, 2**50, whole=True),
    )
    maintain_stored: float = _setting(
        1.5,
        "Bytes stored per byte in use beyond which a run merges nothing until old files may be removed.",
        Range(1, 1000, above=True),
    )
    keep_days: float = _setting(
        0.0,
        "Days that events, quarantined lines and the hourly rows of users and sessions are kept; 0 keeps them all.",
        Range(0, 36_500),
    )
    max_line_bytes: int = _setting(
        16 * 1024 * 1024,
        "Most bytes of a line; of a longer one, quarantine keeps the first bytes and the length.",
        Range(1024, 2**30, whole=True),
    )
    max_file_bytes: int = _setting(
        2 * 1024**3,
        "Most bytes that a source file may inflate to; a larger one is set aside, with the reason.",
        Range(1, 2**31, whole=True),
    )
    freshness_minutes: float = _setting(
        10.0, "How old the newest arrival may be before status calls the lake stale.", Range(0, 1e9)
    )

    def __post_init__(self) -> None:
        """Check every value, and replace 0 threads by one per core."""
        for setting in SETTINGS:
            value = getattr(self, setting.name)
            if value is not None or setting.default is not None:
                object.__setattr__(self, setting.name, setting.read(value, "settings"))
        if not self.threads:
            object.__setattr__(self, "threads", os.cpu_count() or 1)

    @property
    def bounds(self) -> Bounds:
        """How much of a source is read at once."""
        return Bounds(self.max_line_bytes, self.max_file_bytes)

    def need_lake(self) -> str:
        """The lake, or a usage error that says how to name one."""
        return _needed(self.lake, "lake")

    def need_source(self) -> str:
        """The source, or a usage error that says how to name one."""
        return _needed(self.source, "source")


def _declared(declared: Field[Any]) -> Setting:
    if declared.default is MISSING:
        raise TypeError(f"setting {declared.name} has no default")
    return Setting(declared.name, declared.default, declared.metadata["allowed"], declared.metadata["help"])


SETTINGS = tuple(map(_declared, fields(Settings)))
DEFAULT_BOUNDS = Bounds(Settings.max_line_bytes, Settings.max_file_bytes)


def load(overrides: Mapping[str, Any] | None = None, *, cwd: Path | None = None) -> Settings:
    """Settle every setting once.

    Args:
        overrides: Values from the command line or the caller; None means "not given".
        cwd: Where ``shoplake.toml`` is looked for; the working directory by default.

    Raises:
        UsageError: The file is not TOML, has an unknown key, or a value is of the wrong type or out of its range; or the
            caller names a setting that does not exist.
    """
    overrides = overrides or {}
    _refuse_unknown(overrides, "the call")
    path = (cwd or working_directory()) / CONFIG_FILE
    from_file = _read_file(path) if path.is_file() else {}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        for value, where in (
            (overrides.get(setting.name), f"option --{setting.name.replace('_', '-')}"),
            (os.environ.get(setting.variable), setting.variable),
            (from_file.get(setting.name), str(path)),
        ):
            if value is not None and value != "":
                values[setting.name] = setting.read(value, where)
                break
    return Settings(**values)


def metrics(*, cwd: Path | None = None) -> dict[str, str]:
    """The metrics of experiments that ``shoplake.toml`` defines: the keys and the texts of its table ``[metrics]``.

    Args:
        cwd: Where the file is looked for; the working directory by default.

    Raises:
        UsageError: The file is not TOML, or the table holds something else than texts.
    """
    path = (cwd or working_directory()) / CONFIG_FILE
    table = _read_file(path).get(_METRICS, {}) if path.is_file() else {}
    if not isinstance(table, dict) or not all(isinstance(text, str) for text in table.values()):
        raise UsageError(
            f"{path}: [{_METRICS}] must give each name a text",
            remedy='For example [metrics] with the line basket = "revenue / purchases".',
        )
    return table


def _needed(place: str | None, name: str) -> str:
    if not place:
        raise UsageError(
            f"no {name} is named",
            remedy=f'Give --{name} DIR, set SHOPLAKE_{name.upper()}, or write {name} = "DIR" in {CONFIG_FILE}.',
        )
    return place


def working_directory() -> Path:
    """The working directory.

    Raises:
        UsageError: It no longer exists.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory no longer exists", remedy="Change to one that does: cd") from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}", remedy="Fix the file or move it away.") from error
    _refuse_unknown([key for key in content if key != _METRICS], str(path))
    return content


def _refuse_unknown(given: Iterable[str], where: str) -> None:
    known = [setting.name for setting in SETTINGS]
    if unknown := sorted(set(given) - set(known)):
        raise UsageError(
            f"{where} has an unknown setting: {', '.join(unknown)}", remedy=f"Known settings: {', '.join(known)}."
        )
