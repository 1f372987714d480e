# SPDX-License-Identifier: Apache-2.0
"""Every node of a NIR file, what it becomes, and what cannot be expressed."""

from pathlib import Path
from typing import Any

from neurohw.interop.findings import Finding
from neurohw.interop.nir.conventions import CHOICES
from neurohw.interop.nir.graph import CELLS, WHOLE, Problems, kind_of, read_tree
from neurohw.interop.nir.read import Import
from neurohw.interop.nir.report import in_words
from neurohw.network import TrainedNetwork


def check_nir(path: Path | str, written_by: str | None = None, **changes: Any) -> list[Finding]:
    """One finding per node, and one for the graph as a whole where it has a problem of its own.

    written_by and the keywords as in `from_nir`. A file that is no NIR graph raises BrokenFile or
    Unsupported.
    """
    assert set(changes) <= set(CHOICES), changes
    problems = Problems(collects=True)
    job = Import(read_tree(path, problems), written_by, changes, problems)
    model = None
    with problems.at(WHOLE):
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
    return findings


def _populations(model: TrainedNetwork) -> dict[str, str]:
    return {
        row["node"]: f"population {in_words(row)}" for row in model.info["import"]["populations"]
    }


def _part(kind: str) -> str:
    if kind in CELLS:
        return "population"
    if kind == "Delay":
        return "delay of a projection"
    return {"Input": "input", "Output": "output"}.get(kind, "weights of a projection")
