"""How long the dashboard takes to show its first view, in a real Chromium.

    .venv/bin/python bench/dashboard.py bench/data/lakes/hour bench/data/lakes/month

For each lake, five times: a fresh server process, then a page that no cache knows. Timed by the page's own clock, from the
start of the navigation until the five charts are drawn; the server's start, until it takes requests, stands beside it.
Promised: at most 1 s on an hour, 2 s on a simulated month. The lakes are what ``make bench ARGS="--workload all"`` leaves.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,900")
DRAWN = """
const done = arguments[0];
const look = () => {
  const charts = [...document.querySelectorAll("#answers .chart")].map((place) => echarts.getInstanceByDom(place));
  const drawn = charts.slice(0, 5).every((chart) => chart?.getOption().series.length);
  drawn ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : setTimeout(look, 5);
};
look();
"""


@contextmanager
def serving(lake: str) -> Iterator[tuple[str, float]]:
    """A server of its own: its address, and the seconds until it said so."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "shoplake", "dashboard", "--lake", lake, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        said = process.stdout.readline() if process.stdout else ""
        yield said.split()[-1], time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def first_view(address: str) -> float:
    """Seconds from the start of the navigation to five drawn charts, in a browser that knows nothing."""
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options, Service(shutil.which("chromedriver"), log_output=os.devnull))
        try:
            browser.get(address)
            return float(browser.execute_async_script(DRAWN)) / 1000
        finally:
            browser.quit()


def main() -> None:
    """Time each lake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lakes", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print("| lake | first view, s | slowest | server starts, s |\n| --- | ---: | ---: | ---: |")
    for lake in given.lakes:
        views, starts = [], []
        for _ in range(given.rounds):
            with serving(lake) as (address, start):
                starts.append(start)
                views.append(first_view(address))
        median = statistics.median
        print(f"| {Path(lake).name} | {median(views):.2f} | {max(views):.2f} | {median(starts):.2f} |")


if __name__ == "__main__":
    main()
