# SPDX-License-Identifier: Apache-2.0
"""Every notebook runs from its first cell to its last, and still says what its text says."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def executed(name: str) -> str:
    """Everything that the cells of a notebook print."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(
        notebook, timeout=800, resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    return "".join(o.text for o in outputs if o.output_type == "stream")


@pytest.mark.slow
def test_resistive_memory() -> None:
    text = executed("resistive_memory.ipynb")
    assert "largest difference without noise: 0.0\n" in text
    after = {
        name.strip(): float(value)
        for name, value in re.findall(r"([^\n]*): after a year +([0-9.]+) %", text)
    }
    assert after["noise-aware, compensated"] > after["plain, compensated"] > after["plain"]
    chances = [float(p) for p in re.findall(r"p = ([0-9.e-]+)", text)]
    assert len(chances) == 5 and max(chances) < 0.01


def test_every_notebook_is_run() -> None:
    assert {path.name for path in NOTEBOOKS.glob("*.ipynb")} == {"resistive_memory.ipynb"}
