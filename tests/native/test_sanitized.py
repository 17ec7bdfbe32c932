"""The native code under the address and undefined-behaviour sanitizers, each block between pages that cannot be touched.

``sanitized.c`` is also the entry point of a coverage-guided fuzzer:
``make fuzz`` runs it and keeps its corpus, which is read here as well.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.lines import line
from tests.native.test_lines import PLAIN, SEED
from tests.support import proofs

FLAGS = ("-g", "-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
BLOCKS = (0, 7, 62, 63, 64, 65, 100, 127, 128, 255)
"""First bytes of an input: how long its blocks are, from one byte to 256 KiB."""

CORPUS = Path(__file__).with_name("corpus")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers and their pages are those of Linux")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = os.environ.get("CC") or shutil.which("cc")
    if not compiler:
        pytest.skip("a C compiler with sanitizers is needed to look for faults of memory; the product runs without one")
    made = tmp_path_factory.mktemp("sanitized") / "run"
    source = Path(__file__).with_name("sanitized.c")
    subprocess.run([compiler, *FLAGS, "-o", made, source], check=True)
    return made


@pytest.mark.parametrize("turn", [0, *proofs(*range(1, 40))])
def test_no_byte_out_of_bounds(program, tmp_path, turn):
    """Plain, fuzzed and cut lines in blocks of every kind: nothing is read or written that is not the reader's."""
    rng = random.Random(f"{SEED} {turn}")
    plain = [raw for lines in PLAIN.values() for raw in lines]
    inputs = []
    for number, first in enumerate(BLOCKS):
        lines = [rng.choice(plain) if rng.random() < 0.3 else line(SEED, rng.randrange(10**9)) for _ in range(200)]
        content = b"\n".join(lines)
        inputs.append(tmp_path / str(number))
        inputs[-1].write_bytes(bytes([first]) + content[: rng.choice((len(content), rng.randrange(len(content))))])
    done = subprocess.run([program, *inputs], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_corpus_of_the_fuzzer(program):
    """Inputs that together reach all code that the coverage-guided fuzzer has ever reached."""
    inputs = sorted(CORPUS.iterdir())
    assert len(inputs) > 100
    done = subprocess.run([program, *inputs], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
