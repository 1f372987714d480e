"""The golden model in C++ as an engine."""

from neurohw.golden.native import run_native as run
from neurohw.integers import QuantizedNetwork

__all__ = ["check", "run"]


def check(model: QuantizedNetwork) -> None:
    """The native golden model runs every quantized network."""
