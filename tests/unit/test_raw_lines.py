"""Raw lines as the table quarantine stores them: one at a time and many at once, they come back byte for byte."""

import pyarrow as pa
import pytest

from shoplake.lake.raw_lines import to_bytes, to_text, to_texts

LINES = [b"", b"plain", "é\U0001f6d2\ufeff".encode(), b"a\0b", b"\x7f\r"]
BROKEN = [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]


@pytest.mark.parametrize("lines", [LINES, BROKEN, [*LINES, *BROKEN, *LINES], []])
def test_many_are_as_each(lines):
    texts, encodings = to_texts(pa.array(lines, pa.binary()))
    assert list(zip(texts.to_pylist(), encodings.to_pylist(), strict=True)) == [to_text(line) for line in lines]
    assert [to_bytes(*to_text(line)) for line in lines] == lines
