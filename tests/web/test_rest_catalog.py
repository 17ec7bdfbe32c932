"""The lake as an Iceberg REST catalog: what clients of the protocol are told, and what a real one reads."""

import re
import sys

import pytest
from pyiceberg.catalog import load_catalog
from starlette import testclient

import shoplake
from shoplake import queries
from shoplake.errors import MissingFileError
from shoplake.lake import parts
from shoplake.lake.catalog import Lake
from shoplake.tables import TABLES
from shoplake.web import rest_catalog, serve
from tests.support import answers, command, dump, events, ingest, once_before, proof, put
from tests.web.serving import served
from tests.web.support import build, tree

NAMES = [table.name for table in TABLES]
EVENTS = "/v1/namespaces/shop/tables/events"


def client_of(lake):
    return testclient.TestClient(rest_catalog.create(Lake(lake)), base_url="http://127.0.0.1:8181")


def attach(url, **more):
    return load_catalog("lake", type="rest", uri=url, **more)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A lake; tests here only read it."""
    return build(tmp_path_factory.mktemp("shop"))[1]


@pytest.fixture(scope="module")
def client(shop):
    return client_of(shop)


# ------------------------------------------------------------------------------------------------------- a real client


@pytest.mark.parametrize(
    "place", ["tmp_path", pytest.param("s3_place", marks=[pytest.mark.s3, proof])], indirect=True, ids=["local", "s3"]
)
def test_pyiceberg_reads_every_table_and_the_five_answers(place):
    """By URL alone in a folder; on S3 the client brings the credentials, and the catalog says where S3 is."""
    source, lake = build(place)
    put(source, 4, events(40, first=900))
    ingest(source, lake)
    with served(lake) as url, shoplake.open(str(lake)) as opened:
        catalog = attach(url)
        assert catalog.list_tables("shop") == [("shop", name) for name in NAMES]
        for table in TABLES:
            rows = catalog.load_table(f"shop.{table.name}").scan().to_arrow()
            opened.register(f"seen_{table.name}", parts.add_up(table, rows) if table.unit else rows)
            seen, there = (
                opened.sql(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
                for name in (f"seen_{table.name}", table.name)
            )
            assert seen == there
            assert there or table.name == "erasures"
        for query in queries.five():
            sql = re.sub(rf"FROM ({'|'.join(NAMES)})\b", r"FROM seen_\1", query.sql)
            assert sql != query.sql
            assert opened.sql(sql).fetchall() == opened.sql(query.sql).fetchall()


def test_it_follows_the_lake(tmp_path):
    """Each load reads the newest version, what was loaded stays readable, and one who is pinned sees no later batch."""
    source, lake = build(tmp_path)
    before = answers(lake), dump(lake)["events"]
    with served(lake) as url:
        following, pinned = attach(url), attach(url, warehouse="pinned")
        loaded = following.load_table("shop.events")
        put(source, 4, events(40, first=900))
        ingest(source, lake)
        again = following.load_table("shop.events")
        assert again.metadata.snapshots[-2].snapshot_id == loaded.metadata.current_snapshot_id
        found = [table.scan().to_arrow().num_rows for table in (loaded, again)]
        assert found == [len(before[1]), len(before[1]) + 40]
        stays = {name: pinned.load_table(f"shop.{name}").metadata.current_snapshot_id for name in NAMES}
        new = {name: following.load_table(f"shop.{name}").metadata.current_snapshot_id for name in NAMES}
        assert [name for name in NAMES if stays[name] == new[name]] == ["quarantine", "erasures"]
        daily = pinned.load_table("shop.activity_daily").scan().to_arrow().sort_by("event_date")
        rows = zip(*(daily.column(name).to_pylist() for name in ("event_date", "unique_users")), strict=True)
        assert list(rows) == [row[:2] for row in before[0]["user_activity"]]


def test_pyiceberg_cannot_write(shop):
    """It is told so before it sends anything."""
    with served(shop) as url:
        catalog = attach(url)
        for write in (lambda: catalog.drop_table("shop.events"), lambda: catalog.create_namespace("mine")):
            with pytest.raises(NotImplementedError, match="does not support endpoint"):
                write()


# --------------------------------------------------------------------------------------------------------- the protocol


def test_config(client):
    """Every path that is announced is there, none writes, and a version that one is pinned to is a prefix."""
    told = client.get("/v1/config").json()
    assert (told["defaults"], told["overrides"]) == ({}, {})
    assert {endpoint.split()[0] for endpoint in told["endpoints"]} == {"GET", "HEAD"}
    prefix = client.get("/v1/config?warehouse=pinned").json()["overrides"]["prefix"]
    for endpoint in told["endpoints"]:
        method, path = endpoint.split()
        path = path.format(prefix=prefix, namespace="shop", table="events", view="none")
        status = {"HEAD": 204, "GET": 200}[method] if "/views/" not in path else 404
        assert client.request(method, path).status_code == status, endpoint
        assert client.request(method, path.replace(f"/{prefix}", "")).status_code == status, endpoint


def test_a_table(shop, client):
    """What is told of a table is its metadata document; a client that wants the current snapshot alone gets that."""
    told = client.get(EVENTS)
    table = Lake(shop).view()["events"]
    assert told.json() == {"metadata-location": table.location, "metadata": table.metadata, "config": {}}
    again = client.get(EVENTS, headers={"if-none-match": told.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    some = client.get(f"{EVENTS}?snapshots=refs")
    assert some.headers["etag"] == told.headers["etag"], "one snapshot, one document"
    assert some.json()["metadata"]["snapshots"] == [table.snapshot]


def test_older_snapshots_are_left_out_on_request(tmp_path):
    for slot in range(2):
        put(tmp_path / "raw", slot, events(5, first=5 * slot))
        ingest(tmp_path / "raw", tmp_path / "lake")
    client = client_of(tmp_path / "lake")
    counts = [len(client.get(EVENTS + more).json()["metadata"]["snapshots"]) for more in ("", "?snapshots=refs")]
    assert counts == [2, 1]
    assert client.get(EVENTS).headers["etag"] != client.get(f"{EVENTS}?snapshots=refs").headers["etag"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/namespaces/other", "NoSuchNamespaceException"),
        ("/v1/namespaces/shop%1Fevents", "NoSuchNamespaceException"),
        ("/v1/namespaces/other/tables", "NoSuchNamespaceException"),
        ("/v1/namespaces/other/tables/events", "NoSuchNamespaceException"),
        ("/v1/namespaces?parent=other", "NoSuchNamespaceException"),
        ("/v1/namespaces/shop/tables/none", "NoSuchTableException"),
        ("/v1/namespaces/shop/views/none", "NoSuchViewException"),
        ("/v1/config?warehouse=other", "NoSuchWarehouseException"),
        ("/v1/0000/namespaces/shop/tables", "NoSuchWarehouseException"),
        ("/v1/other", "NotFoundException"),
        ("/", "NotFoundException"),
    ],
)
def test_what_is_not_there(client, path, kind):
    """The error of the protocol, which clients turn into their own."""
    told = client.get(path)
    error = told.json()["error"]
    assert (told.status_code, error["code"], error["type"]) == (404, 404, kind)
    assert error["message"].endswith(".")


def test_the_namespace(shop, client):
    """All tables on one page, whatever pages a client asks for, and no namespace below."""
    assert client.get("/v1/namespaces?pageToken=&pageSize=1").json()["namespaces"] == [["shop"]]
    assert client.get("/v1/namespaces?parent=shop").json()["namespaces"] == []
    told = client.get("/v1/namespaces/shop/tables?pageToken=&pageSize=1").json()
    assert ([each["name"] for each in told["identifiers"]], told["next-page-token"]) == (NAMES, None)
    assert client.get("/v1/namespaces/shop").json()["properties"] == {"lake": str(shop), "version": "2"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/namespaces"),
        ("DELETE", "/v1/namespaces/shop"),
        ("POST", "/v1/namespaces/shop/properties"),
        ("POST", "/v1/namespaces/shop/tables"),
        ("POST", EVENTS),
        ("DELETE", f"{EVENTS}?purgeRequested=true"),
        ("POST", "/v1/namespaces/shop/register"),
        ("POST", "/v1/tables/rename"),
        ("POST", "/v1/transactions/commit"),
        ("POST", "/v1/namespaces/shop/views"),
        ("POST", "/v1/some/namespaces/shop/tables/events"),
    ],
)
def test_writes_are_refused(shop, client, method, path):
    """With the error that the protocol has for what a server does not do, and what to do instead; nothing changes."""
    before = tree(shop)
    told = client.request(method, path, json={})
    error = told.json()["error"]
    assert (told.status_code, error["code"], error["type"]) == (406, 406, "UnsupportedOperationException")
    assert "read-only" in error["message"]
    assert "another catalog" in error["message"]
    assert tree(shop) == before


def test_what_is_not_needed_is_no_failure(client):
    """Reports of a scan are taken, and one who wants a token is told to come without."""
    assert client.post(f"{EVENTS}/metrics", json={}).status_code == 204
    told = client.post("/v1/oauth/tokens", data={"grant_type": "client_credentials"})
    assert (told.status_code, told.json()["error"]) == (400, "unsupported_grant_type")


def test_a_foreign_name_learns_nothing(client):
    """As on the dashboard: another site cannot have its name lead here."""
    told = client.get(EVENTS, headers={"host": "evil.example"})
    assert (told.status_code, "metadata" in told.text) == (421, False)


# ----------------------------------------------------------------------------------------------------- the lake behind


def test_without_a_new_version_the_catalog_alone_is_read(shop, monkeypatch):
    """Each load after the first costs one read; none of them opens a data file."""
    lake, reads = Lake(shop), []
    real = lake.storage.read_if_there

    def read_if_there(location):
        reads.append(location)
        return real(location)

    monkeypatch.setattr(lake.storage, "read_if_there", read_if_there)
    client = testclient.TestClient(rest_catalog.create(lake), base_url="http://127.0.0.1:8181")
    client.get(EVENTS)
    assert len(reads) == 1 + len(TABLES)
    del reads[:]
    for name in NAMES:
        client.get(f"/v1/namespaces/shop/tables/{name}")
    assert reads == [lake.catalog_location] * len(NAMES)


def test_a_version_that_ends_while_it_is_read(tmp_path, monkeypatch):
    """An erasure drops old documents at once: then the newer version is read."""
    _, lake = build(tmp_path)
    client = client_of(lake)

    def gone():
        monkeypatch.undo()
        raise MissingFileError("a document")

    once_before(monkeypatch, Lake, "need_view", gone)
    assert client.get(EVENTS).status_code == 200


def test_a_damaged_lake_is_an_error_of_the_protocol(tmp_path):
    _, lake = build(tmp_path)
    client = client_of(lake)
    (lake / "catalog.json").write_text("{")
    error = client.get(EVENTS).json()["error"]
    assert (error["code"], error["type"], "recover" in error["message"]) == (500, "InternalServerError", True)


def test_command(shop, tmp_path, monkeypatch):
    """It says where it serves what; without a lake, a free port or the packages it says what to do."""
    served = []
    monkeypatch.setattr(serve, "serve", lambda application, listening: served.append(listening.getsockname()[1]))
    told = command("catalog", "--lake", shop, "--port", 0)
    assert (told.code, told.out) == (0, f"Serving {shop} as an Iceberg REST catalog at http://127.0.0.1:{served[0]}\n")
    assert "no authentication" not in told.err
    on_all = ("--host", "0.0.0.0")  # noqa: S104 - nothing is served
    assert "no authentication" in command("catalog", "--lake", shop, "--port", 0, *on_all).err
    told = command("catalog", "--lake", tmp_path / "none", "--port", 0)
    assert (told.code, "no lake" in told.err) == (2, True)
    with serve.listen("127.0.0.1", 0) as listening:
        told = command("catalog", "--lake", shop, "--port", listening.getsockname()[1])
    assert (told.code, "already in use" in told.err) == (2, True)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "shoplake.web.serve", None)
    monkeypatch.delattr(sys.modules["shoplake.web"], "serve")
    told = command("catalog", "--lake", shop, "--port", 0)
    assert (told.code, "'.[web]'" in told.err) == (2, True)


def test_the_command_refuses_a_damaged_lake(tmp_path):
    """At once, not at the first request of every client."""
    put(tmp_path / "raw", 0, events(3))
    ingest(tmp_path / "raw", tmp_path / "lake")
    (tmp_path / "lake" / "catalog.json").write_text("{}")
    told = command("catalog", "--lake", tmp_path / "lake", "--port", 0)
    assert (told.code, "catalog.json" in told.err) == (1, True)
