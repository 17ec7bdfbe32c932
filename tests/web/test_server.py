"""The dashboard's server: right numbers, read-only, and safe against who and what may come."""

import base64
import hashlib
import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import resources
from queue import Queue
from threading import Barrier

import pytest
from starlette import testclient

from shoplake.errors import FatalError
from shoplake.lake import parts
from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import keys_location
from shoplake.operations.maintain import MaintenanceRequest, maintain
from shoplake.settings import Settings
from shoplake.sources.open import open_source
from shoplake.text import json_value
from shoplake.web import app, counts, data, pages
from shoplake.web.data import Shop
from tests.support import (
    accepted,
    command,
    event,
    events,
    everywhere,
    five_answers,
    ingest,
    judge_files,
    key,
    put,
    put_bytes,
)
from tests.web.support import BROKEN, DAYS, HOSTILE, answered, build, exported_data, on, slot_times, tree, truth

STATIC = resources.files("shoplake.web").joinpath("static")
ADDRESSES = ("/", "/api/version", "/api/answers", "/api/health", "/static/dashboard.css", "/static/words.js")


def client_of(lake, source=None):
    shop = Shop(Lake(lake), source and open_source(source), Settings(threads=2))
    return testclient.TestClient(app.create(shop), base_url="http://127.0.0.1:8080")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A source and its lake; tests here only read them."""
    return build(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def client(shop):
    return client_of(shop[1], shop[0])


# ------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (None, None),
        (DAYS[0], None),
        (None, DAYS[1]),
        (DAYS[1], DAYS[1]),
        (DAYS[1], DAYS[2]),
        (DAYS[2] + timedelta(days=1), None),
        (None, DAYS[0] - timedelta(days=1)),
    ],
)
def test_answers_of_some_days(shop, client, since, until):
    """They are those of the events of these days, both ends included, counted one by one."""
    asked = {name: day.isoformat() for name, day in (("from", since), ("to", until)) if day}
    content = client.get("/api/answers", params=asked).json()
    assert answered(content) == truth(shop[0], since, until)
    assert content["days"] == [DAYS[0].isoformat(), DAYS[2].isoformat()]


def test_answers_are_those_of_the_command_line(shop, client):
    """What shoplake query all says is what the dashboard shows, names and columns included."""
    told = command("query", "all", "--lake", shop[1], "--format", "json").json
    found = client.get("/api/answers").json()["answers"]
    assert [{key: one[key] for key in ("name", "columns", "rows")} for one in found] == told


def counted(shop, first, last):
    return [one for one in accepted(judge_files(shop[0])) if first <= one.time.date() <= last]


@pytest.mark.parametrize(
    "chosen", [{"category": "books"}, {"product": "p_1"}, {"product": HOSTILE[2], "category": HOSTILE[2]}]
)
def test_a_product_or_a_category(shop, client, chosen):
    """Every answer but that about users is narrowed to it, whatever it is called; users are those of all products."""
    content = client.get("/api/answers", params=chosen).json()
    some = [
        one
        for one in accepted(judge_files(shop[0]))
        if chosen.get("product") in (None, one.product) and chosen.get("category") in (None, one.category)
    ]
    due = {name: [json_value(row) for row in rows] for name, rows in five_answers(some).items()}
    assert answered(content) == due | {"user_activity": truth(shop[0])["user_activity"]}
    assert set(content["choices"]["categories"]) == {"books", *HOSTILE}
    assert {"p_0", "p_1", "p_2"} <= set(content["choices"]["products"])


def test_the_period_before(shop, client):
    """Figures of as many days before, exactly; none where the lake does not hold all of these days."""
    content = client.get("/api/answers", params={"from": DAYS[2].isoformat(), "to": DAYS[2].isoformat()}).json()
    earlier = counted(shop, DAYS[1], DAYS[1])
    before = content["before"]
    assert (before["since"], before["until"]) == (DAYS[1].isoformat(), DAYS[1].isoformat())
    assert before["events"] == len(earlier)
    assert before["purchases"] == sum(one.type == "purchase" for one in earlier)
    assert before["users"] == len({one.user for one in earlier})
    assert client.get("/api/answers", params={"from": DAYS[1].isoformat()}).json()["before"] is None


def test_distinct_users_and_searches_of_a_range(shop, client):
    """They are counted over the whole range, not day by day; retention leaves no wrong number."""
    for first, last in ((DAYS[0], DAYS[2]), (DAYS[1], DAYS[2])):
        found = counted(shop, first, last)
        asked = {"from": first.isoformat(), "to": last.isoformat()}
        due = {"users": len({one.user for one in found}), "sessions": len({one.session for one in found})}
        assert client.get("/api/distinct", params=asked).json() == due
        rows = client.get("/api/searches", params=asked).json()["rows"]
        assert rows[0][:2] == ["yoga mat", sum(one.type == "search" for one in found)]
    assert client.get("/api/distinct?from=yesterday").status_code == 400


@everywhere
def test_distinct_users_of_parts(place):
    """Of an hour in several parts, read from the keys beside the data files, and from the texts where keys are missing."""
    source, place = build(place)
    put(source, 4, on(DAYS[2], events(40, first=700)))  # the newest hour: no run adds its parts up
    ingest(source, place)
    found = counted((source, place), DAYS[0], DAYS[2])
    due = {"users": len({one.user for one in found}), "sessions": len({one.session for one in found})}
    shop = Shop(Lake(place), None, Settings(threads=2))
    files = shop.lake.need_view()["session_hourly"].files
    assert parts.in_parts(files)
    assert counts.distinct(shop, DAYS[0], DAYS[2]) == due
    shop.lake.storage.delete([keys_location(file.path) for file in files[:2]])
    assert counts.distinct(shop, DAYS[0], DAYS[2]) == due


def test_distinct_users_of_days_that_are_not_kept(tmp_path):
    """Of a range with closed days there is no count; of the days that are kept there is."""
    source, lake = build(tmp_path)
    noon = datetime(2025, 11, 19, 12, tzinfo=UTC)
    maintain(MaintenanceRequest(Lake(lake), keep_days=1, now=lambda: noon))
    client = client_of(lake)
    asked = {"from": DAYS[0].isoformat(), "to": DAYS[2].isoformat()}
    assert client.get("/api/distinct", params=asked).json() == {
        "users": None,
        "sessions": None,
        "kept_from": "2025-11-18",
    }
    found = counted((source, lake), DAYS[1], DAYS[2])
    kept = client.get("/api/distinct", params=asked | {"from": DAYS[1].isoformat()}).json()
    assert kept["users"] == len({one.user for one in found})


def test_health(shop, client):
    """It is what shoplake status says, and besides the slots with their gap and the quarantined lines by reason."""
    told = command("status", "--lake", shop[1], "--source", shop[0], "--format", "json").json
    health = client.get("/api/health").json()
    for name in ("verdict", "tables", "ledger", "newest_event", "gaps", "batches", "unreadable", "waiting"):
        assert health[name] == told[name]
    judged = judge_files(shop[0])
    taken: Counter[str] = Counter()
    for path, verdicts in judged.items():
        taken[path.rpartition("/")[0]] += sum(verdict.fate == "accepted" for verdict in verdicts)
    expected = [(2, 67), (1, taken[key(1).rpartition("/")[0]]), (0, 0), (1, taken[key(3).rpartition("/")[0]])]
    slots = [(slot["slot"], slot["files"], slot["events"]) for slot in health["slots"]]
    assert slots == [(at, *figures) for at, figures in zip(slot_times(4), expected, strict=True)]
    broken = [verdict for verdicts in judged.values() for verdict in verdicts if verdict.fate == "quarantined"]
    counted = Counter(reason for verdict in broken for reason in verdict.reasons)
    assert {reason["reason"]: reason["lines"] for reason in health["reasons"]} == counted
    (malformed,) = (reason for reason in health["reasons"] if reason["reason"] == "malformed_json")
    (sample,) = malformed["samples"]
    assert (sample["raw"], sample["cut"], malformed["meaning"] != "") == (BROKEN.decode(), False, True)


def test_samples_are_few_short_and_new(tmp_path):
    """Of many quarantined lines for one reason three of the newest are shown, long ones cut."""
    put(tmp_path / "raw", 0, [*events(50), *(b"old %d" % number for number in range(9))])
    ingest(tmp_path / "raw", tmp_path / "lake")
    put(tmp_path / "raw", 1, [*events(50, first=60), b"new " + b"x" * 5000, b"newer"])
    ingest(tmp_path / "raw", tmp_path / "lake")
    (reason,) = client_of(tmp_path / "lake").get("/api/health").json()["reasons"]
    assert reason["lines"] == 11
    assert [sample["raw"][:3] for sample in reason["samples"]] == ["new", "new", "old"]
    assert [(len(sample["raw"]), sample["cut"]) for sample in reason["samples"][:2]] == [(600, True), (5, False)]


def test_slots_of_a_long_lake(tmp_path):
    """The newest 24 hours are shown, gaps included, whatever came before; files outside the layout have no slot."""
    for slot in (0, 12 * 30, 12 * 31 + 5):
        put(tmp_path / "raw", slot, [event(slot)])
    put(tmp_path / "raw", "elsewhere.jsonl.gz", [event(1)])
    ingest(tmp_path / "raw", tmp_path / "lake")
    slots = client_of(tmp_path / "lake").get("/api/health").json()["slots"]
    assert len(slots) == 23 * 12 + 6
    assert sum(slot["files"] for slot in slots) == 2
    assert slots[-1]["files"] == 1


@everywhere
def test_it_follows_the_lake(place):
    """After a batch the version is another and so are the answers; before it, both stay. On S3 as in a folder."""
    source, lake = build(place)
    client = client_of(lake, source)
    version, before = client.get("/api/version").json(), client.get("/api/answers").json()
    assert version["catalog"] == before["catalog"] == client.get("/api/version").json()["catalog"]
    put(source, 4, events(40, first=900))
    ingest(source, lake)
    after = client.get("/api/answers").json()
    assert after["catalog"] == client.get("/api/version").json()["catalog"] != before["catalog"]
    assert answered(after) == truth(source) != answered(before)
    assert client.get("/api/health").json()["slots"][-1] == {
        "slot": slot_times(5)[-1],
        "files": 1,
        "unreadable": 0,
        "events": 40,
    }


def test_slots_with_a_cut_file(tmp_path):
    """A file that cannot be read stands out in its slot, beside one that can."""
    whole = put(tmp_path / "raw", 0, events(20))
    content = (tmp_path / "raw" / whole).read_bytes()
    put_bytes(tmp_path / "raw", whole.replace(".jsonl", "-cut.jsonl"), content[:-20])
    ingest(tmp_path / "raw", tmp_path / "lake")
    (slot,) = client_of(tmp_path / "lake").get("/api/health").json()["slots"]
    assert slot == {"slot": slot_times(1)[0], "files": 2, "unreadable": 1, "events": 20}


def test_many_ask_at_once(shop, monkeypatch):
    """Every one gets the right answer, and the same question is worked on once."""
    client = client_of(shop[1])
    ranges = [(None, None), (DAYS[0], DAYS[0]), (DAYS[1], DAYS[1]), (DAYS[2], DAYS[2])] * 4
    expected = {span: truth(shop[0], *span) for span in set(ranges)}
    calls: Counter[object] = Counter()
    real, together = data.answers, Barrier(len(ranges))

    def answers(shop, since, until, chosen):
        calls[since, until] += 1
        return real(shop, since, until, chosen)

    monkeypatch.setattr(data, "answers", answers)

    def ask(span):
        together.wait()
        asked = {name: day.isoformat() for name, day in zip(("from", "to"), span, strict=True) if day}
        return answered(client.get("/api/answers", params=asked).json())

    with ThreadPoolExecutor(len(ranges)) as pool:
        found = list(pool.map(ask, ranges))
    assert found == [expected[span] for span in ranges]
    assert calls == dict.fromkeys(expected, 1)


def test_the_first_view_is_worked_out_ahead(shop, monkeypatch):
    """Before anyone asks, and once."""
    calls: Queue[object] = Queue()
    real = data.answers

    def answers(*asked):
        calls.put(asked)
        return real(*asked)

    monkeypatch.setattr(data, "answers", answers)
    client = testclient.TestClient(
        app.create(Shop(Lake(shop[1]), None, Settings()), ahead=True), base_url="http://127.0.0.1:8080"
    )
    calls.get(timeout=60)
    assert answered(client.get("/api/answers").json()) == truth(shop[0])
    assert calls.empty()


def test_files_that_maintenance_takes_away(shop, monkeypatch):
    """An answer that fails because the lake changed meanwhile is worked out anew; one that just fails is told."""
    real, states = data.answers, iter(["a", "a", "b", "b", "b", "b"])
    monkeypatch.setattr(data, "catalog", lambda lake: next(states))
    failures = iter([FatalError("gone")])

    def answers(*span):
        for failure in failures:
            raise failure
        return real(*span)

    monkeypatch.setattr(data, "answers", answers)
    assert client_of(shop[1]).get("/api/answers").status_code == 200
    monkeypatch.setattr(data, "catalog", lambda lake: "c")
    failures = iter([FatalError("gone")])
    assert client_of(shop[1]).get("/api/answers").status_code == 503


# --------------------------------------------------------------------------------------------------- empty and broken


def test_no_lake_yet(tmp_path):
    """The page is there, and says how to make a lake; once there is one, it is shown."""
    client = client_of(tmp_path / "lake")
    assert client.get("/").status_code == 200
    assert client.get("/api/version").json() == {"catalog": ""}
    for address in ("/api/answers", "/api/health"):
        response = client.get(address)
        assert response.status_code == 503
        assert "no lake" in response.json()["error"]["message"]
        assert "shoplake ingest" in response.json()["error"]["remedy"]
    source, _ = build(tmp_path)
    assert answered(client.get("/api/answers").json()) == truth(source)


def test_empty_lake(tmp_path):
    """It has no days and no rows, and its health can be told."""
    Lake(tmp_path / "lake").create()
    client = client_of(tmp_path / "lake")
    content = client.get("/api/answers").json()
    assert (content["days"], set(map(len, answered(content).values()))) == (None, {0})
    health = client.get("/api/health").json()
    assert (health["verdict"], health["slots"], health["reasons"]) == ("failed", [], [])


def test_broken_lake(tmp_path, shop):
    """A damaged catalog and a missing data file are told with what to do."""
    _, damaged = build(tmp_path / "damaged")
    (damaged / "catalog.json").write_text("{")
    response = client_of(damaged).get("/api/answers")
    assert (response.status_code, "damaged" in response.json()["error"]["message"]) == (503, True)
    assert response.json()["error"]["remedy"]
    _, lake = build(tmp_path / "other")
    for file in (lake / "product_hourly" / "data").rglob("*.parquet"):
        file.unlink()
    response = client_of(lake).get("/api/answers")
    assert (response.status_code, "is missing" in response.json()["error"]["message"]) == (503, True)


# -------------------------------------------------------------------------------------------------------------- safety


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2025-13-01"},
        {"to": "yesterday"},
        {"from": "2025-11-18' OR 1=1 --"},
        {"to": "'; DROP TABLE product_hourly; --"},
        {"from": "x" * 10_000},
        {"from": "2025-11-18\x00"},
        {"from": "2025-11-19", "to": "2025-11-18"},
    ],
)
def test_what_is_no_day(client, asked):
    """It is refused with what is wrong, and never reaches a statement."""
    response = client.get("/api/answers", params=asked)
    assert response.status_code == 400
    assert response.json()["error"]["remedy"]
    assert len(response.text) < 1000


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar(shop, client, day):
    """The first and the last day there are: nothing happened then."""
    content = client.get("/api/answers", params={"from": day, "to": day}).json()
    assert set(map(len, answered(content).values())) == {0}
    everything = client.get("/api/answers", params={"from": "0001-01-01", "to": "9999-12-31"}).json()
    assert answered(everything) == truth(shop[0])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_but_reading(shop, client, method):
    """Only GET and HEAD are answered, and asking changes no file of the lake or the source."""
    before = tree(shop[1].parent)
    for address in ADDRESSES:
        assert client.request(method, address).status_code == 405
        assert client.get(address).status_code == client.head(address).status_code == 200
    assert tree(shop[1].parent) == before


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/vendor/..%2f..%2fapp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/",
        "/static/vendor",
        "/static/index.html%00.css",
        "/catalog.json",
        "/..%2f..%2f..%2fetc/passwd",
    ],
)
def test_no_other_file(client, path):
    """Files are handed out by their exact names."""
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:9", 200),
        ("[::1]:8080", 200),
        ("192.168.1.7:8080", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ],
)
def test_who_is_meant(client, host, status):
    """A request by a foreign name, as a rebound domain makes it, learns nothing."""
    for address in ADDRESSES:
        response = client.get(address, headers={"host": host})
        assert response.status_code == status
        assert status == 200 or "catalog" not in response.text


def test_headers(client):
    """Every answer tells the browser to run nothing but the page's own files, and shares nothing with other sites."""
    for address in (*ADDRESSES, "/nothing", "/api/answers?from=x"):
        headers = client.get(address, headers={"origin": "https://evil.example"}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    assert client.get("/api/answers").headers["content-type"] == "application/json"


def test_the_page_needs_nobody_else():
    """No file of the page names another host, and none has a handler or a style inside an element."""
    for name in ("index.html", "dashboard.css", *pages.SCRIPTS[1:]):
        text = pages.read(name).replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            name
        )
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", pages.read("index.html"))


def test_the_charting_library():
    """It is the published file of that version, with its licence."""
    content = STATIC.joinpath(pages.LIBRARY).read_bytes()
    assert hashlib.sha256(content).hexdigest() == "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
    assert "Apache License" in STATIC.joinpath("vendor/echarts-LICENSE").read_text("utf-8")
    assert "Apache ECharts" in STATIC.joinpath("vendor/echarts-NOTICE").read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------- colours

_TEXT = [
    *(("ink", where) for where in ("page", "card")),
    *(("quiet", where) for where in ("page", "card")),
    *(("accent", where) for where in ("page", "card")),
    ("on-accent", "accent"),
    *((name, f"{name}-soft") for name in ("ok", "warning", "failed")),
    ("failed", "card"),
]
_SHAPES = ["control", "step-1", "step-2", "series-none", *(f"series-{number}" for number in range(1, 8))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme):
    """Text has at least 4.5 to 1 against what it stands on, controls and parts of charts 3 to 1 (WCAG 2.2 AA)."""
    blocks = re.findall(r":root \{(.*?)\}", pages.read("dashboard.css"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[1]))
    assert [pair for pair in _TEXT if _contrast(colours[pair[0]], colours[pair[1]]) < 4.5] == []
    assert [name for name in _SHAPES if _contrast(colours[name], colours["card"]) < 3] == []


def _contrast(one, other):
    low, high = sorted(map(_luminance, (one, other)))
    return round((high + 0.05) / (low + 0.05), 2)


def _luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# -------------------------------------------------------------------------------------------------------- command line


def test_export(shop, tmp_path):
    """One page that holds the answers and the health, asks nobody for anything, and that no value can break out of."""
    told = command("dashboard", "--lake", shop[1], "--source", shop[0], "--export", tmp_path / "shop.html")
    assert (told.code, "shop.html" in told.out) == (0, True)
    page = (tmp_path / "shop.html").read_text("utf-8")
    found = exported_data(page)
    assert answered(found["answers"]) == truth(shop[0])
    assert HOSTILE[0] in {row[0] for row in answered(found["answers"])["conversion_funnel"]}
    assert found["health"]["ledger"]["files"] == 4
    own = page.replace(pages.read(pages.LIBRARY), "")
    loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=[\"']?([^\"' >]+)", own)
    assert [link[:5] for link in loaded] == ["data:"]
    assert not any(name in page for name in (*HOSTILE[:2], BROKEN.decode()))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "unsafe" not in policy
    assert "connect-src" not in policy  # none, by default-src
    for name in pages.SCRIPTS:
        digest = base64.b64encode(hashlib.sha256(pages.read(name).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_export_that_cannot_be(shop, tmp_path):
    """Without a lake, or with nowhere to write, the command fails with what to do."""
    told = command("dashboard", "--lake", tmp_path / "none", "--export", tmp_path / "page.html")
    assert (told.code, "no lake" in told.err, (tmp_path / "page.html").exists()) == (2, True, False)
    told = command("dashboard", "--lake", shop[1], "--export", tmp_path / "no" / "page.html")
    assert (told.code, "cannot be written" in told.err) == (1, True)


def test_port_taken(shop):
    """The command says that the port is taken and how to name another."""
    from shoplake.web import serve

    with serve.listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert serve.address("127.0.0.1", listening) == f"http://127.0.0.1:{port}/"
        assert serve.address("::", listening) == f"http://[::1]:{port}/"
        told = command("dashboard", "--lake", shop[1], "--port", port)
    assert (told.code, f"port {port} of 127.0.0.1 is already in use" in told.err, "--port" in told.err) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_host_of_somebody_else(shop, host):
    """A host that is not this machine's is a usage error."""
    told = command("dashboard", "--lake", shop[1], "--host", host, "--port", 0)
    assert (told.code, "cannot listen" in told.err, "--host" in told.err) == (2, True, True)


def test_without_the_extra(shop, monkeypatch):
    """It says what to install; exporting works without."""
    from shoplake import web

    monkeypatch.delattr(web, "serve", raising=False)
    monkeypatch.setitem(sys.modules, "shoplake.web.serve", None)
    told = command("dashboard", "--lake", shop[1], "--port", 0)
    assert (told.code, "'.[web]'" in told.err) == (2, True)
