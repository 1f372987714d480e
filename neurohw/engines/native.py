# SPDX-License-Identifier: Apache-2.0
"""The golden model in C++ as an engine."""

from neurohw.golden.native import run_native as run
from neurohw.golden.native_structures import IMPLEMENTS
from neurohw.integers import QuantizedNetwork

__all__ = ["check", "run"]


def check(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming node and attribute, for what the native golden model does not
    name.
    """
    IMPLEMENTS.check(model.network, model.populations)
