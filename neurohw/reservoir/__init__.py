"""Reservoirs: liquids of spiking neurons with random synapses, what they do, and readouts of their spikes."""

from neurohw.reservoir.build import gaussian_reservoir, grid_liquid, random_liquid, small_world_liquid
from neurohw.reservoir.liquid import NALSM_NEURON, Liquid, PerKind
from neurohw.reservoir.spectrum import spectral_radius, with_spectral_radius

__all__ = [
    "NALSM_NEURON",
    "Liquid",
    "PerKind",
    "gaussian_reservoir",
    "grid_liquid",
    "random_liquid",
    "small_world_liquid",
    "spectral_radius",
    "with_spectral_radius",
]
