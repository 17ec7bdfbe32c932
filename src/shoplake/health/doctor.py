"""Examines an installation: what is installed, what can be reached, what is misconfigured. Changes nothing."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from shoplake import settings
from shoplake.engines.native import library as native
from shoplake.errors import ShoplakeError, installing
from shoplake.health.verdicts import Check, Verdict
from shoplake.settings import SETTINGS, Settings
from shoplake.text import count, size

# What each extra is for, and the modules that it installs.
EXTRAS = {
    "s3": ("sources and lakes on S3", ("obstore", "fsspec")),
    "spark": ("the Spark engine", ("pyspark",)),
    "aws": ("deploying to AWS", ("boto3",)),
    "experiments": ("comparing variants", ("scipy",)),
    "lineage": ("OpenLineage events", ("openlineage.client",)),
    "web": ("the dashboard", ("starlette", "uvicorn")),
    "shell": ("the shell, shoplake sql", ("prompt_toolkit",)),
    "df": ("results as data frames", ("pandas", "polars")),
}
_LOW_DISK = 2_000_000_000


def examine(overrides: Mapping[str, str | None], environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Examine everything.

    Args:
        overrides: ``lake`` and ``source`` as given on the command line, None where they are not.
        environment: The environment variables.
    """
    checks = [*_installed(), *_variables(environment)]
    try:
        chosen = settings.load(dict(overrides))
    except ShoplakeError as error:
        return [*checks, Check("settings", Verdict.FAILED, str(error), error.remedy)]
    return [*checks, _settings(chosen), *_source(chosen), *_lake(chosen)]


def _installed() -> Iterator[Check]:
    yield Check("shoplake", Verdict.OK, f"{importlib.metadata.version('shoplake')} at {Path(__file__).parent}")
    yield Check("python", Verdict.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("duckdb", "pyarrow"))
    yield Check("engine", Verdict.OK, ", ".join(versions))
    works, reason = native.available()
    if works:
        yield Check("native reader", Verdict.OK, f"compiled: {reason}")
    else:
        yield Check("native reader", Verdict.ABSENT, f"lines are read through SQL, the same but slower: {reason}")
    for extra, (purpose, modules) in EXTRAS.items():
        if all(_installed_module(module) for module in modules):
            yield Check(extra, Verdict.OK, f"installed: {purpose}")
        else:
            yield Check(extra, Verdict.ABSENT, f"not installed: {purpose}", installing(extra))


def _installed_module(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of its parent package
        return False


def _variables(environment: Mapping[str, str]) -> Iterator[Check]:
    known = [*(setting.variable for setting in SETTINGS), native.SWITCH]
    for name in sorted(environment):
        if name.startswith("SHOPLAKE_") and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
            yield Check(name, Verdict.WARNING, "is set, but there is no such setting", meant)


def _settings(chosen: Settings) -> Check:
    path = Path.cwd() / settings.CONFIG_FILE
    file = str(path) if path.is_file() else f"no {settings.CONFIG_FILE} in {Path.cwd()}"
    return Check("settings", Verdict.OK, f"{file}; {count(chosen.threads, 'thread')} of {os.cpu_count()} cores")


def _source(chosen: Settings) -> Iterator[Check]:
    from shoplake.sources.open import open_source

    if not chosen.source:
        yield Check("source", Verdict.ABSENT, "not given", "Give --source DIR, or set SHOPLAKE_SOURCE.")
        return
    try:
        source = open_source(chosen.source)
        files = source.list()
    except ShoplakeError as error:
        yield Check("source", Verdict.FAILED, str(error), error.remedy)
        return
    amount = size(sum(file.bytes for file in files))
    if files:
        yield Check(
            "source", Verdict.OK, f"{source.name}: {count(len(files), 'file')}, {amount}; last: {files[-1].path}"
        )
    else:
        yield Check("source", Verdict.WARNING, f"{source.name} contains no source files", "Is this the right location?")


def _lake(chosen: Settings) -> Iterator[Check]:
    from shoplake.lake.catalog import Lake

    if not chosen.lake:
        yield Check("lake", Verdict.ABSENT, "not given", "Give --lake DIR, or set SHOPLAKE_LAKE.")
        return
    try:
        lake = Lake(chosen.lake)
        view = lake.view()
    except ShoplakeError as error:
        yield Check("lake", Verdict.FAILED, str(error), error.remedy)
        return
    if view.catalog is None:
        yield Check("lake", Verdict.OK, f"{lake.root}: does not exist yet; the first ingest creates it")
    else:
        rows = count(view["events"].rows, "event")
        yield Check("lake", Verdict.OK, f"{lake.root}: version {view.version}, {rows}")
    if "://" not in lake.root:
        yield from _folder(Path(lake.root))


def _folder(folder: Path) -> Iterator[Check]:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Check(
            "permission",
            Verdict.FAILED,
            f"{existing} is not writable",
            "Ingesting needs write access; reading does not.",
        )
    free = shutil.disk_usage(existing).free
    detail = f"{size(free)} free at {existing}"
    if free >= _LOW_DISK:
        yield Check("disk", Verdict.OK, detail)
    else:
        yield Check("disk", Verdict.WARNING, detail, "Free up disk space.")


def as_json(checks: Iterable[Check]) -> list[dict[str, str]]:
    """The checks as the fixed JSON interface names them."""
    return [
        {"what": check.name, "verdict": check.verdict, "says": check.detail, "remedy": check.remedy} for check in checks
    ]
