"""The bill, against sums done by hand."""

from __future__ import annotations

from datetime import date

import pytest

from shoplake.aws import costs
from tests.aws.support import ROOT
from tests.support import command


def test_every_price_has_its_source_and_date():
    listed = costs.price_list()
    assert date.fromisoformat(listed["checked"]) >= date(2026, 11, 23)
    for one in listed["prices"].values():
        assert one["usd"] > 0
        if "rate" in one:  # a line of the region's price list
            assert one["source"].startswith("https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/")
            assert "/us-west-2/" in one["source"]
        else:
            assert one["source"].startswith("https://aws.amazon.com/")
        assert one["seen"].startswith("https://")
        assert one["says"]


def test_every_price_is_in_the_bill(monkeypatch: pytest.MonkeyPatch):
    """A dollar more for any unit makes the day dearer."""
    listed = costs.prices()
    before = sum(line.dollars for line in costs.daily(15, costs.Usage()))
    for name in listed:
        monkeypatch.setattr(costs, "prices", lambda dearer=name: {**listed, dearer: listed[dearer] + 1})
        assert sum(line.dollars for line in costs.daily(15, costs.Usage())) > before


def test_on_arrival_all_but_the_generator_costs_less_than_half_a_dollar():
    bill = costs.daily(None, costs.Usage())
    assert sum(line.dollars for line in bill if line.what != costs.GENERATOR) <= 0.50


def test_the_function_is_billed_by_arrivals_and_sweeps():
    """288 files of 5 s and 24 sweeps of 2 s with 2 GiB."""
    usage = costs.Usage(arrival_seconds=5, sweep_seconds=2, arrival_gib=2)
    line = costs.daily(None, usage)[0]
    assert line.amount == pytest.approx((288 * 5 + 24 * 2) * 2)
    assert line.dollars == pytest.approx(line.amount * 0.0000166667 + 312 * 0.0000002)


def test_requests_are_those_of_each_run_with_the_pages_of_the_source():
    """30 days of 288 files are 9 pages; 96 runs of 30 PUT, and a PUT for each file that is generated."""
    usage = costs.Usage(run_puts=30, run_gets=50)
    _, _, _, puts, gets, *_ = costs.daily(15, usage)
    assert (puts.amount, gets.amount) == (96 * (30 + 9) + 288, 96 * 50)


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
    assert [bill["every_minutes"] for bill in bills] == [None, 5, 15, 60]
    assert [bill["runner"] for bill in bills] == ["lambda", "glue", "glue", "glue"]
    scheduled = [bill["usd_a_day"] for bill in bills[1:]]
    assert scheduled == sorted(scheduled, reverse=True)
    for bill in bills:
        assert bill["usd_a_day"] == pytest.approx(sum(line["dollars"] for line in bill["lines"]), abs=1e-3)
    assert command("cost", "--every", "30", "--format", "csv").out.count("\n30,") == 9
    assert "Glue every 15 minutes" in command("cost").out


def test_the_page_has_the_figures_of_the_command():
    page = (ROOT / "docs" / "aws.md").read_text("utf-8")
    for bill in command("cost", "--format", "json").json["days"]:
        how = f"Glue every {bill['every_minutes']} minutes" if bill["every_minutes"] else "on arrival"
        generator = next(line["dollars"] for line in bill["lines"] if line["what"] == costs.GENERATOR)
        assert f"| {how} | {bill['usd_a_day'] - generator:.2f} | {bill['usd_a_day']:.2f} |" in page
