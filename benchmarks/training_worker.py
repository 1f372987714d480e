# SPDX-License-Identifier: Apache-2.0
"""What every framework's worker does: build its network from the common arrays, then time training
steps or return losses, as one line of JSON.

A worker `training_<framework>.py` runs in its framework's environment, imports nothing of ours but
this file and `training_workload`, and calls `main(build)`. Its argument is a JSON object: `inputs`
(file of `training_workload.save`), `threads`, `double` (float64), `losses` (how many steps to
return the losses of; 0: time), `least` and `seconds` (timed steps: as many as last `seconds`, at
least `least`), and options of the worker.
"""

import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from training_workload import spikes_of

WARM_UP = 2


@dataclass
class Built:
    """A network: its parameters, scores [sample, class] of a stimulus, what brings the stimulus
    [time, sample, input] into its order of axes before anything is timed, and its package.
    """

    parameters: list[Tensor]
    scores: Callable[[Tensor], Tensor]
    package: str
    prepare: Callable[[Tensor], Tensor] = lambda spikes: spikes


Build = Callable[[dict[str, Any], torch.dtype, dict[str, Any]], Built]


def linear(weight: Tensor, bias: bool = True) -> nn.Linear:
    """A layer with that weight and biases of 0, or without."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias:
            layer.bias.zero_()
    return layer


def _status(field: str) -> int:
    """A line of /proc/self/status in bytes."""
    line = next(
        x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field)
    )
    return 1024 * int(line.split()[1])


def _forget_peak() -> bool:
    """Let the kernel take the memory held now for the most that was ever held;

    False where it does not.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return abs(_status("VmHWM") - _status("VmRSS")) < 1 << 20
    except (OSError, StopIteration):
        return False


def _busy() -> float | None:
    """Seconds that all processors of the machine were busy since it started;

    None where the system does not say.
    """
    try:
        user, nice, system, _, _, *interrupts = map(
            int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        )
    except (OSError, ValueError):
        return None
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _times(work: Callable[[], object], least: int, seconds: float) -> dict[str, list[float]]:
    """Wall and processor times of calls."""
    found: dict[str, list[float]] = {"wall": [], "process": []}
    while len(found["wall"]) < least or sum(found["wall"]) < seconds:
        wall, process = time.perf_counter(), time.process_time()
        work()
        found["wall"].append(time.perf_counter() - wall)
        found["process"].append(time.process_time() - process)
    return found


def main(build: Build) -> None:
    """Do what the argument says, and print the result."""
    options = json.loads(sys.argv[1])
    torch.set_num_threads(options["threads"])
    dtype = torch.float64 if options["double"] else torch.float32
    with np.load(options["inputs"]) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    weights = {
        k: torch.from_numpy(v).to(dtype)
        for k, v in arrays.items()
        if k in ("w1", "w2", "w3", "recurrent")
    }
    built = build(weights, dtype, options)
    spikes = built.prepare(torch.from_numpy(spikes_of(arrays)).to(dtype)).contiguous()
    labels = torch.from_numpy(arrays["labels"])
    del arrays
    optimizer = torch.optim.Adam(built.parameters, lr=1e-3 if options["losses"] else 0.0)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(built.scores(spikes), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    def infer() -> None:
        with torch.no_grad():
            built.scores(spikes)

    result: dict[str, Any] = {
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "numpy", built.package)
        }
    }
    if options["losses"]:
        print(json.dumps(result | {"losses": [step() for _ in range(options["losses"])]}))
        return
    measurable = _forget_peak()
    idle, begin = _status("VmRSS"), time.perf_counter()
    first = step()
    result["first_seconds"] = time.perf_counter() - begin  # with whatever is compiled and loaded
    for _ in range(WARM_UP - 1):
        step()
    peak = (
        _status("VmHWM")
        if measurable
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    result["memory"] = peak - idle if measurable else None
    result["loss"] = first
    busy, begin, own = _busy(), time.perf_counter(), time.process_time()
    result["step"] = _times(step, options["least"], options["seconds"])
    infer()
    result["forward"] = _times(infer, options["least"], options["seconds"] / 3)
    own, begin = time.process_time() - own, time.perf_counter() - begin
    after = _busy()
    # processors that were busy with something else while this was timed
    result["others"] = (
        None if busy is None or after is None else max(0.0, (after - busy - own) / begin)
    )
    print(json.dumps(result))
