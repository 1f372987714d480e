# SPDX-License-Identifier: Apache-2.0
"""Every node of a NIR file, what it becomes, and what cannot be expressed."""

import warnings
from pathlib import Path
from typing import Any

from neurohw.interop.findings import Checked, Finding
from neurohw.interop.nir.conventions import CHOICES
from neurohw.interop.nir.graph import CELLS, WHOLE, Problems, kind_of, read_tree
from neurohw.interop.nir.metadata import label, own_network
from neurohw.interop.nir.read import Import
from neurohw.interop.nir.report import (
    DoubtfulImport,
    doubts,
    in_words,
    neurons_table,
    nobody_said,
)
from neurohw.network import TrainedNetwork


def check_nir(path: Path | str, written_by: str | None = None, **changes: Any) -> list[Finding]:
    """One finding per node, and one for the graph as a whole where it has a problem of its own.

    written_by and the keywords as in `from_nir`, which warns of the same doubts. A file that is no
    NIR graph raises BrokenFile or Unsupported.
    """
    checked = examine_nir(path, written_by, **changes)
    for text in checked.doubts:
        warnings.warn(text, DoubtfulImport, stacklevel=2)
    return checked.findings


def examine_nir(path: Path | str, written_by: str | None = None, **changes: Any) -> Checked:
    """What `check_nir` finds, with the network that `from_nir` would give."""
    assert set(changes) <= set(CHOICES), changes
    problems = Problems(collects=True)
    tree = read_tree(path, problems)
    job = Import(tree, written_by, changes, problems)
    model = None
    with problems.at(WHOLE):
        if not problems.found:
            model = own_network(tree, written_by, changes)
        if model is None:
            model = job.network()
    becomes = {} if model is None else _populations(model)
    findings = []
    for name, node in job.flat.nodes.items():
        problem = problems.found.get(name, "")
        findings.append(
            Finding(
                name,
                kind_of(node),
                "" if problem else becomes.get(name) or _part(kind_of(node)),
                problem,
            )
        )
    for place, problem in problems.found.items():
        if place not in job.flat.nodes:
            findings.append(Finding(place, "NIRGraph", "", problem))
    if model is None:
        return Checked(findings, None, [t for t in [nobody_said(job.taken.names())] if t])
    return Checked(findings, model, doubts(model.info.get("import")))


def _populations(model: TrainedNetwork) -> dict[str, str]:
    report = model.info.get("import")
    rows = report["populations"] if report else neurons_table(model)
    return {
        row.get("node") or label(row["population"]): f"population {in_words(row)}" for row in rows
    }


def _part(kind: str) -> str:
    if kind in CELLS:
        return "population"
    if kind == "Delay":
        return "delay of a projection"
    return {"Input": "input", "Output": "output"}.get(kind, "weights of a projection")
