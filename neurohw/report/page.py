"""Rendering of `report.json` and its figures into one self-contained HTML page."""

from pathlib import Path
from typing import Any

import jinja2


def render_page(report: dict[str, Any], figures: dict[str, str]) -> str:
    """The page as text. report: the content of `report.json`; figures: name -> SVG text.

    Nothing is loaded from elsewhere: styles and figures are inside. A field that the template needs and the
    report lacks raises `jinja2.UndefinedError`, so that a page never shows a hole.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    environment.filters["whole"] = lambda value: f"{value:,.0f}"
    return environment.get_template("page.html.j2").render(report=report, figures=figures)
