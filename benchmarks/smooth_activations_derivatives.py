# SPDX-License-Identifier: Apache-2.0
"""Derivatives of activations under noise, for `benchmarks/smooth_activations.py`."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

DRAWS = 2_000_000


def derivative(activation: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """act'(x)."""
    match activation:
        case "relu":
            return (x > 0).astype(np.float64)
        case "gelu":
            return special.ndtr(x) + x * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
        case _:
            s = special.expit(x)
            return s * (1 + x * (1 - s))


def derivative_error(activation: str, sigma: float) -> float:
    """E|act'(x + n) - act'(x)|, x uniform in -sigma ... sigma, n ~ N(0, sigma^2)."""
    rng = np.random.default_rng(0)
    x, n = rng.uniform(-sigma, sigma, DRAWS), sigma * rng.standard_normal(DRAWS)
    return float(np.abs(derivative(activation, x + n) - derivative(activation, x)).mean())


def expected_error(activation: str, sigma: float) -> float:
    """The same for small sigma: a rectifier errs where the sign changes, whatever sigma; a smooth
    one by |act''(0)| E|n|.
    """
    if activation == "relu":  # the integral of Phi(-u) over u in 0..1
        return float(special.ndtr(-1.0) + stats.norm.pdf(0.0) - stats.norm.pdf(1.0))
    curvature = {"gelu": 2 / math.sqrt(2 * math.pi), "silu": 0.5}[activation]
    return curvature * sigma * math.sqrt(2 / math.pi)
