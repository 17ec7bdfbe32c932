"""The command ``shoplake``, which is also ``python -m shoplake``."""

import gc
import os


def main() -> None:
    """Run the command that the arguments name."""
    # NumPy's linear algebra, of which hardly anything is used, would keep a thread busy on every core for a tenth of a second.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Its large arrays live for milliseconds. In a virtual machine, as those of Lambda are, large pages for them may come
    # from the host each time: a tenth of an hour's CPU seconds.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    gc.disable()  # nothing that is imported is ever garbage
    from shoplake.cli.main import main as run

    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # what a command imports later is no garbage either: 0.05 s of an ingest
    gc.enable()
    run()


if __name__ == "__main__":
    main()
