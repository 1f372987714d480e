# SPDX-License-Identifier: Apache-2.0
"""Reservoirs: liquids of spiking neurons with random synapses, what they do, and readouts of their
spikes.
"""

from neurohw.reservoir.build import (
    gaussian_reservoir,
    grid_liquid,
    random_liquid,
    small_world_liquid,
)
from neurohw.reservoir.config import LIQUIDS, LiquidConfig, liquid_named
from neurohw.reservoir.liquid import NALSM_NEURON, Liquid, PerKind
from neurohw.reservoir.readout import LinearReadout, attach_readout, ridge
from neurohw.reservoir.resistive import resistive_chip, resistive_liquid
from neurohw.reservoir.retrieval import Retrieval, retrieve
from neurohw.reservoir.simulate import run_liquid
from neurohw.reservoir.spectrum import spectral_radius, with_spectral_radius

__all__ = [
    "LIQUIDS",
    "NALSM_NEURON",
    "LinearReadout",
    "Liquid",
    "LiquidConfig",
    "PerKind",
    "Retrieval",
    "attach_readout",
    "gaussian_reservoir",
    "grid_liquid",
    "liquid_named",
    "random_liquid",
    "resistive_chip",
    "resistive_liquid",
    "retrieve",
    "ridge",
    "run_liquid",
    "small_world_liquid",
    "spectral_radius",
    "with_spectral_radius",
]
