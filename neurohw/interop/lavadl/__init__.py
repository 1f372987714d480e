# SPDX-License-Identifier: Apache-2.0
"""Networks that lava-dl wrote (`.net`, HDF5) as quantized networks, bit exact.

A layer of such a file is a population with the projection into it. Its neuron is Loihi's, in
integers, with `>> 12` rounding toward zero:

    u = u (4096 - iDecay) >> 12 + (W s << 6)        v = v (4096 - vDecay) >> 12 + u + (bias << 6)
    s = v > vThMant << 6,  v = 0 on a spike

Latency: a recording of lava-dl, and Lava itself, shows layer k one step after layer k - 1. The
network here has no such latency: its population k is `latency(network)[k]` steps ahead of the
recording. An axonal delay of d steps, stored with the layer that sends, delays the spikes by d
whole steps beside that latency, as the blocks of lava-dl do (they shift by one step, then by the
delay rounded down).

Comparison: Lava, Loihi and SLAYER 0.6.0 fire strictly above the threshold; SLAYER compares
v >= threshold + epsilon. Older SLAYERs fired at it, and published recordings of them exist, so that
the import takes it explicitly. The epsilon is lost in float32 from vThMant 4096 on: there SLAYER
0.6.0, on a CPU, fires at the threshold (strict=False).

Readouts: a last layer without neurons, one whose threshold is the largest of all (262143, as
`Affine` writes it: its spikes are off) and `average` are Integrators; `average` sums where lava-dl
takes the mean. An Integrator's membrane is lava-dl's voltage times 4096.

Constants of single neurons (shared_param=False) belong to the neurons of a dense layer, and to the
channels of a convolution, as Lava and SLAYER on a GPU read them; SLAYER on a CPU lays them along
the columns. `neuron/weight_exp` of WgtScaleBatchNorm divides current and bias by a power of two.

Fields that are not known, and values that cannot be exact, are refused by name.

A layer of type `input` turns an image into spikes; those spikes are the network's input.
`encode_input` computes them.
"""

from neurohw.interop.lavadl.encoding import encode_input
from neurohw.interop.lavadl.importing import from_lavadl, latency

__all__ = ["encode_input", "from_lavadl", "latency"]
