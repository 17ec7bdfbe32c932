"""Writes an answer to a file: Parquet, CSV, JSON or Arrow, as its name says, batch by batch, then renamed into its place."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from shoplake.cli import output
from shoplake.cli.asking import Answer, Reading
from shoplake.errors import FatalError, UsageError
from shoplake.queries import NamedQuery
from shoplake.storage.atomic import replacing
from shoplake.storage.uris import is_s3
from shoplake.text import json_value

if TYPE_CHECKING:
    import pyarrow as pa

_REMEDY = "Give a file of this machine that ends in .parquet, .csv, .json or .arrow."


@dataclass(frozen=True)
class Export:
    """Where an answer goes.

    Attributes:
        path: The file; its folder exists.
        limit: How many rows of it are wanted; None for all.
    """

    path: Path
    limit: int | None = None

    @classmethod
    def to(cls, path: str, limit: int | None) -> Export:
        """The file that an option names.

        Raises:
            UsageError: Its name says no format, or its folder does not exist.
        """
        place = Path(path)
        if is_s3(path) or place.suffix not in _WRITERS:
            raise UsageError(f"--out {path!r} names no file of a format that can be written", remedy=_REMEDY)
        if not place.absolute().parent.is_dir():
            raise UsageError(f"the folder {place.absolute().parent} does not exist", remedy="Make it first.")
        return cls(place.absolute(), limit)

    def write(self, reading: Reading, question: NamedQuery) -> int:
        """Write an answer; the file appears, or is replaced, once it is whole. Returns its rows.

        Raises:
            UsageError: The statement fails, or has values that the format cannot hold.
            FatalError: The file cannot be written.
        """
        try:
            with replacing(self.path) as stream:
                return _WRITERS[self.path.suffix](stream, reading, question, self.limit)
        except OSError as error:
            raise FatalError(
                f"{self.path} cannot be written: {error}", remedy="Check the folder and the disk."
            ) from error


def _parquet(stream: BinaryIO, reading: Reading, question: NamedQuery, limit: int | None) -> int:
    import pyarrow.parquet as pq

    return _columnar(
        lambda schema: pq.ParquetWriter(stream, schema, compression="zstd"), reading.batches(question, limit), question
    )


def _arrow(stream: BinaryIO, reading: Reading, question: NamedQuery, limit: int | None) -> int:
    import pyarrow as pa

    return _columnar(lambda schema: pa.ipc.new_file(stream, schema), reading.batches(question, limit), question)


def _columnar(
    writer: Callable[[pa.Schema], Any], answer: tuple[pa.Schema, Iterator[pa.RecordBatch]], question: NamedQuery
) -> int:
    import pyarrow as pa

    schema, batches = answer
    rows = 0
    try:
        with writer(schema) as file:
            for batch in batches:
                file.write_batch(batch)
                rows += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(
            f"{question.name} has values that this format cannot hold: {error}",
            remedy="Cast them to another type, or write .csv or .json.",
        ) from error
    return rows


def _csv(stream: BinaryIO, reading: Reading, question: NamedQuery, limit: int | None) -> int:
    """As stdout gets it: NULL is nothing, an empty text is two quotes."""
    answer = reading.answer(question, limit)
    with _text(stream) as file:
        return _write_all(file, output.csv_lines(answer.columns, answer.rows, utc=answer.utc)) - 1


def _json(stream: BinaryIO, reading: Reading, question: NamedQuery, limit: int | None) -> int:
    """An array with an object a row, on a line of its own, which data frames and DuckDB read."""
    answer = reading.answer(question, limit)
    twice = {name for name in answer.columns if answer.columns.count(name) > 1}
    if twice:
        raise UsageError(f"{question.name} has two columns {min(twice)!r}", remedy="Name them with AS, or write .csv.")
    with _text(stream) as file:
        file.write("[")
        rows = _write_all(file, _objects(answer))
        file.write("\n]\n")
    return rows


def _objects(answer: Answer) -> Iterator[str]:
    for index, row in enumerate(answer.rows):
        values = [json_value(value, utc=answer.utc) for value in row]
        yield (",\n" if index else "\n") + json.dumps(
            dict(zip(answer.columns, values, strict=True)), ensure_ascii=False
        )


def _write_all(file: io.TextIOWrapper, pieces: Iterator[str]) -> int:
    count = 0
    for piece in pieces:
        file.write(piece)
        count += 1
    return count


@contextmanager
def _text(stream: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """A stream as text, which stays open when this block ends."""
    file = io.TextIOWrapper(stream, "utf-8", newline="")
    try:
        yield file
    finally:
        file.detach()


_WRITERS: dict[str, Callable[[BinaryIO, Reading, NamedQuery, int | None], int]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
    ".arrow": _arrow,
}
