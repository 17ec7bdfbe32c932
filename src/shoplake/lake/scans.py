"""How DuckDB reads the data files of a lake: by path from a folder of this machine, through our own client from S3."""

from __future__ import annotations

import atexit
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

import duckdb

from shoplake.errors import FatalError, MissingFileError, ShoplakeError
from shoplake.lake.snapshots import DataFile
from shoplake.storage.uris import is_s3

if TYPE_CHECKING:
    from shoplake.storage.duckdb_files import S3Files

_open: WeakSet[Scans] = WeakSet()


def connect(threads: int | None = None, **config: str | bool) -> duckdb.DuckDBPyConnection:
    """A DuckDB database in memory, with what all queries on a lake rely on.

    A time without an offset is UTC, and ``regexp_like`` exists under the name that Spark and Trino give it.

    Args:
        threads: Cores to use; all by default.
        config: Further settings of DuckDB.
    """
    chosen = {**config, **({"threads": threads} if threads else {})}
    database = duckdb.connect(config=chosen)  # type: ignore[arg-type] # values may be of any type
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("CREATE MACRO regexp_like(text, pattern) AS regexp_matches(text, pattern)")
    return database


def lock(database: duckdb.DuckDBPyConnection, root: str) -> None:
    """Keep a database inside a lake, for good: no other file or network place can be read or written, no setting changed.

    Args:
        database: A connection to it; its cursors are locked too.
        root: The lake's place, a folder or an S3 URI.
    """
    database.execute("SET allowed_directories = [$root]", {"root": f"{root}/"})
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions", "enable_external_access"):
        database.execute(f"SET {setting} = false")
    database.execute("SET lock_configuration = true")


def only_reads(statement: duckdb.Statement) -> bool:
    """Whether a statement can change nothing, by its type; EXPLAIN by what it explains, since ANALYZE runs that."""
    explained = _explained(statement)
    return all(map(only_reads, explained)) if explained else _type(statement) in _READING


def kind(statement: duckdb.Statement) -> str:
    """What a statement is called, by its own first word: DuckDB has one type for INSTALL and LOAD, another for CHECKPOINT."""
    if explained := _explained(statement):
        return f"EXPLAIN {kind(explained[0])}"
    found = _FIRST_WORD.match(statement.query)
    word = found[0].strip().upper() if found else ""
    return _type(statement).name if word == "WITH" else " ".join(word.split())


def _explained(statement: duckdb.Statement) -> list[duckdb.Statement]:
    """What an EXPLAIN explains; nothing where it cannot be told, and of other statements."""
    if _type(statement) is duckdb.StatementType.EXPLAIN:
        rest = _EXPLAIN.sub("", _without_comments(statement.query))
        for text in (rest, _OPTIONS.sub("", rest)):  # (SELECT 1), or else options before a statement
            with suppress(duckdb.Error):
                return duckdb.extract_statements(text)
    return []


def _without_comments(text: str) -> str:
    octets = text.encode()
    signs = [*duckdb.tokenize(text), (len(octets), None)]
    pieces = [octets[start:end] for (start, sign), (end, _) in pairwise(signs) if sign is not duckdb.token_type.comment]
    return b" ".join(pieces).decode()


def _type(statement: duckdb.Statement) -> duckdb.StatementType:
    """A statement's type; INVALID for what DuckDB's parser knows and its Python package does not, as UPDATE EXTENSIONS."""
    try:
        return statement.type
    except ValueError:
        return duckdb.StatementType.INVALID


_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)  # several: what a PIVOT becomes
_EXPLAIN = re.compile(r"^explain\s+(analyze\s+)?", re.IGNORECASE)
_OPTIONS = re.compile(r"^\([^)]*\)")
_FIRST_WORD = re.compile(r"\s*(force\s+)?\w+", re.IGNORECASE)


_ASKED = (duckdb.PermissionException, duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException)
"""Errors of a statement, whatever file its text names."""


class Scans:
    """Gives one database the data files of a lake to read."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        """Nothing happens before the first file on S3.

        Args:
            database: A connection to it; its cursors read the same files.
        """
        self._database = database
        self._s3: S3Files | None = None
        self._local: set[str] = set()
        self._paths: set[str] = set()

    def parquet(self, files: Iterable[DataFile]) -> str:
        """A table function that gives the rows of data files, each once; at least one file."""
        sizes = {file.path: file.bytes for file in files}
        if any(is_s3(path) for path in sizes):
            self._files().expect(sizes)
        self._paths.update(sizes)
        self._local.update(path for path in sizes if not is_s3(path))
        paths = ", ".join("'" + path.replace("'", "''") + "'" for path in sorted(sizes))
        return f"read_parquet([{paths}], hive_partitioning = false)"

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Queries in this block that fail because a file is gone or S3 fails say so in our own words.

        Raises:
            MissingFileError: A data file is not there.
            FatalError: A data file is damaged.
            ShoplakeError: What went wrong on S3.
        """
        try:
            yield
        except duckdb.Error as error:
            failure: ShoplakeError | None = self._s3.failure() if self._s3 else None
            if failure is None and isinstance(error, duckdb.IOException | duckdb.PermissionException):
                gone = min((path for path in self._local if not Path(path).exists()), default=None)
                failure = MissingFileError(gone) if gone else None
            if failure is None and not isinstance(error, _ASKED):
                named = next((path for path in self._paths if path in str(error)), None)
                if named:
                    failure = FatalError(
                        f"the data file {named} cannot be read: {str(error).splitlines()[0]}",
                        remedy="See what is damaged, and what is left of it: shoplake verify",
                    )
            if failure is None:
                raise
            raise failure from error

    def close(self) -> None:
        """Close the database; it must not outlive the interpreter's modules once it reads through Python."""
        self._database.close()

    def _files(self) -> S3Files:
        if self._s3 is None:
            from shoplake.storage.duckdb_files import S3Files

            self._s3 = S3Files()
            self._database.register_filesystem(self._s3)
            _open.add(self)
        return self._s3


@atexit.register
def _close_all() -> None:
    for scans in list(_open):
        scans.close()
