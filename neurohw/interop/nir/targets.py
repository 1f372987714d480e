# SPDX-License-Identifier: Apache-2.0
"""What the importers of other tools make of a NIR graph: the definition of `--for`.

A row says under which conventions the tool runs the node that it reads. The exporter writes the
numbers which, under these, are the network, and refuses every population that the tool would
compute otherwise. Every row is held against the tool's own importer and simulation
(tests/interop/nir/test_write.py); the table in docs/nir.md is generated from these rows.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from neurohw.errors import Unsupported
from neurohw.interop.nir.conventions import NORSE_DT, SNNTORCH_DT, Conventions


@dataclass(frozen=True)
class Imported:
    """One kind of node as a tool reads it.

    node: kind that is written. becomes: the tool's own class. synapse: for neurons with a synaptic
    current. readout: for an Integrator.
    leaks: True: not for a decay of 1, False: only for it. forgets: also for a decay of 0. r: what
    the node's r has to be: "gain" makes the input gain 1; "one" is 1, so that an input gain of 1 is
    left to the weights; "tau/dt - 1" is how rockpool finds its step.
    """

    node: str
    becomes: str
    conventions: Conventions
    synapse: bool = False
    readout: bool = False
    leaks: bool | None = None
    forgets: bool = True
    r: Literal["gain", "one", "tau/dt - 1"] = "gain"


@dataclass(frozen=True)
class Target:
    """A tool that reads NIR.

    importer: its function. rows: in order of preference. uniform: parameters that must be one
    number for a population. convolutions: whether it reads them. afterwards: what has to be done in
    the tool after the import, for the same spikes, each with the case in which it matters
    (`write.notes_for`). refuses: why it reads no such population.
    """

    name: str
    version: str
    importer: str
    rows: tuple[Imported, ...]
    uniform: tuple[str, ...] = ()
    convolutions: bool = False
    single: bool = False  # a LIF after a convolution must be written with one number for all
    afterwards: tuple[tuple[str, str], ...] = ()
    refuses: dict[str, str] = field(default_factory=dict)


_SNNTORCH = Conventions(SNNTORCH_DT, "forward_euler", "hard", strict=True)
_SPIKINGJELLY = Conventions(SNNTORCH_DT, "forward_euler", "hard", strict=False)
_NORSE = Conventions(NORSE_DT, "forward_euler", "hard", strict=True)
_SINABS = Conventions(1.0, reset="soft", strict=False, gain="one")
_ROCKPOOL = Conventions(1e-3, reset="soft", strict=False, gain="one", current_gain="decay")
_SPYX = Conventions(
    1.0, "forward_euler", "soft", strict=True, gain="one", current_gain="one", latency=1
)

TARGETS: dict[str, Target] = {
    "snntorch": Target(
        "snntorch",
        "1.0.0",
        "snntorch.import_nir.import_from_nir",
        (
            Imported("LIF", "Leaky, zero, reset_delay=False", _SNNTORCH),
            Imported("CubaLIF", "Synaptic, zero, reset_delay=False", _SNNTORCH, synapse=True),
        ),
        uniform=("threshold",),
        convolutions=True,
        afterwards=(
            ("convolution", "its Flatten takes the batch for a channel: run one sample at a time"),
        ),
        refuses={"readout": "export it as a script: `--to snntorch`"},
    ),
    "spikingjelly": Target(
        "spikingjelly",
        "2.0.0",
        "nir_exchange.import_from_nir",
        (
            Imported("IF", "IFNode", _SPIKINGJELLY, leaks=False),
            Imported("LIF", "LIFNode", _SPIKINGJELLY, leaks=True, forgets=False),
            Imported("CubaLIF", "CUBALIFNode", _SPIKINGJELLY, synapse=True),
        ),
        uniform=("decay", "synapse_decay", "threshold"),
        convolutions=True,
    ),
    "sinabs": Target(
        "sinabs",
        "3.1.3",
        "sinabs.nir.from_nir",
        (
            Imported("IF", "IAFSqueeze", _SINABS, leaks=False, r="one"),
            Imported("LIF", "LIFSqueeze, norm_input=False", _SINABS, leaks=True, r="one"),
            Imported("LI", "ExpLeakSqueeze, norm_input=False", _SINABS, readout=True, r="one"),
        ),
        convolutions=True,
        single=True,
        afterwards=(
            (
                "several",
                "its neurons fire several spikes a step: set `layer.spike_fn = "
                "sinabs.activation.SingleSpike` in every spiking layer",
            ),
            (
                "IF",
                "it keeps the membrane of an IAFSqueeze above minus its threshold: set "
                "`layer.min_v_mem = None`",
            ),
        ),
    ),
    "norse": Target(
        "norse",
        "1.1.0",
        "norse.torch.from_nir",
        (
            Imported("IF", "IAFCell", replace(_NORSE, gain="one"), leaks=False, r="one"),
            Imported("LIF", "LIFBoxCell", _NORSE, leaks=True, r="one"),
            Imported("CubaLIF", "LIBoxCell and LIFBoxCell", _NORSE, synapse=True),
        ),
        convolutions=True,
        afterwards=(
            ("convolution", "its Flatten takes the batch for a channel: run one sample at a time"),
        ),
    ),
    "rockpool": Target(
        "rockpool",
        "3.1.0",
        "rockpool.nn.modules.torch.nir.from_nir",
        (Imported("CubaLIF", "LIFTorch", _ROCKPOOL, synapse=True, r="tau/dt - 1"),),
        afterwards=(
            (
                "several",
                "its neurons fire several spikes a step: set `layer.max_spikes_per_dt = "
                "torch.tensor(1.)`",
            ),
        ),
        refuses={
            "LIF": "its importer asks nir.LIF for tau_mem, which that node does not have; give "
            "the population a synaptic current",
        },
    ),
    "spyx": Target(
        "spyx",
        "1.0.0",
        "spyx.nir.from_nir",
        (
            Imported("IF", "IF", _SPYX, leaks=False, r="one"),
            Imported("LIF", "LIF", replace(_SPYX, delayed_reset=True), leaks=True, r="one"),
            Imported("CubaLIF", "CuBaLIF", _SPYX, synapse=True, r="one"),
        ),
        afterwards=(
            (
                "always",
                "its neurons answer a step late: the output of layer k comes k steps after ours",
            ),
        ),
    ),
}


def target_named(name: str) -> Target:
    """The tool of a `--for`; Unsupported for a name that is none."""
    if name not in TARGETS:
        raise Unsupported(
            f"there is no tool {name!r} whose importer is known: known are {', '.join(TARGETS)}"
        )
    return TARGETS[name]
