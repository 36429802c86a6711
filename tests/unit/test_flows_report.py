"""The numbers of the nightly report and their pictures."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from diarynotes.errors import StorageFailed
from diarynotes.store.statistics import DayCost, DayFigures, Failures, Queue
from flows.artifacts import describe_states
from flows.plots import bars, data_uri, format_number, lines, ranking, sparkline
from flows.report import Report, UsedBudget, draw, headline, to_markdown, to_rows
from flows.report_page import to_html, write_page

SVG = "{http://www.w3.org/2000/svg}"
TODAY = date(2026, 5, 30)
DAYS = tuple(
    DayFigures(
        TODAY - timedelta(days=29 - number),
        recordings=number,
        landed=number,
        audio_s=60.0 * number,
        trust=0.9 if number else None,
        words_per_minute=140.0 if number else None,
    )
    for number in range(30)
)
REPORT = Report(
    days=DAYS,
    costs=(DayCost(TODAY, "openai", 5, 1, Decimal("0.25"), 2), DayCost(TODAY, "anthropic", 1, 0, Decimal("0.5"), 0)),
    failures=(Failures("quarantined", "silent", 3), Failures("dead", "engine_failed", 1)),
    failed_calls=(Failures("openai", "rate_limit", 4),),
    queue=Queue({"landed": 435, "waiting": 2, "received": 1}, 7200.0, 4, 0),
    notes=435,
    degraded=87,
    budgets=(UsedBudget("all together, day", Decimal("0.75"), Decimal("1")),),
)
EMPTY = Report(tuple(DayFigures(day.day) for day in DAYS), (), (), (), Queue({}, 0.0, 0, 0), 0, 0, ())


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def count(svg: str, tag: str) -> int:
    return len(read(svg).findall(f"{SVG}{tag}"))


def test_the_headline_adds_up() -> None:
    told = dict(headline(REPORT))
    assert told["recordings today"] == "29"
    assert told["landed"] == "100 % of 435"
    assert told["degraded notes"] == "20 % of 435"
    assert told["on their way, oldest 2\u00a0h"] == "7"
    assert told["USD in 30 days, and 2 calls unknown"] == "0.75"


def test_nothing_is_no_error() -> None:
    assert dict(headline(EMPTY))["landed"] == "none"
    for plot in draw(EMPTY):
        assert "nothing in these days" in plot.svg
    assert "recordings today" in to_markdown(EMPTY)
    assert "</html>" in to_html(EMPTY)


def test_every_plot_is_a_whole_picture() -> None:
    plots = draw(REPORT)
    assert [plot.title for plot in plots if plot.title == "Budgets used"]
    for plot in plots:
        assert read(plot.svg).get("aria-label") == plot.title
        assert "nothing in these days" not in plot.svg or plot.title == "Degraded notes"


def test_a_bar_is_as_high_as_its_number() -> None:
    svg = bars("b", ["one", "two"], {"a": [1.0, 2.0], "b": [1.0, 0.0], "none": [0.0, 0.0]})
    boxes = read(svg).iter(f"{SVG}rect")
    heights = [float(box.get("height", "0")) for box in boxes if box.find(f"{SVG}title") is not None]
    assert len(heights) == 3
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert "none" not in svg


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    svg = lines("l", ["1", "2", "3", "4"], {"a": [1.0, None, 3.0, 4.0]})
    assert count(svg, "polyline") == 2
    assert count(svg, "circle") == 3


def test_names_are_no_markup() -> None:
    assert "<b>" not in ranking("<b>", {"<b>": 1.0})


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (0.0042, "0.0042"), (1.5, "1.5"), (12.0, "12"), (120.4, "120"), (12_000, "12,000")]
)
def test_numbers_are_short(value: float, told: str) -> None:
    assert format_number(value) == told


def test_sparks_rise_with_their_numbers() -> None:
    assert sparkline([0.0, None, 4.0, 8.0]) == "▁ ▅█"
    assert sparkline([]) == ""


def test_the_markdown_holds_pictures_and_courses() -> None:
    told = to_markdown(REPORT, page="/home/reports/x.html")
    first = draw(REPORT)[0]
    assert f"![{first.title}]({data_uri(first.svg)})" in told
    assert base64.b64decode(data_uri(first.svg).partition(",")[2]).decode() == first.svg
    assert f"`{first.spark}`" in told
    assert "| set aside | silent | 3 |" in told


def test_rows_begin_with_the_newest_day() -> None:
    rows = to_rows(REPORT)
    assert rows[0]["day"] == "2026-05-30"
    assert rows[0]["USD"] == "0.7500"
    assert rows[-1]["trust"] == ""


class Loads(HTMLParser):
    """What a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    path = write_page(REPORT, tmp_path / "reports")
    assert path.name == "2026-05-30.html"
    page = Loads()
    page.feed(path.read_text())
    assert not page.found
    assert "url(" not in path.read_text()
    write_page(EMPTY, tmp_path / "reports")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_page_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(StorageFailed, match="reports"):
        write_page(REPORT, tmp_path / "reports")


def test_where_recordings_stand_is_told_in_words() -> None:
    assert describe_states(Counter({"landed": 7, "quarantined": 2})) == "7 landed, 2 set aside"
    assert describe_states(Counter({"validated": 1, "received": 2})) == "3 on their way"
    assert describe_states(Counter()) == "Nothing to do"
