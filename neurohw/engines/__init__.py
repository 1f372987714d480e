# SPDX-License-Identifier: Apache-2.0
"""The engines: every simulator that can run a model, under one protocol.

An engine is a module with

    check(model)                         raise Unsupported, naming the node and the value, for what
                                         it cannot run exactly
    run(model, spikes, states=True)      a Trace of counts [time, sample, input neuron]

and, where it takes integers, the option `beyond_proof` of `neurohw.golden.run_golden`. Modules are
imported when an engine is asked for, so that a missing simulator only hurts those who use it.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from neurohw.checks import exactly
from neurohw.errors import Unsupported
from neurohw.extras import missing_package
from neurohw.integers import QuantizedNetwork
from neurohw.network import TrainedNetwork
from neurohw.stimulus import Spikes
from neurohw.trace import Trace

Model = TrainedNetwork | QuantizedNetwork
# what to do with a float model where integers are needed
QUANTIZE = (
    "quantize the model first, with `neurohw quantize MODEL --out FOLDER` (neurohw.quantize in "
    "Python)"
)


@dataclass(frozen=True)
class Engine:
    """One simulator: its name, the models it takes ("float", "integer"), and the module that runs
    it.
    """

    name: str
    takes: tuple[str, ...]
    module: str
    describes: str

    def check(self, model: Model) -> None:
        """Raise Unsupported, naming the node and the value, for what the engine cannot run
        exactly.
        """
        exactly(f"engine {self.name!r}: model", model, TrainedNetwork, QuantizedNetwork)
        kind = kind_of(model)
        if kind not in self.takes:
            cure = QUANTIZE if kind == "float" else "give it the model before quantization"
            raise Unsupported(
                f"engine {self.name!r} takes {' and '.join(self.takes)} models, not {kind} "
                f"ones: {cure}"
            )
        self._implementation().check(model)

    def _implementation(self) -> ModuleType:
        """The module that runs it; MissingTool naming the extra if a package is not installed."""
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            raise missing_package(error) or error from error

    def run(
        self,
        model: Model,
        spikes: Spikes | NDArray[Any],
        states: bool = True,
        beyond_proof: bool = False,
        **options: Any,
    ) -> Trace:
        """The trace of counts [time, sample, input neuron];

        Unsupported as in `check`, before anything runs.

        beyond_proof: allow an integer model more steps and larger counts than its widths are proved
        for; the trace then says so. A float model has no such proof.
        """
        self.check(model)
        if kind_of(model) == "integer":
            options["beyond_proof"] = beyond_proof
        trace: Trace = self._implementation().run(model, spikes, states=states, **options)
        return trace


def kind_of(model: Model) -> str:
    """ "integer" for a quantized network, "float" for a trained one."""
    return "integer" if isinstance(model, QuantizedNetwork) else "float"


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            "reference", ("float",), "neurohw.engines.reference", "float64 in NumPy, the definition"
        ),
        Engine("torch", ("float",), "neurohw.engines.torch", "the training module in float64"),
        Engine(
            "brian2",
            ("float", "integer"),
            "neurohw.engines.brian2",
            "Brian2, NumPy or Cython code generation",
        ),
        Engine(
            "golden", ("integer",), "neurohw.engines.golden", "integers in NumPy, the specification"
        ),
        Engine(
            "native",
            ("integer",),
            "neurohw.engines.native",
            "integers in C++, equal to golden and fast",
        ),
        Engine(
            "lava", ("integer",), "neurohw.engines.lava", "Lava, Loihi 2 simulation, fixed point"
        ),
        Engine(
            "rtl", ("integer",), "neurohw.engines.rtl", "the generated SystemVerilog in Verilator"
        ),
    )
}


def engine_named(name: str) -> Engine:
    """The engine of that name; Unsupported naming those that exist."""
    if name not in ENGINES:
        raise Unsupported(f"there is no engine {name!r}: known are {', '.join(ENGINES)}")
    return ENGINES[name]
