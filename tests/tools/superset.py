"""Apache Superset on this machine: set up as its guide says, served, and asked by the REST API that its own pages use."""

import json
import subprocess
import time
from contextlib import contextmanager
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from shoplake.web import serve
from tests.tools.environments import run, surroundings

SECONDS_TO_START = 120
CONFIG = """
SECRET_KEY = "of a test"
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
"""
ADMIN = (
    "--username",
    "admin",
    "--password",
    "admin",
    "--firstname",
    "A",
    "--lastname",
    "B",
    "--email",
    "a@example.org",
)
VARIABLES = {"FLASK_APP": "superset", "SUPERSET_CONFIG_PATH": "superset_config.py"}


class Superset:
    """A running server, asked as its administrator."""

    def __init__(self, url):
        self.url, self.token = url, ""

    def ask(self, path, body=None):
        """The answer to a GET, or to a POST if there is a body."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = Request(f"{self.url}/api/v1/{path}", json.dumps(body).encode() if body else None, headers)  # noqa: S310 - loopback
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error

    def log_in(self):
        given = {"username": "admin", "password": "admin", "provider": "db"}
        self.token = self.ask("security/login", given)["access_token"]

    def ready(self):
        try:
            with urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310
                return answer.read() == b"OK"
        except URLError:
            return False


@contextmanager
def served(tools, folder):
    """A Superset that knows no database yet, and whose own is below a folder."""
    folder.mkdir()
    (folder / "superset_config.py").write_text(CONFIG.format(folder=folder))
    for words in (["db", "upgrade"], ["fab", "create-admin", *ADMIN], ["init"]):
        run(tools, ["superset", *words], folder, **VARIABLES)
    with serve.listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    words = ["superset", "run", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        variables = surroundings(tools, folder) | VARIABLES
        process = subprocess.Popen(words, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT)
    try:
        asked, end = Superset(f"http://127.0.0.1:{port}"), time.monotonic() + SECONDS_TO_START
        while not asked.ready():
            late = process.poll() is not None or time.monotonic() > end
            assert not late, (folder / "log").read_text()
            time.sleep(0.5)
        asked.log_in()
        yield asked
    finally:
        process.kill()
        process.wait()
