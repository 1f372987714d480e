# SPDX-License-Identifier: Apache-2.0
"""Recordings of SLAYER itself, for tests that run without lava-dl.

    python tests/interop/lavadl/record_slayer.py tests/interop/data/lavadl

Made with lava-dl 0.6.0, torch 2.13.0, on a CPU, Python 3.11 (pip needs --no-deps and
--ignore-requires-python for lava-dl 0.6.0 and lava-nc 0.10.0).

NAME.net.gz is what `export_hdf5` of the blocks wrote, compressed. NAME.npz holds the input `spikes`
[time, neuron], and what each block gave, `o0`, `o1`, ... [time, neuron]: a step later for every
block but Affine, Average and Flatten.
"""

import gzip
import io
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

# lava-dl imports OpenCV and torchvision there, which no block needs
sys.modules["lava.lib.dl.slayer.object_detection"] = types.ModuleType("object_detection")
from lava.lib.dl import slayer  # noqa: E402

STEPS = 40
BLOCK = slayer.block.cuba
COMMON = {"threshold": 1.0, "current_decay": 0.3, "voltage_decay": 0.1}
PLAIN = {"threshold": 1.0, "current_decay": 1.0, "voltage_decay": 0.1}
POOL = COMMON | {"threshold": 4.0}
UNSHARED = {
    "threshold": 1.0,
    "current_decay": [0.2, 0.9],
    "voltage_decay": [0.02, 0.5],
    "shared_param": False,
}


class Average(BLOCK.Average):
    """The block of 0.6.0 asks a neuron that it does not have for the shape that it knows itself."""

    @property
    def neuron(self) -> Any:
        return self


class ByChannel(BLOCK.Conv):
    """Constants per channel, as SLAYER's CUDA kernel reads them; a CPU lays them along the
    columns.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for parameter in (self.neuron.current_decay, self.neuron.voltage_decay):
            if len(parameter) > 1:
                parameter.data = parameter.data.reshape(-1, 1, 1)
        return super().forward(x)

    def export_hdf5(self, handle: Any) -> None:
        for parameter in (self.neuron.current_decay, self.neuron.voltage_decay):
            parameter.data = parameter.data.flatten()
        super().export_hdf5(handle)


def by_channel(channels: int) -> Any:
    block = ByChannel({**COMMON}, 2, channels, 3)
    block.neuron.current_decay.data = torch.linspace(800.0, 3600.0, channels)
    block.neuron.voltage_decay.data = torch.linspace(80.0, 2000.0, channels)
    return block


def normalised(kind: Any, block: Callable[..., Any], neuron: dict[str, Any], *sizes: Any) -> Any:
    """A block whose normalisation has seen data: its running statistics are not 0."""
    made = block(neuron | {"norm": kind}, *sizes)
    made.train()
    return made


def delays(block: Any, values: torch.Tensor) -> Any:
    block.delay.delay.data = values
    block.delay.init = True
    return block


def cases() -> dict[str, tuple[tuple[int, ...], list[Any]]]:
    """(shape of the input, blocks) by name.

    Every block gets a dictionary of its own: Recurrent and Pool write into theirs, and would change
    the blocks that are made from it after them.
    """
    norm = slayer.neuron.norm
    return {
        "dense": ((6,), [BLOCK.Dense({**COMMON}, 6, 8), BLOCK.Dense({**COMMON}, 8, 3)]),
        "unshared": ((6,), [BLOCK.Dense({**UNSHARED}, 6, 8), BLOCK.Dense({**UNSHARED}, 8, 5)]),
        "unshared_conv": ((2, 5, 6), [by_channel(3)]),
        "affine": ((6,), [BLOCK.Dense({**COMMON}, 6, 8), BLOCK.Affine({**COMMON}, 8, 3)]),
        "affine_static": (
            (6,),
            [BLOCK.Dense({**COMMON}, 6, 8), BLOCK.Affine({**COMMON}, 8, 3, dynamics=False)],
        ),
        "average": ((6,), [BLOCK.Dense({**COMMON}, 6, 12), Average(num_outputs=4)]),
        "mean_norm": (
            (6,),
            [
                normalised(norm.MeanOnlyBatchNorm, BLOCK.Dense, COMMON, 6, 8),
                BLOCK.Dense({**COMMON}, 8, 3),
            ],
        ),
        "mean_norm_conv": (
            (2, 6, 5),
            [normalised(norm.MeanOnlyBatchNorm, BLOCK.Conv, COMMON, 2, 3, 3)],
        ),
        "scale_norm": (
            (6,),
            [
                normalised(norm.WgtScaleBatchNorm, BLOCK.Dense, PLAIN, 6, 8),
                BLOCK.Dense({**COMMON}, 8, 3),
            ],
        ),
        "scale_norm_up": (
            (6,),
            [normalised(norm.WgtScaleBatchNorm, BLOCK.Dense, PLAIN | {"threshold": 2.0}, 6, 8)],
        ),
        "scale_norm_current": (
            (6,),
            [normalised(norm.WgtScaleBatchNorm, BLOCK.Dense, COMMON, 6, 8)],
        ),
        "classifier": (
            (2, 7, 6),
            [
                BLOCK.Conv({**COMMON}, 2, 4, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
                BLOCK.Pool({**POOL}, 2, stride=2),
                BLOCK.Flatten(),
                BLOCK.Dense({**COMMON}, 4 * 2 * 3, 12),
                Average(num_outputs=4),
            ],
        ),
        "odd_pool": (
            (2, 6, 5),
            [
                BLOCK.Pool({**POOL}, (2, 2), stride=(2, 2)),
                BLOCK.Flatten(),
                BLOCK.Dense({**COMMON}, 18, 4),
            ],
        ),
        "column_pool": (
            (3, 4, 7),
            [BLOCK.Pool(POOL | {"threshold": 9.0}, (2, 3), stride=(2, 1), padding=(0, 1))],
        ),
        "recurrent": ((6,), [BLOCK.Recurrent({**COMMON}, 6, 8), BLOCK.Dense({**COMMON}, 8, 3)]),
        "delay": (
            (6,),
            [
                delays(BLOCK.Dense({**COMMON}, 6, 8, delay=True), torch.arange(8.0) * 1.25),
                BLOCK.Dense({**COMMON}, 8, 3),
            ],
        ),
        "delay_conv": (
            (2, 5, 5),
            [
                delays(BLOCK.Conv({**COMMON}, 2, 3, 3, delay=True), torch.tensor([0.0, 2.7, 5.0])),
                BLOCK.Flatten(),
                BLOCK.Dense({**COMMON}, 27, 3),
            ],
        ),
        "weight_norm": ((6,), [BLOCK.Dense({**COMMON}, 6, 8, weight_norm=True)]),
        "dilated": ((1, 7, 7), [BLOCK.Conv({**COMMON}, 1, 2, 2, dilation=(2, 3), padding=1)]),
        "high_threshold": (
            (6,),
            [BLOCK.Dense(PLAIN | {"threshold": 64.0, "voltage_decay": 0.0}, 6, 5)],
        ),
        "input": (
            (2, 3, 3),
            [
                BLOCK.Input({**COMMON}, weight=0.75, bias=0.25),
                BLOCK.Flatten(),
                BLOCK.Dense({**COMMON}, 18, 4),
            ],
        ),
    }


def louder(block: Any, factor: float) -> None:
    """Weights at which the layer fires."""
    for module in block.modules():
        if hasattr(module, "weight_g"):
            module.weight_g.data *= factor
        elif isinstance(module, torch.nn.Conv3d) and module.weight.requires_grad:
            module.weight.data *= factor


def rest(block: Any) -> None:
    """States of a recurrent block, which go on from run to run."""
    neuron = getattr(block, "neuron", None)
    for name in ("current_state", "voltage_state"):
        if hasattr(neuron, name):
            setattr(neuron, name, torch.zeros(1))


def record(name: str, shape: tuple[int, ...], blocks: list[Any], folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    spikes = (torch.rand(1, *shape, STEPS) < 0.35).float()
    if name == "input":  # an image, held
        spikes = (torch.rand(1, *shape, 1) * 3).round() / 4
        spikes = spikes.expand(1, *shape, STEPS).contiguous()
    factors = {"recurrent": 1.6, "affine": 3.0, "scale_norm": 9.0, "scale_norm_up": 0.9}
    for block in blocks:
        louder(block, factors.get(name, 4.0))
    if name == "high_threshold":  # whose sums often are the threshold
        blocks[0].synapse.weight.data.fill_(2.0)
    if name == "delay":
        blocks[1].synapse.weight.data.abs_().mul_(0.2)
    with torch.no_grad():
        for _ in range(6):  # statistics of the normalisation
            value = spikes
            for block in blocks:
                value = block(value)
        for block in blocks:
            block.eval()
            rest(block)
        outputs, value = [], spikes
        for block in blocks:
            value = block(value)
            outputs.append(value[0].flatten(0, -2).numpy().T)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        layers = file.create_group("layer")
        for number, block in enumerate(blocks):
            block.export_hdf5(layers.create_group(str(number)))
        file["simulation/Ts"], file["simulation/tSample"] = 1, STEPS
    (folder / f"{name}.net.gz").write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    kept = {f"o{i}": values.astype(np.float32) for i, values in enumerate(outputs)}
    kind = np.float32 if name == "input" else np.uint8
    kept["spikes"] = spikes[0].flatten(0, -2).numpy().T.astype(kind)
    np.savez_compressed(folder / f"{name}.npz", **kept)
    print(name, [f"{values.mean():.3f}" for values in outputs])


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    for seed, (name, (shape, blocks)) in enumerate(cases().items()):
        record(name, shape, blocks, folder, seed)


if __name__ == "__main__":
    main()
