# SPDX-License-Identifier: Apache-2.0
"""Plasticity of synapses while a network runs: STDP, and an astrocyte that sets its depression."""

from neurohw.plasticity.protocol import encode, initialise, spikes_of
from neurohw.plasticity.reference import PlasticRun, run_plastic_reference
from neurohw.plasticity.rule import AstrocyteControl, Plasticity, PlasticProjection, Stdp, nalsm
from neurohw.plasticity.stimulus import Bernoulli, Events, intensity_rates

__all__ = [
    "AstrocyteControl",
    "Bernoulli",
    "Events",
    "PlasticProjection",
    "PlasticRun",
    "Plasticity",
    "Stdp",
    "encode",
    "initialise",
    "intensity_rates",
    "nalsm",
    "run_plastic_reference",
    "spikes_of",
]
