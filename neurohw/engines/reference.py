# SPDX-License-Identifier: Apache-2.0
"""The float64 reference as an engine."""

from neurohw.network import TrainedNetwork
from neurohw.reference import IMPLEMENTS
from neurohw.reference import run_reference as run

__all__ = ["check", "run"]


def check(model: TrainedNetwork) -> None:
    """Raise Unsupported, naming node and attribute, for what the reference does not name."""
    IMPLEMENTS.check(model.network)
