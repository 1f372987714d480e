# SPDX-License-Identifier: Apache-2.0
"""The text of an exported script. Fields in braces are filled in by `exporting`."""

SCRIPT = '''"""A spiking network of snnTorch layers: {summary}.

    python {script} --input spikes.npz --out trace.npz [--force]

Input: array `spikes` [time, neuron] or [sample, time, neuron], or the order that an array `axes`
beside it says, "sample time neuron" or "time sample neuron". Output: `spikes.<population>` [time,
neuron] or [sample, time, neuron]. `build()` returns the module, which can be trained like any
other; its weights come from {arrays}.
"""

import argparse
import hashlib
import math
import os
import secrets
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import nn

INPUT_SHAPE = {input_shape}
STEPS = {steps}  # of one sample
# the population whose spikes leave each layer, or its values for a readout without neurons
POPULATIONS = {populations}

{classes}
class SpikingNetwork(nn.Module):
    """Layers in a row, run step by step."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [
{layers}
            ]
        )

    def forward(self, spikes):
        """Spikes [time, batch, *INPUT_SHAPE] to those of every population [time, batch, ...]."""
        state = [None] * len(self.layers)
        for layer in self.layers:
            for name in ("spk", "syn", "mem"):
                if isinstance(layer, snn.SpikingNeuron) and hasattr(layer, name):
                    setattr(layer, name, torch.zeros(0))  # what the last call left
        record = {{name: [] for name in POPULATIONS if name}}
        for x in spikes:
            for i, layer in enumerate(self.layers):
                if isinstance(layer, snn.SpikingNeuron):
                    # snnTorch returns the spikes and then the state, and takes the state back
                    recurrent = isinstance(layer, (snn.RLeaky, snn.RSynaptic))
                    output = layer(x, *(state[i] or ()))
                    x = output[0].to(x.dtype)
                    state[i] = (x, *output[1:]) if recurrent else output[1:]
                else:
                    x = layer(x)
                if POPULATIONS[i]:
                    record[POPULATIONS[i]].append(x)
        return {{name: torch.stack(values) for name, values in record.items()}}


def build(dtype=torch.float64):
    """The network with its weights."""
    network = SpikingNetwork().to(dtype)
    source = Path(__file__).with_name("{arrays}")
    if hashlib.sha256(source.read_bytes()).hexdigest() != "{sha256}":
        raise SystemExit(f"{{source}} does not belong to this script: export both again")
    with np.load(source) as arrays:
        for name in arrays.files:
            index, _, key = name.partition("/")
            owner = network.layers[int(index)]
            *path, last = key.split(".")
            for part in path:
                owner = getattr(owner, part)
            getattr(owner, last).data = torch.tensor(arrays[name], dtype=dtype)
    return network


# --- files, as `neurohw run` reads them ---
{files}

def main():
    """Run the network on a file of spikes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--force", action="store_true", help="replace the file at --out")
    options = parser.parse_args()
    try:
        check_free(options.out, options.force)
        counts, many = read_counts(options.input, STEPS, math.prod(INPUT_SHAPE))
    except InvalidData as error:
        parser.error(str(error))
    x = torch.tensor(counts).double()
    with torch.no_grad():
        record = build()(x.reshape(*x.shape[:2], *INPUT_SHAPE))
    result = {{"spikes.input": counts.swapaxes(0, 1)}}
    for name, values in record.items():
        result["spikes." + name] = values.flatten(2).transpose(0, 1).numpy()
    if not many:
        result = {{name: values[0] for name, values in result.items()}}
    try:
        write_trace(options.out, result, options.force)
    except InvalidData as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
'''

AT_THRESHOLD = '''
class AtThreshold(torch.autograd.Function):
    """1 from 0 on, so that a membrane at the threshold fires; snnTorch's own functions are 0 at 0.

    The surrogate gradient is snnTorch's default, atan with alpha 2.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient / (1 + (torch.pi * x) ** 2)

'''

AT_ONCE = '''
class AtOnce:
    """Resets in the step of the spike, once; snnTorch's own neurons reset a step later or twice."""

    RESETS_AT_ONCE = True

    def mem_reset(self, mem):
        """Nothing is left to reset from the step before."""
        return torch.zeros_like(mem)

    def forward(self, input_, *state):
        """The neuron's own step without a reset, and then the reset."""
        output = super().forward(input_, *state)
        taken = self.threshold if self.reset_mechanism == "subtract" else output[-1]
        self.mem = output[-1] - output[0].detach() * taken
        return (*output[:-1], self.mem)

'''

ONE_AT_ONCE = '''
class {name}AtOnce(AtOnce, snn.{name}):
    """snn.{name} with that reset."""

'''
