"""Raw lines as the table ``quarantine`` stores them: text with its encoding, from which the bytes come back exactly."""

from __future__ import annotations

import base64

import numpy as np
import pyarrow as pa

UTF_8 = "utf-8"
BASE64 = "base64"


def to_text(raw: bytes) -> tuple[str, str]:
    """A raw line as text, and the encoding: its own text, or base64 where the bytes are not UTF-8."""
    try:
        return raw.decode("utf-8"), UTF_8
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii"), BASE64


def to_bytes(text: str, encoding: str) -> bytes:
    """The raw line exactly as it came, from what :func:`to_text` made of it."""
    return base64.b64decode(text) if encoding == BASE64 else text.encode("utf-8")


def to_texts(raw: pa.BinaryArray) -> tuple[pa.StringArray, pa.DictionaryArray]:
    """What :func:`to_text` makes of each of many raw lines: the texts and the encodings."""
    names = pa.array([UTF_8, BASE64])
    try:
        return raw.cast(pa.string()), pa.DictionaryArray.from_arrays(np.zeros(len(raw), np.int32), names)
    except pa.ArrowInvalid:  # one of them is not UTF-8
        texts, encodings = zip(*map(to_text, raw.to_pylist()), strict=True)
        codes = [(UTF_8, BASE64).index(encoding) for encoding in encodings]
        return pa.array(texts), pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)
