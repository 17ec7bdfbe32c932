"""Fuzzes the native reader, guided by coverage: ``python tests/native/fuzz.py [MINUTES]``, or ``make fuzz MINUTES=60``.

Needs clang with its runtime for libFuzzer (Debian: ``clang`` and ``libclang-rt-dev``). Inputs that reach code which no other
one reaches are kept: in ``build/fuzz`` for the next run here and, as few as possible, in ``tests/native/corpus``, which
``make test`` feeds to the reader under the sanitizers. An input that fails is in ``build/fuzz`` too.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from shoplake.contract import EVENT_TYPES, FIELD_NAMES  # noqa: E402 - the checkout's
from tests.fuzz.lines import line  # noqa: E402
from tests.native.test_lines import PLAIN  # noqa: E402
from tests.native.test_sanitized import BLOCKS, CORPUS  # noqa: E402

FOLDER = ROOT / "build" / "fuzz"
FLAGS = ("-DFUZZER", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
LONGEST = 2048
CORPUS_BYTES = 200_000  # of the committed inputs, the shortest first
TOKENS = (
    *FIELD_NAMES,
    *EVENT_TYPES,
    "null",
    "true",
    "false",
    "\\u00e9",
    "\\ud83d\\uded2",
    "T14:00:00.000",
    "+00:00",
    "Z",
)


def main(minutes: float) -> int:
    """Fuzz for so long; 0 if nothing was found."""
    clang = shutil.which("clang")
    if not clang:
        print(
            "make fuzz needs clang and its libFuzzer. On Debian: apt-get install clang libclang-rt-dev", file=sys.stderr
        )
        return 2
    seeds, found = FOLDER / "seeds", FOLDER / "corpus"
    for folder in (seeds, found, CORPUS):
        folder.mkdir(parents=True, exist_ok=True)
    program = FOLDER / "fuzz"
    subprocess.run([clang, *FLAGS, "-o", program, Path(__file__).with_name("sanitized.c")], check=True)
    write_seeds(seeds)
    tokens = FOLDER / "tokens"
    tokens.write_text("".join(f"{json.dumps(token)}\n" for token in TOKENS), "ascii")
    options = (f"-max_len={LONGEST}", f"-dict={tokens}", f"-artifact_prefix={FOLDER}/", "-print_final_stats=1")
    run = subprocess.run(
        [program, *options, f"-max_total_time={60 * minutes:.0f}", "-timeout=10", found, CORPUS, seeds], check=False
    )
    fewest = FOLDER / "fewest"
    shutil.rmtree(fewest, ignore_errors=True)
    fewest.mkdir()
    subprocess.run([program, "-merge=1", f"-max_len={LONGEST}", fewest, CORPUS, found, seeds], check=True)
    shutil.rmtree(CORPUS)
    CORPUS.mkdir()
    size = 0
    for file in sorted(fewest.iterdir(), key=lambda file: (file.stat().st_size, file.name)):
        size += file.stat().st_size
        if size <= CORPUS_BYTES:
            shutil.copy(file, CORPUS)
    print(f"{len(list(CORPUS.iterdir()))} inputs kept")
    return run.returncode


def write_seeds(folder: Path) -> None:
    """Some plain and some fuzzed lines, in blocks of every kind."""
    rng = random.Random(1)
    plain = [raw for lines in PLAIN.values() for raw in lines]
    for number in range(300):
        lines = [
            rng.choice(plain) if rng.random() < 0.5 else line(1, rng.randrange(10**9))
            for _ in range(rng.choice((1, 2, 4)))
        ]
        content = bytes([rng.choice(BLOCKS)]) + b"\n".join(lines)
        (folder / str(number)).write_bytes(content[:LONGEST])


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1))
