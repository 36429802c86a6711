"""The report of a night as a page of its own: one HTML file that needs nothing else, in light or dark."""

from __future__ import annotations

import os
import tempfile
from html import escape
from pathlib import Path

from diarynotes.errors import StorageFailed
from flows.report import Report, draw, headline, to_rows

_STYLE = """
:root { color-scheme: light dark; --page: #f4f6f8; --card: #ffffff; --ink: #1f2933; --soft: #66717d; --rule: #e3e7ec; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161b; --card: #1b2027; --ink: #e6eaf0; --soft: #98a3b0; --rule: #313943; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1340px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 17px; margin: 32px 0 10px; }
.under { color: var(--soft); margin: 2px 0 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; }
.tile { background: var(--card); border-radius: 8px; padding: 12px 16px; }
.tile b { display: block; font-size: 20px; font-weight: 600; } .tile span { color: var(--soft); font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(560px, 100%), 1fr)); gap: 14px; }
.plots svg { width: 100%; height: auto; align-self: start; }
.wide { overflow-x: auto; background: var(--card); border-radius: 8px; padding: 6px 14px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
"""


def to_html(report: Report) -> str:
    """The whole page."""
    tiles = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for name, value in headline(report)
    )
    plots = "".join(plot.svg for plot in draw(report))
    rows = to_rows(report)
    head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row.values())}</tr>" for row in rows)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>diarynotes {report.day}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>diarynotes, {report.day:%d %B %Y}</h1><p class="under">{len(report.days)} days, from '
        f"{report.days[0].day} on; a recording belongs to the day on which it came in.</p>"
        f'<div class="tiles">{tiles}</div><h2>Day by day</h2><div class="plots">{plots}</div>'
        f'<h2>The same in numbers</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></main></body></html>\n"
    )


def write_page(report: Report, folder: Path) -> Path:
    """Puts the page into `folder` as `YYYY-MM-DD.html`, whole or not at all. Raises: StorageFailed."""
    path = folder / f"{report.day}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=folder)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(to_html(report))
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(str(path), error.strerror or type(error).__name__) from error
    return path
