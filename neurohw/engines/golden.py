# SPDX-License-Identifier: Apache-2.0
"""The integer golden model as an engine."""

from neurohw.golden import run_golden as run
from neurohw.golden.specification import IMPLEMENTS
from neurohw.integers import QuantizedNetwork

__all__ = ["check", "run"]


def check(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming node and attribute, for what the golden model does not name."""
    IMPLEMENTS.check(model.network, model.populations)
