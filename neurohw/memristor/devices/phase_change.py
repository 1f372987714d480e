# SPDX-License-Identifier: Apache-2.0
"""Phase-change memory: the model of Nandakumar et al., and its fits to two chips.

    programming   G = max(0, target + sigma N),  sigma a polynomial of r = target / g_max
    drift         G(t) = G ((t + t0) / t0)^-nu,  nu = |N(mu(r), s(r)^2)|, drawn once per device
    read          + G(t) Q(G / g_max) sqrt(ln((t + t0 + t_read) / (2 t_read))) N

Source of form and coefficients: Nandakumar et al., "Phase-change memory models for deep learning
training and inference" (ICECS 2019), as published in aihwkit (`inference/noise/pcm.py`,
`hermes.py`), with two differences that are tested against it: every device keeps its exponent, and
a scale is what it says.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurohw.checks import POSITIVE
from neurohw.errors import InvalidModel
from neurohw.memristor.devices.base import Array, Device, Kept, gaussian, polynomial
from neurohw.memristor.drift import folded_normal, power_law
from neurohw.memristor.read import flicker_growth

SMALLEST_RELATIVE = 1e-7  # under the logarithms of the fits


@dataclass(frozen=True)
class PhaseChange(Device):
    """What the fits have in common.

    t0_seconds: first read of the drift measurement.
    t_read_seconds: duration of a read in the 1/f fit.
    """

    t0_seconds: float = 20.0
    t_read_seconds: float = 250e-9

    ranges = {**Device.ranges, "t0_seconds": POSITIVE, "t_read_seconds": POSITIVE}

    @abstractmethod
    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens, for targets in microsiemens."""

    @abstractmethod
    def exponent_mean(self, relative: Array) -> Array:
        """mu(r)."""

    @abstractmethod
    def exponent_deviation(self, relative: Array) -> Array:
        """s(r)."""

    @abstractmethod
    def read_fraction(self, relative: Array) -> Array:
        """Q(r)."""

    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """See `Device.program`; `exponent` is the drift exponent of every device."""
        relative = np.maximum(self.relative(target), SMALLEST_RELATIVE)
        programmed = gaussian(
            target, self.programming_scale * self.programming_deviation(target), rng
        )
        exponent = folded_normal(
            self.exponent_mean(relative), self.exponent_deviation(relative), rng
        )
        return {"programmed": programmed, "exponent": self.drift_scale * exponent}

    def drifted(self, kept: Kept, time_seconds: float) -> Array:
        """See `Device.drifted`."""
        return power_law(kept["programmed"], kept["exponent"], time_seconds, self.t0_seconds)

    def read_deviation(self, kept: Kept, conductance: Array, time_seconds: float) -> Array | None:
        """See `Device.read_deviation`."""
        growth = self.read_scale * flicker_growth(
            time_seconds + self.t0_seconds, self.t_read_seconds
        )
        return (
            conductance * self.read_fraction(self.relative(kept["programmed"])) * growth
            if growth
            else None
        )


@dataclass(frozen=True)
class Pcm(PhaseChange):
    """A PCM of 25 microsiemens, doped Ge2Sb2Te5 of one million devices (Nandakumar et al.

    2019; aihwkit `PCMLikeNoiseModel`).

    sigma = (0.26348 + 1.9650 r - 1.1731 r^2) reference / 25, mu = clip(-0.0155 ln r + 0.0244,
    0.049, 0.1), s = clip(-0.0125 ln r - 0.0059, 0.008, 0.045), Q = min(0.0088 / max(r^0.65, 0.001),
    0.2).
    coefficients: of sigma in microsiemens at a range of reference_microsiemens; sigma scales with
        g_max.
    """

    g_max_microsiemens: float = 25.0
    coefficients: tuple[float, ...] = (0.26348, 1.9650, -1.1731)
    reference_microsiemens: float = 25.0

    kind: ClassVar[str] = "pcm"
    ranges = {**PhaseChange.ranges, "reference_microsiemens": POSITIVE}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.coefficients:
            raise InvalidModel(
                f"device {self.kind!r}: coefficients are those of a polynomial, at least one"
            )

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens."""
        scale = self.g_max_microsiemens / self.reference_microsiemens
        return polynomial(self.relative(target), self.coefficients) * scale

    def exponent_mean(self, relative: Array) -> Array:
        """mu(r)."""
        return np.clip(-0.0155 * np.log(relative) + 0.0244, 0.049, 0.1)

    def exponent_deviation(self, relative: Array) -> Array:
        """s(r)."""
        return np.clip(-0.0125 * np.log(relative) - 0.0059, 0.008, 0.045)

    def read_fraction(self, relative: Array) -> Array:
        """Q(r)."""
        return np.minimum(0.0088 / np.maximum(relative**0.65, 1e-3), 0.2)


def _clipped_logarithm(
    relative: Array, slope: float, constant: float, low: float, high: float
) -> Array:
    return np.clip(slope * np.log(np.maximum(relative, SMALLEST_RELATIVE)) + constant, low, high)


def _hermes_exponent_mean(relative: Array) -> Array:
    """Shared by one and two devices: both devices of a cell are taken to be in the same state."""
    low = _clipped_logarithm(relative, -0.0387, -0.0182, 0.072, 0.13)
    return np.where(relative < 0.0945, low, polynomial(relative, (0.0736, -0.0126, -0.0436)))


@dataclass(frozen=True)
class HermesTwo(PhaseChange):
    """IBM HERMES chip, two PCM devices in the place of one, programmed by the method of
    Vasilopoulos et al. (TED 2023).

    Fits of aihwkit `HermesNoiseModel(num_devices=2)`;
    chip: Le Gallo et al., Nature Electronics 2023; Khaddam-Aljameh et al., JSSC 2022.
    """

    g_max_microsiemens: float = 20.7
    t0_seconds: float = 300.0
    t_read_seconds: float = 512e-9

    kind: ClassVar[str] = "hermes_two"
    characterized_microsiemens = (0.0, 20.7)

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens; it scales with g_max."""
        fit = (0.16603222, 4.71806468, -8.48101252, 4.68961419)
        return polynomial(self.relative(target), fit) * (self.g_max_microsiemens / 20.7)

    def exponent_mean(self, relative: Array) -> Array:
        """mu(r)."""
        return _hermes_exponent_mean(relative)

    def exponent_deviation(self, relative: Array) -> Array:
        """s(r)."""
        low = _clipped_logarithm(relative, -0.0117, -0.0057, 0.0091, 0.04)
        return np.where(relative < 0.3055, low, polynomial(relative, (0.0073, 0.0093, -0.0118)))

    def read_fraction(self, relative: Array) -> Array:
        """Q(r)."""
        low = _clipped_logarithm(relative, -0.0117, -0.0069, 0.015, 0.04)
        return np.where(
            relative < 0.16, low, polynomial(relative, (0.0123, 0.0211, -0.0280, 0.0069))
        )


@dataclass(frozen=True)
class HermesOne(PhaseChange):
    """IBM HERMES chip, one PCM device; fits of aihwkit `HermesNoiseModel(num_devices=1)`, sources
    as `HermesTwo`.
    """

    g_max_microsiemens: float = 10.35
    t0_seconds: float = 200.0
    t_read_seconds: float = 512e-9

    kind: ClassVar[str] = "hermes_one"
    characterized_microsiemens = (0.0, 10.35)

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens; it scales with g_max."""
        fit = (0.15781817, 2.32443916, -2.16310839, 0.68841818)
        return polynomial(self.relative(target), fit) * (self.g_max_microsiemens / 10.35)

    def exponent_mean(self, relative: Array) -> Array:
        """mu(r)."""
        return _hermes_exponent_mean(relative)

    def exponent_deviation(self, relative: Array) -> Array:
        """s(r)."""
        low = _clipped_logarithm(relative, -0.0120, -0.0023, 0.0124, 0.04)
        return np.where(relative < 0.3039, low, polynomial(relative, (0.0104, 0.0116, -0.0165)))

    def read_fraction(self, relative: Array) -> Array:
        """Q(r)."""
        low = _clipped_logarithm(relative, -0.0078, 0.0038, 0.0179, 0.04)
        return np.where(
            relative < 0.1591, low, polynomial(relative, (0.0088, 0.0768, -0.1352, 0.0664))
        )
