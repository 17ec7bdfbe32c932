"""The server of ``make trino``: fetched once, and started beside an emulator of AWS."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra import grade

VERSION = "476"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoplake"
URL = f"https://repo1.maven.org/maven2/io/trino/trino-server/{VERSION}/trino-server-{VERSION}.tar.gz"
SHA256 = "cfd5accde17e8ebd251eeeb78aed1f490e77bb3a164d95a0f454bf8a7c1cbd3f"
PARTS = ("lib", "plugin/hive", "plugin/iceberg")
SECONDS_TO_START = 300
JVM = """-server
-Xmx2G
-XX:+ExitOnOutOfMemoryError
-XX:ReservedCodeCacheSize=256M
-Djdk.attach.allowAttachSelf=true
-Dfile.encoding=UTF-8
--enable-native-access=ALL-UNNAMED
--add-modules=jdk.incubator.vector
--sun-misc-unsafe-memory-access=allow
"""
GLUE = """hive.metastore.glue.endpoint-url={url}
hive.metastore.glue.region={region}
hive.metastore.glue.aws-access-key=testing
hive.metastore.glue.aws-secret-key=testing
"""
REST = """connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={url}
"""
FILES_ON_S3 = """fs.native-s3.enabled=true
s3.endpoint={url}
s3.region={region}
s3.path-style-access=true
s3.aws-access-key=testing
s3.aws-secret-key=testing
"""
FILES_IN_A_FOLDER = "fs.hadoop.enabled=true\n"
_VALUES: dict[str, Callable[[Any], Any]] = {
    "bigint": int,
    "integer": int,
    "double": float,
    "decimal": Decimal,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
}


class Trino:
    """A running server."""

    def __init__(self, port: int) -> None:
        """Name it."""
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        """Whether it answers questions; it takes them before it has found itself as a node that can."""
        try:
            with urllib.request.urlopen(f"{self._url}/v1/info", timeout=5) as answer:  # noqa: S310 - loopback
                return not json.load(answer)["starting"] and self.ask("SELECT 1", "system", "runtime") == [(1,)]
        except (OSError, RuntimeError):
            return False

    def ask(self, sql: str, catalog: str, schema: str) -> list[tuple[Any, ...]]:
        """The rows of a statement.

        Raises:
            RuntimeError: Trino refused it.
        """
        headers = {"X-Trino-User": "shoplake", "X-Trino-Catalog": catalog, "X-Trino-Schema": schema}
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self._url}/v1/statement", sql.encode(), {**headers, "X-Trino-Time-Zone": "UTC"}, method="POST"
        )
        rows: list[tuple[Any, ...]] = []
        while True:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                page = json.load(answer)
            if "error" in page:
                raise RuntimeError(page["error"]["message"])
            kinds = [
                _VALUES.get(column["type"].split("(")[0], lambda value: value) for column in page.get("columns", [])
            ]
            rows += [
                tuple(None if value is None else kind(value) for kind, value in zip(kinds, row, strict=True))
                for row in page.get("data", [])
            ]
            if "nextUri" not in page:
                return rows
            request = urllib.request.Request(page["nextUri"], headers=headers)  # noqa: S310


@dataclass(frozen=True)
class Installation:
    """What a server is started from: its folder, and the home of its Java."""

    home: Path
    java: Path


def installed() -> Installation:
    """The server, which is downloaded the first time, and a Java that is new enough.

    Raises:
        SystemExit: There is no such Java, or the server cannot be downloaded.
    """
    java = _java()
    return Installation(_unpacked(), java)


@contextmanager
def running(installation: Installation, url: str, rest: str, rest_of_folder: str) -> Iterator[Trino]:
    """A server whose catalogs ``iceberg`` and ``raw`` stand on the emulator, and ``lake`` and ``folder`` on REST catalogs.

    Args:
        installation: The server and its Java.
        url: Of the emulator.
        rest: Of the REST catalog of the lake there.
        rest_of_folder: Of the REST catalog of a lake in a folder.
    """
    home, java = installation.home, installation.java
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="trino-") as folder:
        files = FILES_ON_S3.format(url=url, region=grade.REGION)
        glue = GLUE.format(url=url, region=grade.REGION) + files
        for name, text in {
            "node.properties": f"node.environment=test\nnode.id=1\nnode.data-dir={folder}/data\n"
            "node.internal-address=127.0.0.1\nnode.bind-ip=127.0.0.1\n",
            "config.properties": "coordinator=true\nnode-scheduler.include-coordinator=true\n"
            f"http-server.http.port={port}\ndiscovery.uri=http://127.0.0.1:{port}\ncatalog.management=static\n",
            "jvm.config": JVM,
            "log.properties": "io.trino=WARN\n",
            "catalog/iceberg.properties": f"connector.name=iceberg\niceberg.catalog.type=glue\n{glue}",
            "catalog/lake.properties": REST.format(url=rest) + files,
            "catalog/folder.properties": REST.format(url=rest_of_folder) + FILES_IN_A_FOLDER,
            "catalog/raw.properties": "connector.name=hive\nhive.metastore=glue\n"
            # Athena looks into folders below a partition's, Trino on request.
            f"hive.partition-projection-enabled=true\nhive.recursive-directories=true\n{glue}",
        }.items():
            path = Path(folder, "etc", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        log = Path(folder, "log")
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own words
                [
                    str(java / "bin" / "java"),
                    *(option for option in JVM.splitlines() if option),
                    *(
                        "-cp",
                        f"{home}/lib/*",
                        f"-Dnode.data-dir={folder}/data",
                        f"-Dconfig={folder}/etc/config.properties",
                    ),
                    *(f"-Dlog.levels-file={folder}/etc/log.properties", "-Dnode.environment=test", "-Dnode.id=1"),
                    *("-Dnode.internal-address=127.0.0.1", "-Dnode.bind-ip=127.0.0.1"),
                    f"-Dplugin.dir={home}/plugin",
                    f"-Dcatalog.config-dir={folder}/etc/catalog",
                    "io.trino.server.TrinoServer",
                ],
                cwd=folder,
                env={"JAVA_HOME": str(java), "PATH": os.environ["PATH"]},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            server, end = Trino(port), time.monotonic() + SECONDS_TO_START
            while not server.ready():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Trino did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
                time.sleep(0.5)
            yield server
        finally:
            process.kill()
            process.wait()


def _unpacked() -> Path:
    """The folder of the server; fetched and unpacked the first time."""
    home = CACHE / f"trino-server-{VERSION}"
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=_made(CACHE)) as folder:
            fresh = Path(folder)
            _fetch(fresh / "server.tar.gz")
            with tarfile.open(fresh / "server.tar.gz") as archive:
                members = [one for one in archive.getmembers() if one.isfile() or one.islnk()]
                wanted = [
                    one for one in members if one.name.startswith(tuple(f"{home.name}/{part}/" for part in PARTS))
                ]
                targets = {one.linkname for one in wanted if one.islnk()}  # a jar of several plugins is there once
                names = {one.name for one in wanted} | targets
                archive.extractall(fresh, [one for one in members if one.name in names], filter="data")
            for plugin in (fresh / home.name / "plugin").iterdir():
                if f"plugin/{plugin.name}" not in PARTS:
                    shutil.rmtree(plugin)
            (fresh / home.name).rename(home)
    return home


def _fetch(place: Path) -> None:
    """Download the server's archive.

    Raises:
        SystemExit: Maven Central cannot be reached, or gave other bytes.
    """
    digest = hashlib.sha256()
    print(f"downloading {URL} (0.8 GB, once)")
    try:
        with urllib.request.urlopen(URL, timeout=60) as answer, place.open("wb") as file:
            while piece := answer.read(1 << 20):
                digest.update(piece)
                file.write(piece)
    except OSError as error:
        sys.exit(
            f"{URL} cannot be downloaded: {error}. Is Maven Central reachable from here, by Python's certificates?"
        )
    if digest.hexdigest() != SHA256:
        sys.exit(f"{URL} is not the file that it was: its SHA-256 is {digest.hexdigest()}, not {SHA256}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _java() -> Path:
    """The home of a Java that is new enough.

    Raises:
        SystemExit: There is none.
    """
    candidates = [Path(os.environ.get("JAVA_HOME", "/nowhere")), *sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)]
    for home in candidates:
        if (home / "bin" / "java").exists():
            said = subprocess.run([home / "bin" / "java", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
            if said.stdout.split()[1:2] and int(said.stdout.split()[1].split(".")[0]) >= 24:
                return home
    sys.exit("Trino needs Java 24 or newer, and there is none. Install one (https://adoptium.net) and set JAVA_HOME.")
