"""neurohw: define a spiking network once; train it, quantize it, and prove that the FPGA does what the model does.

Every name that a user needs is here. PyTorch is loaded by the first use of what trains, not by `import neurohw`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from neurohw.connections import Convolution, Dense, Sparse
from neurohw.data import Dataset, Encoder, digits
from neurohw.errors import (
    BrokenFile,
    CannotWrite,
    DoesNotFit,
    InvalidData,
    InvalidModel,
    MissingTool,
    NeurohwError,
    Unsupported,
)
from neurohw.golden import infer, run_golden
from neurohw.hardware.generate import RtlPackage, emit
from neurohw.hardware.verify import VerifyResult, verify
from neurohw.integers import QuantizedNetwork, dequantize, quantize
from neurohw.interop import import_model
from neurohw.memristor import device_named, program
from neurohw.model_files import digest_of, load_quantized, load_trace, load_trained, save
from neurohw.modulation import Modulation
from neurohw.network import Network, Population, Projection, TrainedNetwork, feed_forward
from neurohw.neurons import Adaptation, Astrocyte, If, Integrator, Lif, Source
from neurohw.readout import accuracy, scores
from neurohw.reference import run_reference
from neurohw.stimulus import Spikes
from neurohw.trace import Trace, first_mismatch
from neurohw.train import DeviceNoise, TrainConfig

if TYPE_CHECKING:
    from neurohw.train import SpikingModule, evaluate, fit

__version__ = "0.2.0.dev0"

__all__ = [
    "Adaptation",
    "Astrocyte",
    "BrokenFile",
    "CannotWrite",
    "Convolution",
    "Dataset",
    "Dense",
    "DeviceNoise",
    "DoesNotFit",
    "Encoder",
    "If",
    "Integrator",
    "InvalidData",
    "InvalidModel",
    "Lif",
    "MissingTool",
    "Modulation",
    "Network",
    "NeurohwError",
    "Population",
    "Projection",
    "QuantizedNetwork",
    "RtlPackage",
    "Source",
    "Sparse",
    "Spikes",
    "SpikingModule",
    "Trace",
    "TrainConfig",
    "TrainedNetwork",
    "Unsupported",
    "VerifyResult",
    "accuracy",
    "dequantize",
    "device_named",
    "digest_of",
    "digits",
    "emit",
    "evaluate",
    "feed_forward",
    "first_mismatch",
    "fit",
    "import_model",
    "infer",
    "load_quantized",
    "load_trace",
    "load_trained",
    "program",
    "quantize",
    "run_golden",
    "run_reference",
    "save",
    "scores",
    "verify",
]


def __getattr__(name: str) -> Any:
    """What is defined with PyTorch, loaded at its first use; MissingTool naming the extra without PyTorch."""
    if name in ("SpikingModule", "evaluate", "fit"):
        return getattr(importlib.import_module("neurohw.train"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
