"""``shoplake verify`` on the command line: exit codes, and what it prints."""

import json

import pytest

from tests.behaviour.verify.support import NEXT_HOUR, rewrite
from tests.support import command


def test_command(shop):
    """Exit code 0 on a clean lake, 1 where something differs; --repair mends and exits with 0."""
    words = ("verify", "--lake", shop / "lake", "--source", shop / "raw")
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    assert "Everything agrees." in out
    rewrite(shop, "user_hourly", [NEXT_HOUR], None)
    code, out, err = command(*words)
    assert (code, err) == (1, "")
    assert "user_hourly of 2025-11-18T15:00:00Z" in out
    assert "shoplake verify --repair" in out
    code, out, err = command(*words, "--format", "csv")
    assert (code, out.splitlines()[1].split(",")[:3]) == (1, ["user_hourly", "gold", "2025-11-18T15:00:00Z"])
    code, out, err = command(*words, "--repair")
    assert (code, err) == (0, "")
    assert "Rebuilt gold of 1 hour" in out
    assert command(*words).code == 0


def test_command_json(shop):
    """The keys that scripts stand on."""
    rewrite(shop, "user_hourly", [NEXT_HOUR], None)
    code, out, err = command("verify", "--lake", shop / "lake", "--sample", "100%", "--format", "json")
    report = json.loads(out)
    assert (code, err) == (1, "")
    assert {"ok", "lake", "source", "version", "sample", "checks", "notes", "repaired", "seconds"} == set(report)
    for one in report["checks"]:
        assert set(one) == {"name", "question", "ok", "unit", "checked", "skipped", "differences"}
        for difference in one["differences"]:
            assert {"what", "where", "message", "remedy"} <= set(difference)
    (difference,) = [d for one in report["checks"] for d in one["differences"]]
    assert (difference["hour"], difference["rows"]) == ("2025-11-18T15:00:00Z", 7)
    assert report["sample"] is None


@pytest.mark.parametrize("share", ["0", "1.5", "-1", "200%", "some"])
def test_wrong_share(tmp_path, share):
    """A share that is none is wrong usage."""
    code, _, err = command("verify", "--lake", tmp_path / "lake", "--sample", share)
    assert code == 2
    assert "--sample" in err


def test_no_lake(tmp_path):
    """Without a lake there is nothing to verify: wrong usage."""
    code, _, err = command("verify", "--lake", tmp_path / "nothing")
    assert code == 2
    assert "there is no lake" in err
