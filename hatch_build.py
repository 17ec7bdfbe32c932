"""Compiles the native reader when the package is built; as a script, for this checkout: ``python hatch_build.py``.

The compiler is the one that ``CC`` names, else the system's, else Zig's from the package ``ziglang``. Without any, or where
compiling fails, the package is built all the same and reads every line through SQL; ``shoplake doctor`` says so.

``SHOPLAKE_TARGET`` (a target of Zig's, such as ``aarch64-linux-gnu.2.28``) cross-compiles, which needs ``ziglang``; ``any``
makes a wheel for any platform, without the library.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path(__file__).parent / "src" / "shoplake" / "engines" / "native"
FLAGS = ("-std=c11", "-O2", "-shared", "-fvisibility=hidden")
# By what libraries are called on a system. Mach-O keeps the path that a library was written to unless it is given a name.
_FLAGS_BY_SUFFIX = {".so": ("-fPIC",), ".dll": (), ".dylib": ("-fPIC", "-Wl,-install_name,plain.dylib")}
PURE = "any"
"""The target of a wheel without the library, for any platform."""
# By target: the platform tag of the wheel.
TARGETS = {
    "x86_64-linux-gnu.2.28": "manylinux_2_28_x86_64",
    "aarch64-linux-gnu.2.28": "manylinux_2_28_aarch64",
    "x86_64-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-linux-musl": "musllinux_1_2_aarch64",
    "x86_64-macos.11.0": "macosx_11_0_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
    "x86_64-windows-gnu": "win_amd64",
}


class CompileError(Exception):
    """Why there is no library."""


class NativeReader(BuildHookInterface[Any]):
    """Adds the library to a wheel, and lays it beside its loader for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if self.target_name != "wheel":
            return
        target = os.environ.get("SHOPLAKE_TARGET", "")
        if target == PURE:
            return
        try:
            library = build(target)
        except CompileError as error:
            if target:
                raise
            self.app.display_warning(f"The native reader was not compiled, so lines are read through SQL: {error}")
            return
        if version != "editable":
            build_data["artifacts"].append(f"/{library.relative_to(self.root).as_posix()}")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{TARGETS[target] if target else _this_platform()}"


def build(target: str = "") -> Path:
    """Compile for this machine or for a target, to a library beside its loader.

    Raises:
        CompileError: There is no compiler, or it failed.
    """
    system = next((name for name in ("windows", "macos", "linux") if name in target), sys.platform)
    suffix = {"windows": ".dll", "win32": ".dll", "macos": ".dylib", "darwin": ".dylib"}.get(system, ".so")
    library = FOLDER / f"plain{suffix}"
    for stale in FOLDER.glob("plain.*"):
        if stale.suffix in (".dll", ".dylib", ".so"):
            stale.unlink()
    with tempfile.TemporaryDirectory() as folder:
        made = compile_to(Path(folder) / library.name, _compiler(target), _FLAGS_BY_SUFFIX[suffix])
        shutil.copy(made, library.with_suffix(".new"))
        library.with_suffix(".new").replace(library)  # a process that has loaded the old one keeps it
    return library


def compile_to(path: Path, compiler: list[str], flags: tuple[str, ...] = ()) -> Path:
    """Compile the reader to a shared library at a path.

    Raises:
        CompileError: The compiler failed.
    """
    command = [*compiler, *FLAGS, f'-DSOURCE="{fingerprint()}"', *flags, "-o", str(path), str(FOLDER / "plain.c")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's compiler
    except OSError as error:
        raise CompileError(f"{compiler[0]}: {error.strerror}") from error
    if done.returncode:
        raise CompileError(f"{shlex.join(compiler)} failed:\n{done.stderr[-2000:]}")
    return path


def fingerprint() -> str:
    """Of the sources, as the loader makes it too: it compares both."""
    sources = sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")])
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def _compiler(target: str) -> list[str]:
    zig = [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else None
    if target:
        if zig is None:
            raise CompileError("cross-compiling needs the package ziglang")
        return [*zig, "-target", target, "-s"]
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    if zig is None:
        raise CompileError("there is no C compiler; pip install ziglang, or set CC")
    return zig


def _this_platform() -> str:
    from packaging.tags import sys_tags  # hatchling needs it too

    # A library of the system's compiler needs the system's libc: the tag of exactly this platform.
    return next(tag.platform for tag in sys_tags() if not tag.platform.startswith(("manylinux", "musllinux")))


if __name__ == "__main__":
    print(build(os.environ.get("SHOPLAKE_TARGET", "")))  # noqa: T201 - a script
