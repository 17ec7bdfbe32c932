"""The dashboard in a real browser: what is drawn, how it is used, how it follows the lake, what hostile names can do."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from shoplake.errors import ContractError
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.notes import DEMO, Note
from tests.support import accepted, command, event, events, ingest, judge_files, key, prepare, proofs, put, put_bytes
from tests.web.support import DAYS, HOSTILE, build, truth

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), "")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,900"),
)
CHARTS = ("funnel", "revenue", "top", "categories", "activity")
PATIENCE = 60  # seconds until a state that must come is given up on

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no Chromium with its driver (Debian: apt-get install chromium chromium-driver)"
)


class Page:
    """A tab, asked by JavaScript."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, url):
        self.leave()  # the same address with another # alone would load nothing
        self.driver.get(url)

    def leave(self):
        """Go where no server is asked: a page that lives on would complain when its server ends."""
        self.driver.get("about:blank")

    def ask(self, script, *given):
        return self.driver.execute_script(f"return {script}", *given)

    def wait(self, script, *given):
        """Until a script tells something true, which is returned."""
        end = time.monotonic() + PATIENCE
        while not (found := self.ask(script, *given)):
            assert time.monotonic() < end, f"never true: {script}\n{self.ask('document.body.innerText')}"
            time.sleep(0.05)
        return found

    def shown(self, url, view="answers"):
        self.open(f"{url}#{view}")
        self.wait(f"!document.querySelector('#{view}').hidden && !!state.health && !!state.answers")

    def series(self, chart):
        """The values of a chart by the name of the series, as the library has them."""
        found = self.ask(
            "echarts.getInstanceByDom(document.querySelector(`#${arguments[0]} .chart`)).getOption()"
            ".series.map(one => [one.text ?? one.name, one.data.map(value => value?.value ?? value)])",
            chart,
        )
        return dict(found)

    def places(self, chart, axis):
        return self.ask(
            "echarts.getInstanceByDom(document.querySelector(`#${arguments[0]} .chart`)).getOption()[arguments[1]][0].texts",
            chart,
            axis,
        )

    def table(self, figure):
        """The cells of a figure's table."""
        return self.ask(
            "[...document.querySelectorAll(`#${arguments[0]} details tbody tr`)]"
            ".map(row => [...row.cells].map(cell => cell.textContent))",
            figure,
        )

    def text(self, selector):
        return self.ask("document.querySelector(arguments[0]).innerText", selector)

    def choose(self, selector, value):
        self.ask(
            "(select => { select.value = arguments[1]; select.dispatchEvent(new Event('change')) })"
            "(document.querySelector(arguments[0]))",
            selector,
            value,
        )

    def emulate(self, width=None, scheme=""):
        metrics = {"width": width or 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def complaints(self):
        """What the console has to say, refused answers of the server, which the page tells in words, left out."""
        return [
            line["message"] for line in self.driver.get_log("browser") if not re.search(" (503|400) ", line["message"])
        ]


@contextmanager
def serving(lake, *words):
    """The command at work, as a process of its own; gives the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shoplake", "dashboard", "--lake", lake, "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.send_signal(2)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "Traceback" in err) == (0, False)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(DRIVER, log_output=os.devnull)
    browser = webdriver.Chrome(options, service)
    yield browser
    browser.quit()


@pytest.fixture
def page(driver):
    """A tab; whatever a test does there, the console stays silent and no value of an event was run."""
    page = Page(driver)
    page.emulate()
    driver.get_log("browser")
    yield page
    assert page.complaints() == []
    assert page.ask("window.hacked ?? null") is None


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A source and its lake; tests here only read them."""
    return build(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def url(shop):
    with serving(shop[1], "--source", shop[0]) as address:
        yield address


def check_charts(page, expected):
    """The charts have the values of the five answers, and so have the tables."""
    funnel = {row[0]: row for row in expected["conversion_funnel"]}
    categories = expected["category_performance"]
    totals = {name: [0, 0, 0] for name in {row[1] for row in categories} - {"(none)"}}
    for row in categories:
        if row[1] in totals:
            totals[row[1]] = [old + row[at] for old, at in zip(totals[row[1]], (3, 4, 6), strict=True)]
    steps = page.series("funnel")
    rates = list(zip(steps["To cart"], steps["To purchase"], strict=True))
    assert dict(zip(page.places("funnel", "yAxis"), rates, strict=True)) == {
        name: (carts / views, bought / views) for name, (views, carts, bought) in totals.items()
    }
    revenue = dict(zip(page.places("revenue", "xAxis"), page.series("revenue")["Revenue"], strict=True))
    assert {hour.replace(".000Z", "Z"): value for hour, value in revenue.items() if value} == {
        row[0]: float(row[1]) for row in expected["hourly_revenue"]
    }
    assert page.places("top", "yAxis") == [row[0] for row in expected["top_products"]]
    assert page.series("top")["Page views"] == [row[2] for row in expected["top_products"]]
    assert page.series("activity") == {
        "Users": [row[1] for row in expected["user_activity"]],
        "Sessions": [row[2] for row in expected["user_activity"]],
    }
    days = sorted({row[0] for row in categories})
    if len(days) > 1:
        series = page.series("categories")
        assert page.places("categories", "xAxis") == days
        assert {name: sum(values) for name, values in series.items()} == {
            name: sum(row[2] for row in categories if row[1] == name) for name in {row[1] for row in categories}
        }
    else:
        bars = zip(page.places("categories", "yAxis"), page.series("categories")["events"], strict=True)
        assert dict(bars) == {row[1]: row[2] for row in categories}
    assert [row[0] for row in page.table("funnel")] == [row[0] for row in expected["conversion_funnel"]]
    for row in page.table("funnel"):
        assert row[2:5] == [str(value) for value in funnel[row[0]][2:5]]
    assert [row[1:] for row in page.table("revenue")] == [
        [f"{float(row[1]):,.2f}", str(row[2]), str(row[3])] for row in expected["hourly_revenue"]
    ]
    assert [row[2:] for row in page.table("categories")] == [[str(value) for value in row[2:]] for row in categories]
    assert page.table("activity") == [[str(value) for value in row] for row in expected["user_activity"]]


def test_the_five_answers(page, shop, url):
    """Every chart and every table shows what counting the events one by one gives; no other host is asked."""
    page.shown(url)
    check_charts(page, truth(shop[0]))
    page.wait(
        "document.querySelectorAll('#answers .chart canvas').length === arguments[0]", len(CHARTS) + 1
    )  # and searches
    assert page.ask("performance.getEntriesByType('resource').every(one => one.name.startsWith(arguments[0]))", url)
    first, last = page.wait("[document.querySelector('[name=from]').value, document.querySelector('[name=to]').value]")
    assert (first, last) == (DAYS[0].isoformat(), DAYS[2].isoformat())


def test_days(page, shop, url):
    """A quick range and typed days narrow every chart; the address keeps the choice; a reload shows the same."""
    page.shown(url)
    page.driver.find_element(By.CSS_SELECTOR, "[data-last='1']").click()
    page.wait("state.answers.since === arguments[0]", DAYS[2].isoformat())
    check_charts(page, truth(shop[0], DAYS[2], DAYS[2]))
    assert page.ask("location.search") == "?last=1"
    days = f"from={DAYS[2].isoformat()}&to={DAYS[2].isoformat()}"
    assert page.ask("document.querySelector('#experiments').href") == f"{url}experiment?{days}"
    page.ask(
        "(input => { input.value = arguments[0]; input.dispatchEvent(new Event('change', {bubbles: true})) })"
        "(document.querySelector('[name=from]'))",
        DAYS[1].isoformat(),
    )
    page.wait("state.answers.since === arguments[0]", DAYS[1].isoformat())
    check_charts(page, truth(shop[0], DAYS[1], DAYS[2]))
    page.driver.refresh()
    page.wait("!!state.answers && !document.querySelector('#answers').hidden")
    check_charts(page, truth(shop[0], DAYS[1], DAYS[2]))
    page.shown(f"{url}?from=2031-01-01&to=2031-01-02")
    assert "No events on these days" in page.text("#answers")
    page.shown(f"{url}?from=yesterday&last=x")
    check_charts(page, truth(shop[0]))
    assert "'yesterday' is not a day" in page.text("#range")


def test_changes_counts_and_choices(page, shop, url):
    """Figures show the change and the distinct users of the range; a product narrows the charts; a table is saved as CSV."""
    page.shown(url)
    found = accepted(judge_files(shop[0]))
    page.wait("!!state.distinct && !!state.searches")
    assert str(len({one.user for one in found})) in page.text("#figures div:nth-child(7)")
    page.shown(f"{url}?last=1")
    events = [sum(one.time.date() == day for one in found) for day in DAYS[1:]]
    change = 100 * (events[1] - events[0]) / events[0]
    assert f"\u2212{abs(change):.1f}%" in page.text("#figures div:nth-child(6)")
    page.shown(url)
    page.ask(
        "(input => { input.value = arguments[0]; input.dispatchEvent(new Event('change', {bubbles: true})) })"
        "(document.querySelector('[name=product]'))",
        HOSTILE[1],
    )
    page.wait("state.answers.product === arguments[0]", HOSTILE[1])
    assert page.places("top", "yAxis") == [HOSTILE[1]]
    text = page.ask("csv(['a', 'b'], [[null, ''], ['x,\"y\"', 2]])")
    assert text == 'a,b\n,""\n"x,""y""",2\n'
    page.shown(url)
    page.choose("#revenue select", "week")
    revenue = sum(float(row[1]) for row in truth(shop[0])["hourly_revenue"])
    assert sum(page.series("revenue")["Revenue"]) == pytest.approx(revenue)
    assert page.places("revenue", "xAxis") == ["2025-11-17T00:00:00.000Z"]


def test_groups_and_measures(page, shop, url):
    """The funnel can be of the products, of all or of one category; categories can be counted by type of event."""
    page.shown(url)
    expected = truth(shop[0])
    for choice in ("products", f"of {HOSTILE[0]}"):
        rows = [row for row in expected["conversion_funnel"] if choice == "products" or row[1] == HOSTILE[0]]
        page.choose("#funnel select", choice)
        assert page.places("funnel", "yAxis") == [row[0] for row in rows]
        assert page.series("funnel")["To cart"] == [row[3] / row[2] for row in rows]
    page.choose("#categories select", "purchases")
    bought: Counter[str] = Counter()
    for _, category, *counts in expected["category_performance"]:
        bought[category] += counts[4]
    del bought["(none)"]
    assert {name: sum(values) for name, values in page.series("categories").items()} == bought


def test_it_grows_with_the_lake(page, tmp_path):
    """Without a reload: first there is no lake, then it is empty, then it has events, then more."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    with serving(lake) as url:
        page.open(url)
        page.wait("document.querySelector('#trouble').innerText.includes('shoplake ingest')")
        assert "There is no lake" in page.text("#trouble")
        Lake(lake).create()
        page.wait("document.querySelector('#trouble').innerText.includes('This lake is empty')")
        put(source, 0, events(60))
        ingest(source, lake)
        page.wait("!!state.answers?.days && !document.querySelector('#answers').hidden")
        assert not page.ask("document.querySelector('#trouble').offsetParent")
        check_charts(page, truth(source))
        known = page.ask("state.answers.catalog")
        put(source, 1, events(70, first=60))
        ingest(source, lake)
        page.wait("!!state.answers && state.answers.catalog !== arguments[0]", known)
        page.wait("state.health.ledger.files === 2")
        check_charts(page, truth(source))
        page.leave()


def test_broken_lake(page, tmp_path):
    """What is wrong and what to do stands on the page, and it comes back by itself."""
    _, lake = build(tmp_path)
    catalog = lake / "catalog.json"
    content = catalog.read_bytes()
    with serving(lake) as url:
        page.shown(url)
        catalog.write_text("{")
        page.wait("document.querySelector('#trouble').innerText.includes('damaged')")
        assert "shoplake recover" in page.text("#trouble")
        catalog.write_bytes(content)
        page.wait("document.querySelector('#trouble').hidden && !document.querySelector('#answers').hidden")
        page.leave()


def test_hostile_names(page, shop, url):
    """They are text everywhere: in tables, in selects, in tooltips, in samples. Nothing of them is run or loaded."""
    page.shown(url)
    names = {row[0] for row in page.table("funnel")}
    assert names.issuperset(HOSTILE)
    for chart in ("funnel", "top", "categories"):
        page.ask(
            "echarts.getInstanceByDom(document.querySelector(`#${arguments[0]} .chart`))"
            ".dispatchAction({type: 'showTip', seriesIndex: 0, dataIndex: 0})",
            chart,
        )
        page.wait("!!document.querySelector(`#${arguments[0]} .tip`)?.innerText", chart)
    page.choose("#funnel select", "products")
    page.ask(
        "echarts.getInstanceByDom(document.querySelector('#funnel .chart'))"
        ".dispatchAction({type: 'showTip', seriesIndex: 0, dataIndex: arguments[0]})",
        page.places("funnel", "yAxis").index(HOSTILE[1]),
    )
    page.wait("document.querySelector('#funnel .tip').innerText.includes(arguments[0])", HOSTILE[1])
    page.shown(url, "health")
    page.driver.find_element(By.CSS_SELECTOR, "#reason-malformed_json summary").click()
    assert "<img src=x onerror" in page.text("#reason-malformed_json pre")
    assert page.ask("document.querySelectorAll('main script, main img, main svg').length") == 0


PROPERTIES = ("__proto__", "constructor", "toString", "a\n__proto__", "__proto__" * 9)


def test_names_of_properties(page, tmp_path):
    """Products and categories called like properties of every object are names like others, also in an exported page."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    for day in range(2):
        at = f"2025-11-1{8 + day}T14:00:0"
        put(
            source,
            day,
            [
                event(0, kind, timestamp=f"{at}{number}Z", product_id=name, category=name, user_id=name)
                for number, name in enumerate(PROPERTIES)
                for kind in ("page_view", "add_to_cart", "purchase")
            ],
        )
    ingest(source, lake)
    page.leave()
    assert command("dashboard", "--lake", lake, "--export", tmp_path / "page.html").code == 0
    with serving(lake) as url:
        for address in (url, (tmp_path / "page.html").as_uri()):
            page.shown(address)
            check_charts(page, truth(source))
            assert set(page.series("categories")) == set(PROPERTIES)
            for choice in ("products", *(f"of {name}" for name in PROPERTIES)):
                page.choose("#funnel select", choice)
                assert set(page.places("funnel", "yAxis")) <= set(PROPERTIES)
            page.ask(
                "echarts.getInstanceByDom(document.querySelector('#categories .chart'))"
                ".dispatchAction({type: 'showTip', seriesIndex: 0, dataIndex: 0})"
            )
            page.wait("document.querySelector('#categories .tip')?.innerText.includes('__proto__')")
            assert page.ask("(() => { const found = []; for (const key in {}) found.push(key); return found })()") == []
            assert page.ask("[{}.toString, {}.constructor].every((each) => typeof each === 'function')")
        page.leave()


def test_health(page, shop, url):
    """Freshness, the account of every line, slots with their gap, reasons and batches."""
    page.shown(url, "health")
    text = page.text("#health")
    told = command("status", "--lake", shop[1], "--source", shop[0], "--format", "json").json
    for check in told["checks"]:
        assert check["check"] == "fresh" or check["sentence"] in text
    ledger = told["ledger"]
    fates = " + ".join(str(ledger[name]) for name in ("accepted", "duplicates", "quarantined"))
    assert f"{ledger['lines']} lines = {fates}" in text
    assert "the objective is 10 minutes" in text
    slots = page.ask(
        "[...document.querySelectorAll('#slots .scroll tbody td')].map(cell => [cell.className, cell.title])"
    )
    assert [kind for kind, _ in slots] == ["files", "files", "gap", "files", *["outside"] * 8]
    assert slots[2][1] == "2025-11-18 14:10: no file"
    assert page.series("runs")["Seconds"] == [batch["seconds"] for batch in reversed(told["batches"])]
    assert page.ask("document.querySelector('#verdict').innerText") == told["verdict"]


@pytest.mark.parametrize(
    ("scheme", "view"), [("light", "answers"), ("dark", "health"), *proofs(("light", "health"), ("dark", "answers"))]
)
def test_narrow_and_dark(page, url, view, scheme):
    """At 400 pixels nothing is cut off; charts follow the scheme's colours and the width when these change."""
    page.emulate(400, scheme)
    page.shown(url, view)
    assert page.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.ask("[...document.querySelectorAll('main .chart')].every(one => one.clientWidth < 400)")
    assert page.ask("[...document.querySelectorAll('nav a')].every(one => one.offsetHeight < 40)"), "words are broken"
    background = page.ask("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 22, 27)") == (scheme == "dark")
    chart = "top" if view == "answers" else "runs"
    fill = page.ask("colour('step-1')")
    option = "echarts.getInstanceByDom(document.querySelector(`#${arguments[0]} .chart`)).getOption().series[0]"
    assert page.ask(f"({option}.data[0].itemStyle ?? {option}.itemStyle).color ?? {option}.color", chart) == fill
    page.emulate(1280, "dark" if scheme == "light" else "light")
    page.wait(
        f"(({option}.data[0].itemStyle ?? {option}.itemStyle).color ?? {option}.color) !== arguments[1]", chart, fill
    )
    page.emulate(700, "dark" if scheme == "light" else "light")
    page.wait(
        "(width => width > 400 && width < 700)(document.querySelector(`#${arguments[0]} .chart`).clientWidth)", chart
    )
    page.wait(
        "(chart => chart.querySelector('canvas').clientWidth === chart.clientWidth)"
        "(document.querySelector(`#${arguments[0]} .chart`))",
        chart,
    )


def fits(page):
    return page.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_health_with_long_paths_on_a_narrow_screen(page, tmp_path):
    """The path of a file that could not be read, and of one that trips the breaker, is broken where it must be."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, events(20))
    put_bytes(source, 1, b"not gzip")
    ingest(source, lake)
    put(source, 2, [b"broken"] * 1000)
    with pytest.raises(ContractError):
        ingest(source, lake)
    with serving(lake, "--source", source) as url:
        page.emulate(400)
        page.shown(url, "health")
        page.ask("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert key(1) in page.text("#slots")
        assert key(2) in page.text("#checks")
        assert fits(page)
        page.leave()


@pytest.mark.parametrize("width", [400, 821, 1280, *proofs(700, 900, 1000)])
def test_no_hole_in_the_tiles(page, url, width):
    """The figures fill their rows at every width."""
    page.emulate(width)
    page.shown(url)
    rows = page.ask(
        "[...document.querySelectorAll('#figures > div')].reduce((rows, one) => "
        "{ rows[one.offsetTop] = (rows[one.offsetTop] ?? 0) + 1; return rows }, {})"
    )
    assert len(set(rows.values())) == 1, rows
    assert fits(page)


def test_missing_days_are_gaps(page, tmp_path):
    """Days without any event keep their place on every axis, without a value; an axis names the year."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, events(60))
    put(
        source, 1, [line | {"timestamp": line["timestamp"].replace("11-18", "11-21")} for line in events(60, first=100)]
    )
    ingest(source, lake)
    with serving(lake) as url:
        page.shown(url)
        days = ["2025-11-18", "2025-11-19", "2025-11-20", "2025-11-21"]
        assert page.places("activity", "xAxis") == page.places("categories", "xAxis") == days
        users, books = page.series("activity")["Users"], page.series("categories")["books"]
        assert [value is None for value in users] == [value is None for value in books] == [False, True, True, False]
        revenue = dict(zip(page.places("revenue", "xAxis"), page.series("revenue")["Revenue"], strict=True))
        assert {at[:10] for at, value in revenue.items() if value is None} == set(days[1:3])
        assert revenue["2025-11-18T15:00:00.000Z"] == 0
        for chart in ("activity", "categories", "revenue"):
            shown = page.ask(
                "(axis => axis.texts.map((_, i) => axis.axisLabel.formatter(String(i))))"
                "(echarts.getInstanceByDom(document.querySelector(`#${arguments[0]} .chart`)).getOption().xAxis[0])",
                chart,
            )
            assert "2025" in shown[0]
        page.ask(
            "echarts.getInstanceByDom(document.querySelector('#activity .chart'))"
            ".dispatchAction({type: 'showTip', seriesIndex: 0, dataIndex: 1})"
        )
        older = [
            line | {"timestamp": line["timestamp"].replace("2025-11", "2024-01")} for line in events(60, first=200)
        ]
        put(source, 2, older)
        ingest(source, lake)
        page.shown(url)
        drawn = page.ask(  # a line through so many days, of which three have events, each alone
            "echarts.getInstanceByDom(document.querySelector('#activity .chart')).getZr().storage.getDisplayList()"
            ".filter(one => one.shape?.symbolType === 'circle').length"
        )
        assert drawn == 2 * 3
        page.leave()


def test_the_demo_is_old_on_purpose(page, tmp_path):
    """Its lake is not called stale, and the page says why."""
    put(tmp_path / "raw", 0, events(20))
    late = replace(prepare(tmp_path / "raw", tmp_path / "lake"), now=lambda: datetime.now(UTC) - timedelta(days=3))
    pipeline.ingest(late)
    Note(Lake(tmp_path / "lake"), DEMO).change(dict, lambda _: {"made_by": "shoplake demo"})
    with serving(tmp_path / "lake") as url:
        page.shown(url, "health")
        assert page.text("#verdict") == "ok"
        assert "3 days ago" in page.text("#freshness")
        assert "The demo's data is old on purpose" in page.text("#freshness")
        assert page.ask("!!document.querySelector('#freshness .bar .ok')")
        page.leave()


def test_keyboard_and_screen_reader(page, url):
    """Everything can be reached and used by keys, shows that it has the focus, and has a name; charts say their values."""
    page.open(url)
    page.wait("!document.querySelector('#answers').hidden && !!state.health")
    body = page.driver.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert page.ask("document.activeElement.className") == "skip"
    seen = []
    for _ in range(30):
        seen.append(page.ask("document.activeElement.tagName"))
        style = page.ask("getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none", page.ask("document.activeElement.outerHTML.slice(0, 200)")
        if page.ask("document.activeElement.dataset.last === '7'"):
            page.driver.switch_to.active_element.send_keys(Keys.ENTER)
            page.wait("location.search === '?last=7' && document.activeElement.ariaPressed === 'true'")
        if page.ask("document.activeElement.tagName === 'SUMMARY'"):
            page.driver.switch_to.active_element.send_keys(Keys.ENTER)
            assert page.ask("document.activeElement.parentElement.open")
            break
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert {"A", "BUTTON", "INPUT", "SELECT", "SUMMARY"} <= set(seen)
    page.wait("document.querySelectorAll('#answers .chart[role=img]').length === 6")
    labels = page.ask("[...document.querySelectorAll('#answers .chart')].map(one => one.ariaLabel)")
    assert all(any(character.isdigit() for character in label) for label in labels)
    assert page.ask("[...document.querySelectorAll('input, select')].every(one => one.labels.length === 1)")
    assert page.ask("[...document.querySelectorAll('table')].every(one => one.querySelector('thead th[scope=col]'))")
    assert page.ask("document.documentElement.lang && document.title.includes('shoplake')")


def test_exported_page(page, shop, tmp_path):
    """It opens from the disk, shows the same, health included, and asks for nothing."""
    told = command("dashboard", "--lake", shop[1], "--export", tmp_path / "shop.html")
    assert told.code == 0
    page.shown((tmp_path / "shop.html").as_uri())
    check_charts(page, truth(shop[0]))
    assert page.ask("performance.getEntriesByType('resource').filter(one => !one.name.startsWith('data:')).length") == 0
    assert "As of" in page.text("#live")
    assert page.ask("document.querySelector('#experiments').hidden"), "it has no server to compare variants"
    page.driver.find_element(By.CSS_SELECTOR, "nav a[href='#health']").click()
    page.wait("!document.querySelector('#health').hidden")
    assert "malformed_json" in page.text("#quarantine")
    assert page.series("runs")["Seconds"]
