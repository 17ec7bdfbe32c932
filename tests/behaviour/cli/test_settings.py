"""Where the command line finds its settings, and what it says about those that are missing or wrong."""

import pytest

from tests.behaviour.cli.support import tells


def test_no_lake_named(call):
    """Without a lake's name, the error says the three ways to name one."""
    tells(call("query"), 2, "--lake", "SHOPLAKE_LAKE", "shoplake.toml")


def test_missing_places(call, tmp_path):
    """A lake or a source that is not there is told with what to do; nothing is made."""
    tells(call("query", "--lake", tmp_path / "no"), 2, "there is no lake at", "shoplake ingest")
    tells(call("status", "--lake", tmp_path / "no"), 2, "there is no lake at")
    tells(call("ingest", "--lake", tmp_path / "no", "--source", tmp_path / "nowhere"), 2, "shoplake generate")
    tells(
        call("ingest", "--lake", tmp_path / "no", "--source", "gs://bucket/raw"), 2, "neither a local folder nor on S3"
    )
    assert not (tmp_path / "no").exists()


def test_settings_file(shop, call):
    """shoplake.toml in the working directory names the places; the environment goes before it, an option before both."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write(f'lake = "{shop / "lake"}"\nsource = "{shop / "raw"}"\nthreads = 1\n')
    assert call("status", "--format", "json").json["waiting"]["files"] == 0
    tells(call("query", "--lake", "elsewhere"), 2, "elsewhere")


def test_environment(shop, call, monkeypatch):
    """The environment names the places where no option does, and goes before the file."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write('lake = "from-the-file"\n')
    tells(call("query"), 2, "from-the-file")
    monkeypatch.setenv("SHOPLAKE_LAKE", str(shop / "lake"))
    assert call("query", "1", "--format", "json").code == 0


@pytest.mark.parametrize(
    "text", ['lake = "x"\nlaek = "y"\n', "lake = \n", 'lake = "x"\nthreads = "many"\n', "\xff"], ids=range(4)
)
def test_wrong_settings_file(call, text):
    """A settings file with a mistake is a usage error that names the file."""
    with open("shoplake.toml", "wb") as file:  # noqa: PTH123 - the working directory is the point
        file.write(text.encode("latin-1"))
    tells(call("query"), 2, "shoplake.toml")


def test_wrong_environment(call, monkeypatch):
    """A variable with a wrong value is a usage error that names it."""
    monkeypatch.setenv("SHOPLAKE_BATCH_BYTES", "lots")
    tells(call("query", "--lake", "x"), 2, "SHOPLAKE_BATCH_BYTES", "lots")
