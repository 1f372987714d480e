# SPDX-License-Identifier: Apache-2.0
"""neurohw: define a spiking network once; train it, quantize it, and prove that the FPGA does what
    the model does.

Every name that a user needs is here, and is loaded at its first use: `import neurohw` loads neither
PyTorch nor NumPy, so that the command line can answer at once.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from neurohw.train import DeviceNoise, SpikingModule, TrainConfig, evaluate, fit

__version__ = "0.2.0.dev0"

_NAMES = {
    "neurohw.connections": "Convolution Dense Sparse",
    "neurohw.data": "Dataset Encoder digits",
    "neurohw.errors": (
        "BrokenFile CannotWrite DoesNotFit InvalidData InvalidModel MissingTool "
        "NeurohwError Unsupported"
    ),
    "neurohw.golden": "infer run_golden",
    "neurohw.hardware.generate": "RtlPackage emit",
    "neurohw.hardware.verify": "VerifyResult verify",
    "neurohw.integers": "QuantizedNetwork dequantize quantize",
    "neurohw.interop": "import_model",
    "neurohw.memristor": "device_named program",
    "neurohw.model_files": "digest_of load_quantized load_trace load_trained save",
    "neurohw.modulation": "Modulation",
    "neurohw.network": "Network Population Projection TrainedNetwork feed_forward",
    "neurohw.neurons": "Adaptation Astrocyte If Integrator Lif Source",
    "neurohw.readout": "accuracy scores",
    "neurohw.reference": "run_reference",
    "neurohw.stimulus": "Spikes",
    "neurohw.trace": "Trace first_mismatch",
    "neurohw.train": "DeviceNoise SpikingModule TrainConfig evaluate fit",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    """A name of the package, loaded at its first use;

    MissingTool naming the extra it needs, if any.
    """
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    hidden = {"TYPE_CHECKING", "Any"}  # of the annotations
    return sorted({*globals(), *__all__} - hidden)
