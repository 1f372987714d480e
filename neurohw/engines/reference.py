"""The float64 reference as an engine."""

from neurohw.network import TrainedNetwork
from neurohw.reference import run_reference as run

__all__ = ["check", "run"]


def check(model: TrainedNetwork) -> None:
    """The reference runs every trained network."""
