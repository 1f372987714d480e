# SPDX-License-Identifier: Apache-2.0
"""What all figures have in common: colours, style, and SVG text that is embedded in a page."""

import io
from collections.abc import Callable

import matplotlib
from matplotlib.figure import Figure

INK, BLUE, ORANGE, GREY = "#1d2733", "#2563a8", "#d9730d", "#8b97a5"
# text stays text in the page, and identifiers do not change between runs
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neurohw",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    """The figure that `draw` fills, in inches, as SVG text."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True, dpi=160)
    return text.getvalue()[text.getvalue().index("<svg") :]
