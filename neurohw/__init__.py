"""neurohw: define a spiking network once; train it, quantize it, and prove that the FPGA does what the model does."""

from neurohw.golden import infer, run_golden
from neurohw.integers import QuantizedNetwork, quantize
from neurohw.model_files import digest_of, load_quantized, load_trace, load_trained, save
from neurohw.modulation import Modulation
from neurohw.network import Network, Population, Projection, TrainedNetwork, feed_forward
from neurohw.neurons import Astrocyte, If, Integrator, Lif, Source
from neurohw.reference import run_reference
from neurohw.trace import Trace, first_mismatch

__version__ = "0.1.0"

__all__ = [
    "Astrocyte",
    "If",
    "Integrator",
    "Lif",
    "Modulation",
    "Network",
    "Population",
    "Projection",
    "QuantizedNetwork",
    "Source",
    "Trace",
    "TrainedNetwork",
    "digest_of",
    "feed_forward",
    "first_mismatch",
    "load_quantized",
    "load_trace",
    "load_trained",
    "quantize",
    "infer",
    "run_golden",
    "run_reference",
    "save",
]
