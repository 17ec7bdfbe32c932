"""A storage whose writer dies, for tasks in other processes to import."""

import os
import signal
from pathlib import Path

from shoplake.storage import LocalStorage


class DyingOnce(LocalStorage):
    """Kills its process right after it wrote the first data file of a table: what was written is there, nobody knows of it."""

    def __init__(self, root, table):
        super().__init__(root)
        self.table = table

    def write(self, location, content):
        super().write(location, content)
        marker = Path(self.root) / f"{self.table}-died"
        if f"/{self.table}/data/" in location and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Full(LocalStorage):
    """Has no room for data files of a table."""

    def __init__(self, root, table):
        super().__init__(root)
        self.table = table

    def write(self, location, content):
        if f"/{self.table}/data/" in location:
            raise OSError(28, "No space left on device")
        super().write(location, content)
