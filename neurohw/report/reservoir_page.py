# SPDX-License-Identifier: Apache-2.0
"""Rendering of the measures of a reservoir into one self-contained page."""

from typing import Any

from neurohw.report.page import environment


def render_reservoir(values: dict[str, Any], figures: dict[str, str]) -> str:
    """The page as text.

    values: the content of `reservoir.json`;
    figures: name -> SVG text. Missing fields raise `jinja2.UndefinedError`.
    """
    return environment().get_template("reservoir.html.j2").render(values=values, figures=figures)
