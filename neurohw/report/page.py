# SPDX-License-Identifier: Apache-2.0
"""Rendering of `report.json` and its figures into one self-contained HTML page."""

from pathlib import Path
from typing import Any

import jinja2


def environment() -> jinja2.Environment:
    """Templates beside this file.

    A field that a template needs and the values lack raises `jinja2.UndefinedError`, so that a page
    never shows a hole.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    made.filters["whole"] = lambda value: f"{value:,.0f}"
    made.filters["decimal"] = (
        lambda value, digits=3: "–" if value is None else f"{value:.{digits}f}"
    )
    return made


def render_page(report: dict[str, Any], figures: dict[str, str]) -> str:
    """The page as text.

    report: the content of `report.json`;
    figures: name -> SVG text. Nothing is loaded from elsewhere: styles and figures are inside.
    """
    return environment().get_template("page.html.j2").render(report=report, figures=figures)
