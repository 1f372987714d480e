# SPDX-License-Identifier: Apache-2.0
"""What an import took for granted, as a part of the network's `info`.

The command line and the page show it.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.integers import QuantizedNetwork
from neurohw.interop.nir.conventions import ORIGINS, Conventions, Exported, Tool
from neurohw.interop.nir.reach import several, silent
from neurohw.network import TrainedNetwork
from neurohw.neurons import Integrator, Lif, Neuron

FloatArray = NDArray[np.float64]
LABELS = {"delayed_reset": "its timing", "strict": "comparison", "gain": "input gain"}
OPEN = ("dt", "discretisation", "reset", "delayed_reset", "strict", "gain")  # what no NIR file says
METADATA = "metadata of the file"  # who says a convention
FORGOTTEN = 0.01  # a decay below it leaves nothing of a step to the next


class DoubtfulImport(UserWarning):
    """A network was imported in a way that its author may not have meant."""


@dataclass
class Taken:
    """Where the conventions of an import came from.

    tool: that wrote the graph.
    otherwise: who says them without one, "" if nobody does.
    given: those chosen by hand.
    step: in words, where the dt was found in the graph's numbers.
    """

    tool: Tool | None
    otherwise: str
    given: dict[str, Any]
    step: str = ""
    assumed: list[str] = field(init=False)

    def __post_init__(self) -> None:
        known = self.tool is not None or self.otherwise
        self.assumed = [] if known else [name for name in OPEN if name not in self.given]

    def source(self, name: str) -> str:
        """Who says a convention."""
        if name in self.given:
            return "given"
        if self.tool is not None:
            return (
                self.step if name == "dt" and self.step else f"{self.tool.name} {self.tool.version}"
            )
        return self.otherwise or "ASSUMED"

    def names(self) -> list[str]:
        """What nobody says, in words."""
        return [LABELS.get(name, name) for name in self.assumed]

    def steps(self) -> str:
        """Who says the number of steps, which no tool writes."""
        if "steps" in self.given:
            return "given"
        return METADATA if self.otherwise == METADATA else "default; --steps changes it"


def in_words(row: dict[str, str]) -> str:
    """A population of a report on one line."""
    parts = [f"{row['neurons']} {row['model']}", f"decay {row['decay']}"]
    if row["current decay"]:
        parts.append(f"current decay {row['current decay']}")
    if row["fires"]:
        parts += [
            f"threshold {row['threshold']}",
            f"reset {row['reset']}",
            f"fires at {row['fires']} threshold",
        ]
    if "gain" in row:
        parts.append(f"input gain {row['gain']}")
    name = row["population"] + (f" ({row['written as']})" if row.get("written as") else "")
    return f"{name}: {', '.join(parts)}"


def _range(values: FloatArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} ... {high:.6g}"


def reset_in_words(neuron: Neuron) -> str:
    """What a spike does to the membrane, and when."""
    if not isinstance(neuron, Lif):
        return "no spikes"
    text = {"soft": "minus threshold", "hard": "to v_reset", "none": "no reset"}[neuron.reset]
    if neuron.reset != "none":
        text += ", a step later" if neuron.delayed_reset else ", at once"
    return text + (f", {neuron.refractory} refractory" if neuron.refractory else "")


def neurons_table(model: TrainedNetwork | QuantizedNetwork) -> list[dict[str, str]]:
    """Per population, in words: its model, constants, reset with its timing, and comparison."""
    rows = []
    for population in model.network.populations[1:]:
        neuron = population.neuron
        row = {
            "population": population.name,
            "neurons": str(population.size),
            "model": type(neuron).__name__,
        }
        for label, name in (
            ("decay", "decay"),
            ("current decay", "synapse_decay"),
            ("threshold", "threshold"),
        ):
            one = getattr(neuron, name, None)
            if one is None:
                row[label] = ""
            elif isinstance(model, TrainedNetwork):
                row[label] = _range(model.values(population, name))
            else:
                row[label] = f"{one:.6g}"
        row["reset"] = reset_in_words(neuron)
        row["fires"] = (">" if neuron.strict else ">=") if isinstance(neuron, Lif) else ""
        rows.append(row)
    return rows


def describe(
    model: TrainedNetwork,
    common: Conventions,
    taken: Taken,
    kinds: dict[str, tuple[str, Exported | None, FloatArray, int]],
) -> dict[str, Any]:
    """The report of an import as JSON values.

    kinds: per population its node, the row of its tool, the gain of its inputs, and by how many
    steps it is ahead of the tool.
    """
    rows = neurons_table(model)
    for row in rows:
        node, exported, gain, latency = kinds[row["population"]]
        row |= {
            "node": node,
            "gain": _range(gain),
            "written as": exported.module if exported else "",
        }
        row["ahead"] = str(latency)
    tool = taken.tool
    conventions = [
        {"what": "dt", "value": f"{common.dt:g} s", "from": taken.source("dt")},
        {
            "what": "discretisation",
            "value": common.discretisation,
            "from": taken.source("discretisation"),
        },
    ]
    spiking = [row for row in rows if row["fires"]]
    words = {
        "reset": [row["reset"].partition(", ")[0] for row in spiking],
        "delayed_reset": [row["reset"].partition(", ")[2] for row in spiking],
        "strict": [f"fires at {row['fires']} threshold" for row in spiking],
        "gain": [row["gain"] for row in rows],
    }
    for name, values in words.items():
        one = values[0] if len(set(values)) == 1 else "differs, see below"
        conventions.append(
            {
                "what": LABELS.get(name, name),
                "value": one if values else "-",
                "from": taken.source(name),
            }
        )
    if common.recurrent_delay != 1 or any(p.source == p.target for p in model.network.projections):
        conventions.append(
            {
                "what": "recurrent delay",
                "value": f"{common.recurrent_delay} steps",
                "from": taken.source("recurrent_delay"),
            }
        )
    return {
        "written_by": "" if tool is None else f"{tool.name} {tool.version}",
        "conventions": conventions,
        "steps": f"{model.steps} steps a sample ({taken.steps()})",
        "assumed": taken.assumed,
        "populations": rows,
        "notes": _notes(model, taken, kinds),
        "warnings": _warnings(model, common),
    }


def _notes(
    model: TrainedNetwork,
    taken: Taken,
    kinds: dict[str, tuple[str, Exported | None, FloatArray, int]],
) -> list[str]:
    notes, tool = [], taken.tool
    if tool is not None and tool.lost:
        notes.append(
            f"{tool.exporter} does not write {tool.lost}: where these were not at their defaults, "
            "say so by an option or change the model"
        )
    if tool is not None and tool.multiple:
        may = [name for name in several(model) if kinds[name][1] is not None]
        notes.append(
            f"{tool.name} fires several spikes a step by default ({tool.multiple}), a neuron here "
            "at most one; "
            + (
                f"{', '.join(may)} can reach two thresholds at once, and would differ"
                if may
                else "no membrane here can reach two thresholds at once"
            )
        )
    ahead = {name: latency for name, (_, _, _, latency) in kinds.items() if latency}
    if ahead:
        steps = ", ".join(f"{name} by {n}" for name, n in ahead.items())
        notes.append(
            f"a neuron of {tool.name if tool else 'the tool'} answers a step late; here the "
            f"spikes come earlier: {steps} steps"
        )
    return notes


def _warnings(model: TrainedNetwork, common: Conventions) -> list[str]:
    found = []
    for name, (highest, threshold) in silent(model).items():
        found.append(
            f"population {name!r} can never fire: the largest drive brings its membrane to "
            f"{highest:.3g} of {threshold:.3g} within {model.steps} steps; "
            f"is dt {common.dt:g} s the step of the tool, and its input gain right?"
        )
    for population in model.network.populations[1:]:
        decay = model.values(population, "decay")
        remembers = not isinstance(population.neuron, Integrator) or population.neuron.decay > 0
        if remembers and np.any((decay > 0) & (decay < FORGOTTEN)):
            found.append(
                f"population {population.name!r} forgets within a step: its decay is "
                f"{decay[decay > 0].min():.3g}; is dt {common.dt:g} s the step of the tool?"
            )
    return found


def nobody_said(words: list[str]) -> str:
    """What is assumed, in words, and how to say it; empty for nothing."""
    if not words:
        return ""
    return (
        "nobody said how this graph is to be read. "
        f"Assumed: {', '.join(words)}. NIR files say none "
        "of it, and every tool means something else: name the tool that wrote the file with --from "
        f"({', '.join(ORIGINS)}; written_by in Python), or give each convention"
    )


def doubts(report: dict[str, Any] | None) -> list[str]:
    """What an import found doubtful, and what it assumed; nothing for none."""
    if report is None:
        return []
    said = {c["what"]: f"{c['what']} {c['value']}" for c in report["conventions"]}
    assumed = nobody_said([said[LABELS.get(name, name)] for name in report["assumed"]])
    return [*report["warnings"], *([assumed] if assumed else [])]


def tell(model: TrainedNetwork) -> None:
    """Warn of the doubts of an import."""
    for text in doubts(model.info["import"]):
        warnings.warn(text, DoubtfulImport, stacklevel=3)
