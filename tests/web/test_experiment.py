"""The page of an experiment in the dashboard."""

import html

import pytest
from starlette import testclient

from shoplake.lake.catalog import Lake
from shoplake.settings import Settings
from shoplake.web import app
from shoplake.web.data import Shop
from tests.support import command
from tests.web.support import build


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return build(tmp_path_factory.mktemp("shop"))[1]


@pytest.fixture(scope="module")
def client(lake):
    shop = Shop(Lake(lake), None, Settings(threads=2))
    return testclient.TestClient(app.create(shop), base_url="http://127.0.0.1:8080")


def test_without_a_name_it_asks(client):
    found = client.get("/experiment")
    assert found.status_code == 200
    assert '<form action="/experiment" method="get">' in found.text
    assert "form-action 'self'" in found.headers["content-security-policy"]
    assert client.get("/static/experiment.css").headers["content-type"].startswith("text/css")


def test_the_report_is_that_of_the_command(lake, client, tmp_path):
    """With its style by a link, since no page of the dashboard may have one inside."""
    asked = {"name": "x", "from": "2025-11-17", "to": "2025-11-18", "metrics": "conversion", "category": "1"}
    found = client.get("/experiment", params=asked)
    command(
        *("experiment", "x", "--lake", lake, "--from", "2025-11-17", "--to", "2025-11-19", "--metric", "conversion"),
        *("--by", "category", "--by", "cumulative", "--out", tmp_path / "report.html"),
    )
    body = (tmp_path / "report.html").read_text("utf-8").partition("<body>")[2]
    shown = found.text.partition("<body>")[2]
    links = '<p><a href="/">Dashboard</a> · <a href="/experiment">Another experiment</a></p>'
    assert (found.status_code, shown) == (200, links + body)
    assert "<style" not in found.text
    assert "style=" not in body


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"variants": "a=1"}, "at least two variants"),
        ({"from": "soon"}, "is not a day"),
        ({"metrics": "<b>"}, "there is no metric &#x27;&lt;b&gt;&#x27;"),
        ({"metrics": "m=(SELECT 1)"}, "a metric is given by its name here"),
        ({"from": "2030-01-01"}, "is not before the end"),
    ],
)
def test_what_it_cannot_compare(client, asked, said):
    """It says why and asks again; no address carries SQL."""
    found = client.get("/experiment", params={"name": "x", **asked})
    assert found.status_code == 400
    assert said in found.text
    assert "<form" in found.text
    assert all(f'value="{html.escape(text)}"' in found.text for text in asked.values()), "what was sent is lost"
