# SPDX-License-Identifier: Apache-2.0
"""The rows of `--from`, each with a file that the tool's exporter wrote and the spikes of the
tool's own simulation.

`python -m tests.interop.nir.judges` writes the tables of docs/nir.md anew; a test compares them.
"""

import tempfile
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw import Lif, TrainedNetwork, run_reference
from neurohw.interop.nir import TARGETS, TOOLS, DoubtfulImport, from_nir
from neurohw.interop.nir.conventions import Conventions, Exported
from tests.interop.data.record_exports import snntorch_spikes

DATA = Path(__file__).parents[1] / "data"
PAGE = Path(__file__).parents[3] / "docs" / "nir.md"
MEMBRANE = 1e-4  # largest relative difference of a readout: float32 there, float64 here


@dataclass(frozen=True)
class Judge:
    """A recording of tests/interop/data/record_exports.py.

    module: of the row that it judges. options: beside written_by.
    """

    tool: str
    case: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> Exported:
        """The row of the tool's table."""
        return next(r for r in TOOLS[self.tool].rows if r.module == self.module)

    def read(self, **options: Any) -> TrainedNetwork:
        """The network of the file; options instead of the judge's own, if there are any."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", DoubtfulImport)
            return from_nir(
                self.write(Path(folder)), **(options or {"written_by": self.tool} | self.options)
            )

    def write(self, folder: Path) -> Path:
        """The tool's file, in a folder."""
        path = folder / f"{self.tool}_{self.case}.nir"
        with np.load(DATA / f"{self.tool}_{self.case}.npz") as file:
            path.write_bytes(file["nir"].tobytes())
        return path

    def recorded(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Input, and what the tool makes of it in its two layers; snnTorch is installed here and
        runs.
        """
        with np.load(DATA / f"{self.tool}_{self.case}.npz") as file:
            hidden, out = (
                snntorch_spikes(self.case)
                if self.tool == "snntorch"
                else (file["hidden"], file["out"])
            )
            return file["spikes"], hidden, out

    def differences(self, model: TrainedNetwork) -> tuple[int, int, int]:
        """Values compared, values that differ, and spikes of the tool among them."""
        spikes, *theirs = self.recorded()
        trace = run_reference(model, spikes[:, None])
        ahead = {r["population"]: int(r["ahead"]) for r in model.info["import"]["populations"]}
        compared = differ = fired = 0
        for population, expected in zip(model.network.populations[1:], theirs, strict=True):
            name, late = population.name, ahead[population.name]
            if isinstance(population.neuron, Lif):
                ours = trace.spikes[name][:, 0]
                close = ours[: len(ours) - late] == expected[late:]
                fired += int(expected.sum())
            else:
                ours = trace.states[f"v.{name}"][:, 0]
                close = np.isclose(
                    ours[: len(ours) - late], expected[late:], rtol=MEMBRANE, atol=MEMBRANE
                )
            compared, differ = compared + close.size, differ + int((~close).sum())
        return compared, differ, fired


JUDGES = [
    Judge("snntorch", "leaky", "Leaky, subtract"),
    Judge("snntorch", "if", "Leaky, subtract"),
    Judge("snntorch", "leaky_zero", "Leaky, zero", {"reset": "hard"}),
    Judge("snntorch", "leaky_none", "Leaky, none", {"reset": "none"}),
    Judge("snntorch", "rleaky", "RLeaky, subtract"),
    Judge("snntorch", "rleaky_zero", "RLeaky, zero", {"reset": "hard"}),
    Judge("snntorch", "synaptic", "Synaptic and RSynaptic, subtract"),
    Judge("snntorch", "rsynaptic", "Synaptic and RSynaptic, subtract"),
    Judge("snntorch", "synaptic_zero", "Synaptic and RSynaptic, zero", {"reset": "hard"}),
    Judge("snntorch", "rsynaptic_zero", "Synaptic and RSynaptic, zero", {"reset": "hard"}),
    Judge("spikingjelly", "lif", "LIFNode, ParametricLIFNode"),
    Judge("spikingjelly", "lif_undecayed", "LIFNode, ParametricLIFNode"),
    Judge("spikingjelly", "lif_reset", "LIFNode, ParametricLIFNode"),
    Judge("spikingjelly", "lif_dt", "LIFNode, ParametricLIFNode"),
    Judge("spikingjelly", "plif", "LIFNode, ParametricLIFNode"),
    Judge("spikingjelly", "cuba", "CUBALIFNode"),
    Judge("spikingjelly", "if", "IFNode"),
    Judge("sinabs", "lif", "LIF, norm_input=True"),
    Judge("sinabs", "lif_unnormed", "LIF, norm_input=False", {"gain": "one"}),
    Judge("sinabs", "lif_hard", "LIF, MembraneReset", {"reset": "hard"}),
    Judge("sinabs", "iaf", "IAF"),
    Judge("sinabs", "leak", "ExpLeak, norm_input=False"),
    Judge("sinabs", "leak_normed", "ExpLeak, norm_input=True", {"gain": "nir"}),
    Judge("norse", "lifbox", "LIFBoxCell"),
    Judge("norse", "lifbox_dt1", "LIFBoxCell"),
    Judge("norse", "lif", "LIFCell"),
    Judge("norse", "iaf", "IAFCell"),
    Judge("norse", "li", "LIBoxCell"),
    Judge("rockpool", "lif", "LIFNeuronTorch"),
    Judge("rockpool", "lif_dt", "LIFNeuronTorch"),
    Judge("rockpool", "cuba", "LIFTorch"),
    Judge("spyx", "lif", "LIF, RLIF"),
    Judge("spyx", "rlif", "LIF, RLIF"),
    Judge("spyx", "cuba", "CuBaLIF, RCuBaLIF"),
    Judge("spyx", "rcuba", "CuBaLIF, RCuBaLIF"),
    Judge("spyx", "if", "IF, RIF"),
    Judge("spyx", "if_bias", "IF, RIF"),
    Judge("spyx", "rif", "IF, RIF"),
    Judge("spyx", "cnn", "IF, RIF"),
]


@cache
def measured(tool: str, case: str) -> tuple[int, int, int]:
    """`Judge.differences` of a judge's own reading."""
    judge = next(j for j in JUDGES if (j.tool, j.case) == (tool, case))
    return judge.differences(judge.read())


def _words(c: Conventions, node: str) -> list[str]:
    """Step, reset, comparison and gains of a row, as the table shows them."""
    step = f"{c.dt:g}" + (f" ({c.seconds:g} s)" if c.seconds else "")
    decay = (
        ""
        if node == "IF"
        else {"exponential_euler": "exp(-dt/τ)", "forward_euler": "1 - dt/τ"}[c.discretisation]
    )
    reset = {"soft": "minus θ", "hard": "to v_reset", "none": "none"}[c.reset]
    reset += (", a step later" if c.delayed_reset else "") + (
        f", {c.refractory} silent" if c.refractory else ""
    )
    leak = {"nir": "dt r" if node == "IF" else "(1 - b) r", "one": "1", "decay": "b"}
    gain = leak[c.gain]
    if node in ("CubaLIF", "CubaLI"):
        gain = {"nir": "(1 - a) w_in", "one": "1", "decay": "a"}[c.current_gain] + f", {gain}"
    if node in ("LI", "CubaLI"):
        return [step, decay, "-", "-", gain]
    return [step, decay, reset, ">" if c.strict else ">=", gain]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def exported_table() -> list[str]:
    """What a file of each tool means, and how many values equal the tool's own simulation."""
    head = [
        "`--from`",
        "module",
        "NIR node",
        "more options",
        "dt",
        "decay",
        "reset",
        "fires",
        "input gain",
        "values equal to the tool",
    ]
    lines = [_line(head), _line(["---"] * len(head))]
    for tool in TOOLS.values():
        for row in tool.rows:
            judges = [j for j in JUDGES if j.tool == tool.name and j.row is row]
            sums = np.sum([measured(j.tool, j.case) for j in judges], axis=0)
            options = " ".join(
                f"`--{k.replace('_', '-')} {v}`" for k, v in judges[0].options.items()
            )
            node = row.node + {True: ", looped", False: "", None: ""}[row.looped]
            equal = f"{sums[0] - sums[1]:,} of {sums[0]:,}"
            lines.append(
                _line(
                    [
                        f"{tool.name} {tool.version}",
                        row.module,
                        node,
                        options,
                        *_words(row.conventions, row.node),
                        equal,
                    ]
                )
            )
    return lines


def lost_table() -> list[str]:
    """What each exporter leaves out."""
    lines = [
        _line(["tool", "exporter", "not in the file", "several spikes a step by default"]),
        _line(["---"] * 4),
    ]
    for tool in TOOLS.values():
        lines.append(
            _line(
                [
                    f"{tool.name} {tool.version}",
                    f"`{tool.exporter}`",
                    tool.lost or "-",
                    tool.multiple or "-",
                ]
            )
        )
    return lines


def imported_table() -> list[str]:
    """What each tool makes of a node that it reads."""
    head = ["`--for`", "NIR node", "becomes", "dt", "decay", "reset", "fires", "input gain"]
    lines = [_line(head), _line(["---"] * len(head))]
    for target in TARGETS.values():
        for row in target.rows:
            lines.append(
                _line(
                    [
                        f"{target.name} {target.version}",
                        row.node,
                        row.becomes,
                        *_words(row.conventions, row.node),
                    ]
                )
            )
    return lines


TABLES = {"exported": exported_table, "lost": lost_table, "imported": imported_table}


def page_with_tables(page: str) -> str:
    """The page with every table between its two marks made anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        before, rest = page.split(begin)
        page = before + begin + "\n" + "\n".join(table()) + "\n" + end + rest.split(end)[1]
    return page


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text()))
