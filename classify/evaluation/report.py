"""An evaluation as one HTML file that needs nothing beside it, and one JSON (needs jinja2; the
`train` extra).
"""

import base64
import json
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment

from .figures import Figure, Findings

HTML = "report.html"
JSON = "report.json"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ head.model }}: {{ head.preset }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
    color: #222 }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left;
    vertical-align: top }
small { color: #666; white-space: nowrap } img { max-width: 100%; height: auto }
figure { margin: 1rem 0 } pre { overflow: auto }
.ahead { background: #e4f3e4 } .behind { background: #f8e4e0 }
</style></head><body>
<h1>{{ head.model }}</h1>
<p>Preset <b>{{ head.preset }}</b>, {{ head.date }}. Model {{ head.model_id }}, engine
    {{ head.engine }}.
{{ head.reading }}</p>
<pre>{{ head.command }}</pre>
<p>In brackets: 95 % bootstrap interval. <span class="ahead">Green</span>: ours ahead of the
    baseline with an interval clear of
zero; <span class="behind">red</span>: behind it.</p>
{% for title, findings in axes.items() %}
<h2>{{ title }}</h2>
{% for note in findings.notes %}<p>{{ note }}</p>{% endfor %}
{% for axis, table in tables(findings.figures).items() %}
{% if axis != title %}<h3>{{ axis }}</h3>{% endif %}
<table><tr><th></th><th>metric</th><th>cells</th>{% for arm in table.arms %}<th>{{ arm }}</th>
    {% endfor %}</tr>
{% for (of, metric), row in table.rows.items() %}
<tr><td>{{ of }}</td><td>{{ metric }}</td><td>{{ row.cells }}</td>
{% for arm in table.arms %}{% set f = row.figures.get(arm) %}<td class="{{ colour(f) }}">
    {{ shown(f) }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
{% for name, png in findings.pictures.items() %}<figure><figcaption>{{ name }}</figcaption>
<img alt="{{ name }}" src="data:image/png;base64,{{ encoded(png) }}"></figure>{% endfor %}
{% endfor %}
<h2>What was trained for this</h2>
<table><tr><th>run</th><th>arm</th><th>minutes</th><th>images seen</th><th>parameters</th></tr>
{% for name, run in runs.items() %}<tr><td>{{ name }}</td><td>{{ run.arm }}</td><td>
    {{ "%.1f"|format(run.minutes) }}</td>
<td>{{ "{:,}".format(run.images) }}</td><td>{{ "{:,}".format(run.parameters) }}</td></tr>
    {% endfor %}</table>
<h2>Settings</h2><pre>{{ settings }}</pre>
</body></html>
"""
LESS_IS_BETTER = ("ECE", "AURC", "Brier", "KID")


def tables(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """By axis: the arms, in order of appearance, and the rows by (what, metric)."""
    made: dict[str, dict[str, Any]] = {}
    for f in figures:
        table = made.setdefault(f.axis, {"arms": {}, "rows": {}})
        table["arms"][f.arm] = None
        row = table["rows"].setdefault((f.of, f.metric), {"cells": f.cells, "figures": {}})
        row["figures"][f.arm] = f
    return made


def shown(figure: Figure | None) -> str:
    if figure is None:
        return ""
    digits = 4 if abs(figure.value) < 0.1 else 3
    around = "" if isnan(figure.low) else f" [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
    return f"{figure.value:.{digits}f}{around}"


def colour(figure: Figure | None) -> str:
    """Green or red where the difference to the baseline is sure."""
    if figure is None or " - " not in figure.arm or figure.low <= 0 <= figure.high:
        return ""
    better = figure.value < 0 if figure.metric in LESS_IS_BETTER else figure.value > 0
    return "ahead" if better else "behind"


def _encoded(png: bytes) -> str:
    return base64.b64encode(png).decode()


def write_report(
    folder: Path,
    head: dict[str, Any],
    axes: dict[str, Findings],
    runs: dict[str, dict[str, Any]],
    settings: dict[str, Any],
) -> None:
    """Write `report.html` and `report.json` from what is known so far; each replaces the last in
    one move.
    """
    page = Environment(autoescape=True).from_string(_PAGE)
    text = json.dumps(settings, indent=1)
    functions = {"tables": tables, "shown": shown, "colour": colour, "encoded": _encoded}
    put(folder / HTML, page.render(head=head, axes=axes, runs=runs, settings=text, **functions))
    figures = [f.as_dict() for findings in axes.values() for f in findings.figures]
    notes = {title: findings.notes for title, findings in axes.items()}
    put(
        folder / JSON,
        json.dumps(
            {**head, "figures": figures, "notes": notes, "runs": runs, "settings": settings},
            indent=1,
        ),
    )


def put(path: Path, text: str) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.replace(path)
