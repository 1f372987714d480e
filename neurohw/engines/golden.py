"""The integer golden model as an engine."""

from neurohw.golden import run_golden as run
from neurohw.integers import QuantizedNetwork

__all__ = ["check", "run"]


def check(model: QuantizedNetwork) -> None:
    """The golden model runs every quantized network."""
