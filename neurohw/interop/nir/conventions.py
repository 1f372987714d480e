# SPDX-License-Identifier: Apache-2.0
"""What a NIR graph leaves open, and what each tool means by the graphs that it writes.

NIR describes neurons in continuous time. It says neither the step nor what exactly a spike does,
and the exporters do not say it either: `Conventions` holds one answer to every open question,
`TOOLS` the answers of every tool, one row per kind of module. The table in docs/nir.md is
generated from these rows, and every row is held against the tool's own simulation
(tests/interop/nir/test_conventions.py).
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidModel, Unsupported
from neurohw.neurons import Reset

FloatArray = NDArray[np.float64]
Gain = Literal["nir", "one", "decay"]
SNNTORCH_DT = 1e-4  # written into the source of snnTorch, beside SpikingJelly's default
FLOAT32 = 2.0**-23  # relative rounding of the numbers in most tools' files
NORSE_DT = 1e-3  # default of norse's cells, and of its to_nir


def _spelt(name: str) -> str:
    """A convention as in Python, and as an option where that has other letters."""
    return f"{name} (--{name.replace('_', '-')})" if "_" in name else name


@dataclass(frozen=True)
class Conventions:
    """One answer to everything that a NIR graph leaves open.

    The defaults are NIR's own definitions, sampled exactly.

    dt: step in the file's unit of time, which NIR says is the second. discretisation, with b the
    decay of the membrane and a that of the synaptic current per step:

        exponential_euler    b = exp(-dt/tau_mem),  a = exp(-dt/tau_syn)
        forward_euler        b = 1 - dt/tau_mem,    a = 1 - dt/tau_syn

    gain: factor of the current on its way into the membrane: "nir" (1 - b) r, and dt r of an IF;
    "one" 1, whatever r says; "decay" b.
    current_gain: factor of the weighted spikes on their way into the synaptic current of a CubaLIF:
    "nir" (1 - a) w_in; "one"; "decay" a.

    reset, delayed_reset, strict, refractory: as in `neurohw.neurons.Lif`; NIR says "v > threshold,
    then v = v_reset".
    begins_at_reset: the membrane of step 0 is v_reset and not 0. latency: steps by which a spike
    reaches its targets later, as in a tool whose neurons answer from the membrane of the step
    before. flatten: order in which a Flatten node lays out an image. recurrent_delay: steps of an
    edge that closes a cycle. steps: of one sample. seconds: duration of a step where the file's
    unit of time is not the second.
    """

    dt: float = 1e-3
    discretisation: Literal["exponential_euler", "forward_euler"] = "exponential_euler"
    reset: Reset = "hard"
    delayed_reset: bool = False
    strict: bool = True
    refractory: int = 0
    gain: Gain = "nir"
    current_gain: Gain = "nir"
    begins_at_reset: bool = False
    latency: int = 0
    flatten: Literal["channels_first", "channels_last"] = "channels_first"
    recurrent_delay: int = 1
    steps: int = 100
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("discretisation", ("exponential_euler", "forward_euler")),
            ("reset", ("soft", "hard", "none")),
            ("gain", ("nir", "one", "decay")),
            ("current_gain", ("nir", "one", "decay")),
            ("flatten", ("channels_first", "channels_last")),
        ):
            if getattr(self, name) not in allowed:
                raise InvalidModel(
                    f"{_spelt(name)} is {', '.join(allowed[:-1])} or {allowed[-1]}, not "
                    f"{getattr(self, name)!r}"
                )
        for name in ("dt", "seconds"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and np.isfinite(value)):
                raise InvalidModel(f"{_spelt(name)} must be above 0 s and finite, not {value}")
        for name, least in (
            ("recurrent_delay", 1),
            ("refractory", 0),
            ("latency", 0),
            ("steps", 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not float(value).is_integer() or value < least:
                raise InvalidModel(f"{_spelt(name)} counts steps, {least} or more, not {value}")

    def decay(self, tau: FloatArray, node: str) -> FloatArray:
        """Factor per step of a time constant in the file's unit; an infinite one never decays."""
        if np.any(np.isnan(tau)) or np.any(tau <= 0):
            raise InvalidModel(
                f"node {node!r}: a time constant of {float(np.min(tau))} s; it must be above 0"
            )
        if self.discretisation == "exponential_euler":
            return np.exp(-self.dt / tau)
        factor = 1.0 - self.dt / tau
        factor = np.where(np.abs(factor) <= FLOAT32, 0.0, factor)
        if np.any(factor < 0):
            raise InvalidModel(
                f"node {node!r}: time constant {float(np.min(tau))} s is shorter than dt "
                f"{self.dt} s, which forward_euler "
                "cannot express: choose a smaller dt or exponential_euler"
            )
        return factor

    def tau(self, decay: FloatArray) -> FloatArray:
        """The time constant whose `decay` is this.

        Finite and above 0 also for 1 (far above any run) and 0 (far below the step).
        """
        longest = self.dt * 1e12
        with np.errstate(divide="ignore"):
            if self.discretisation == "forward_euler":
                return np.where(decay >= 1, longest, np.minimum(self.dt / (1 - decay), longest))
            return np.where(
                decay >= 1, longest, np.clip(-self.dt / np.log(decay), self.dt / 800, longest)
            )

    def input_gain(self, kind: Gain, decay: FloatArray, scale: FloatArray) -> FloatArray:
        """Factor with which an input enters a state of that decay.

        scale: the node's own r or w_in.
        """
        if kind == "nir":
            return (1 - decay) * scale
        return decay if kind == "decay" else np.ones_like(decay)


@dataclass(frozen=True)
class Exported:
    """What one kind of module of a tool becomes in a NIR graph, and what it means there.

    node: kind of the NIR node. looped: True for a row of recurrent modules, None for both.
    """

    module: str
    node: str
    conventions: Conventions
    looped: bool | None = None


@dataclass(frozen=True)
class Tool:
    """A tool that writes NIR.

    exporter: its function. rows: by module; of several for one node the first is the default.
    lost: what its exporter drops without a word. multiple: whether its neurons fire several spikes
    a step by default.
    rewires: its recurrent subgraphs lead the input through the recurrent weights, which the tool
    itself does not. sums_padding: it writes the sum of both sides as the padding of a pooling.
    """

    name: str
    version: str
    exporter: str
    rows: tuple[Exported, ...]
    lost: str = ""
    multiple: str = ""
    rewires: bool = False
    sums_padding: bool = False


_SNNTORCH = Conventions(
    SNNTORCH_DT, "forward_euler", "soft", delayed_reset=True, gain="one", current_gain="one"
)
_ZERO = replace(_SNNTORCH, reset="hard", delayed_reset=False, refractory=1)
_NONE = replace(_SNNTORCH, reset="none", delayed_reset=False)
_SPIKINGJELLY = Conventions(SNNTORCH_DT, "forward_euler", strict=False, begins_at_reset=True)
_SINABS = Conventions(1.0, reset="soft", strict=False)
_NORSE = Conventions(NORSE_DT * NORSE_DT, "forward_euler", seconds=NORSE_DT)
_ROCKPOOL = Conventions(1e-3, reset="soft", strict=False, gain="one")
_SPYX = Conventions(
    1.0, "forward_euler", "soft", gain="one", current_gain="one", latency=1, flatten="channels_last"
)

TOOLS: dict[str, Tool] = {
    "snntorch": Tool(
        "snntorch",
        "1.0.0",
        "snntorch.export_nir.export_to_nir",
        (
            Exported("Leaky, subtract", "LIF", _SNNTORCH, False),
            Exported("Leaky, zero", "LIF", replace(_ZERO, delayed_reset=True, refractory=0), False),
            Exported("Leaky, none", "LIF", _NONE, False),
            Exported("RLeaky, subtract", "LIF", _SNNTORCH, True),
            Exported("RLeaky, zero", "LIF", _ZERO, True),
            Exported("Synaptic and RSynaptic, subtract", "CubaLIF", _SNNTORCH),
            Exported("Synaptic and RSynaptic, zero", "CubaLIF", _ZERO),
        ),
        lost="reset_mechanism, reset_delay, inhibition, state_quant, graded_spikes_factor, "
        "padding_mode of Conv2d, padding, ceil_mode, count_include_pad and divisor_override of "
        "AvgPool2d",
    ),
    "spikingjelly": Tool(
        "spikingjelly",
        "2.0.0",
        "nir_exchange.export_to_nir",
        (
            Exported("LIFNode, ParametricLIFNode", "LIF", _SPIKINGJELLY),
            Exported("CUBALIFNode", "CubaLIF", _SPIKINGJELLY),
            Exported("IFNode", "IF", _SPIKINGJELLY),
        ),
    ),
    "sinabs": Tool(
        "sinabs",
        "3.1.3",
        "sinabs.nir.to_nir",
        (
            Exported("LIF, norm_input=True", "LIF", _SINABS),
            Exported("LIF, norm_input=False", "LIF", replace(_SINABS, gain="one")),
            Exported("LIF, MembraneReset", "LIF", replace(_SINABS, reset="hard")),
            Exported("IAF", "IF", _SINABS),
            Exported("ExpLeak, norm_input=False", "LI", replace(_SINABS, gain="one")),
            Exported("ExpLeak, norm_input=True", "LI", _SINABS),
        ),
        lost="norm_input, spike_fn, reset_fn, min_v_mem, tau_syn, padding_mode of convolutions, "
        "ceil_mode of SumPool2d",
        multiple="spike_fn=MultiSpike",
    ),
    "norse": Tool(
        "norse",
        "1.1.0",
        "norse.torch.to_nir",
        (
            Exported("LIFBoxCell", "LIF", _NORSE),
            Exported("LIFCell", "CubaLIF", replace(_NORSE, current_gain="one")),
            Exported("IAFCell", "IF", replace(_NORSE, gain="one")),
            Exported("LIBoxCell", "LI", _NORSE),
        ),
        lost="v_reset, reset_method, the dt of the cells, padding_mode of Conv2d",
    ),
    "rockpool": Tool(
        "rockpool",
        "3.1.0",
        "rockpool.nn.modules.torch.nir.to_nir",
        (
            Exported("LIFNeuronTorch", "LIF", _ROCKPOOL),
            Exported("LIFTorch", "CubaLIF", replace(_ROCKPOOL, current_gain="decay")),
        ),
        lost="bias of the neurons, recurrent weights, max_spikes_per_dt, noise_std",
        multiple="max_spikes_per_dt=65536",
    ),
    "spyx": Tool(
        "spyx",
        "1.0.0",
        "spyx.nir.to_nir",
        (
            Exported("LIF, RLIF", "LIF", replace(_SPYX, delayed_reset=True)),
            Exported("CuBaLIF, RCuBaLIF", "CubaLIF", _SPYX),
            Exported("IF, RIF", "IF", _SPYX),
        ),
        lost="layers that it does not know, kernel_dilation and an uneven padding of Conv",
        rewires=True,
        sums_padding=True,
    ),
}
PLAIN = "nir"  # as a tool: NIR's own definitions, whatever metadata the file holds
ORIGINS = (*TOOLS, PLAIN)


def tool_named(name: str) -> Tool | None:
    """The tool of a `--from`, None for `nir`; Unsupported for a name that is none."""
    if name not in ORIGINS:
        raise Unsupported(
            f"there is no tool {name!r} whose conventions are known: known are {', '.join(ORIGINS)}"
        )
    return TOOLS.get(name)


def _agrees(row: Exported, changes: dict[str, Any]) -> bool:
    return all(
        getattr(row.conventions, k) == changes[k]
        for k in ("reset", "gain", "current_gain")
        if k in changes
    )


def row_of(tool: Tool, node: str, kind: str, looped: bool, changes: dict[str, Any]) -> Exported:
    """The row of a neuron node.

    changes: conventions that were chosen by hand, which pick among several rows of a kind. Raises
    Unsupported where the tool writes no such node.
    """
    rows = [r for r in tool.rows if r.node == kind and r.looped in (None, looped)]
    if not rows:
        written = ", ".join(dict.fromkeys(r.node for r in tool.rows))
        raise Unsupported(
            f"node {node!r}: {tool.name} {tool.version} writes no {kind} that is known here, "
            f"only {written}: if another tool wrote this graph, name that one; else take {PLAIN} "
            "and give the conventions yourself"
        )
    return next((r for r in rows if _agrees(r, changes)), rows[0])


def changed(conventions: Conventions, changes: dict[str, Any]) -> Conventions:
    """Conventions with what was chosen by hand.

    A timing that another choice makes impossible goes with it.
    """
    more = dict(changes)
    if more.get("delayed_reset") and "refractory" not in more:
        more["refractory"] = 0
    if more.get("refractory") and "delayed_reset" not in more:
        more["delayed_reset"] = False
    if more.get("reset") == "none":
        more = {"delayed_reset": False, "refractory": 0} | more
    if "dt" in more and "seconds" not in more:
        more["seconds"] = None
    return replace(conventions, **more)


CHOICES = tuple(f.name for f in fields(Conventions))
