"""The tests of the native reader skip where there is none; here is what keeps them from skipping for no reason."""

import os
import shutil

from shoplake.engines.native import library


def test_a_compiler_is_enough(monkeypatch):
    """Where there is a C compiler, installing the checkout has compiled the library, and it fits the contract."""
    monkeypatch.delenv("SHOPLAKE_NATIVE", raising=False)
    works, reason = library.available()
    assert works or not (os.environ.get("CC") or shutil.which("cc")), reason
