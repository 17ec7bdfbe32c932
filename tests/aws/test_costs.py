"""The bill, against sums done by hand."""

from __future__ import annotations

import pytest

from shoplake.aws import costs
from tests.aws.support import ROOT
from tests.support import command


def test_every_price_has_its_source_and_date():
    listed = costs.price_list()
    assert listed["source"]
    assert listed["read"]
    assert all(price > 0 for price in listed["prices"].values())


def test_glue_is_billed_by_runs_and_files():
    """288 files; a run has 60 s and 15 s a file: at 15 minutes 96 runs x 2 DPU x 105 s, at 5 minutes 288 x 2 x 75 s."""
    usage = costs.Usage(run_seconds=60, run_file_seconds=15, dpus=2)
    assert costs.daily(15, usage)[0].dollars == pytest.approx(96 * 2 * 105 / 3600 * 0.44)
    assert costs.daily(5, usage)[0].dollars == pytest.approx(288 * 2 * 75 / 3600 * 0.44)


def test_a_run_is_billed_a_minute_at_least():
    usage = costs.Usage(run_seconds=1, run_file_seconds=0, dpus=2)
    assert costs.daily(60, usage)[0].amount == pytest.approx(24 * 2 / 60)


def test_the_command_sums_each_schedule():
    bills = command("cost", "--format", "json").json["days"]
    assert [bill["every_minutes"] for bill in bills] == [5, 15, 60]
    assert [bill["usd_a_day"] for bill in bills] == sorted((bill["usd_a_day"] for bill in bills), reverse=True)
    for bill in bills:
        assert bill["usd_a_day"] == pytest.approx(sum(line["dollars"] for line in bill["lines"]), abs=1e-3)
    assert command("cost", "--every", "30", "--format", "csv").out.count("\n30,") == 7
    assert "Glue every 15 minutes" in command("cost").out


def test_the_page_has_the_figures_of_the_command():
    page = (ROOT / "docs" / "aws.md").read_text("utf-8")
    for bill in command("cost", "--format", "json").json["days"]:
        assert f"| {bill['every_minutes']} minutes | {bill['usd_a_day']:.2f} |" in page
