# SPDX-License-Identifier: Apache-2.0
"""The same inference in numba, for golden_inference.py, which runs this in an environment that has
it: FOLDER REPEATS.

Event driven, a sample at a time, samples in parallel. Numbers of 16 bits, which hold all of them
but the output's; rows of 8-bit weights, and of 16-bit ones, of which the faster counts.
"""

import json
import sys
import time
from pathlib import Path

import numba
import numpy as np


@numba.njit(error_model="numpy")
def layer(sent, count, weights, total):
    total[:] = 0
    for e in range(count):
        j = np.uint32(sent[e])  # unsigned: no wrapping of negative places
        for i in range(total.shape[0]):
            total[i] += weights[j, i]


@numba.njit(inline="always")
def fire(total, v, threshold, shift, sent):
    count = 0
    for i in range(v.size):
        v[i] = v[i] - (v[i] >> shift) + total[i]
    for i in range(v.size):
        if v[i] >= threshold[i]:
            v[i] -= threshold[i]
            sent[count] = i
            count += 1
    return count


@numba.njit(parallel=True, fastmath=True)
def infer(spikes, w0, w1, w2, t0, t1, shift, scores):
    for s in numba.prange(spikes.shape[1]):
        inputs, a, b = (
            np.empty(w0.shape[0], np.int32),
            np.empty(w0.shape[1], np.int32),
            np.empty(w1.shape[1], np.int32),
        )
        v0, v1 = np.zeros(w0.shape[1], np.int16), np.zeros(w1.shape[1], np.int16)
        total0, total1, total2 = (
            np.zeros_like(v0),
            np.zeros_like(v1),
            np.zeros(w2.shape[1], np.int16),
        )
        for t in range(spikes.shape[0]):
            row = spikes[t, s]
            count = 0
            # without a jump: the place is written, and kept if it is a spike
            for j in range(row.size):
                inputs[count] = j
                count += row[j] != 0
            layer(inputs, count, w0, total0)
            count = fire(total0, v0, t0, shift, a)
            layer(a, count, w1, total1)
            count = fire(total1, v1, t1, shift, b)
            layer(b, count, w2, total2)
            for i in range(total2.size):
                scores[s, i] += total2[i]


def main() -> None:
    folder, repeats = Path(sys.argv[1]), int(sys.argv[2])
    model, spikes = np.load(folder / "model.npz"), np.load(folder / "spikes.npy")
    scores = np.zeros((spikes.shape[1], model["w2"].shape[1]), np.int64)
    best = None
    for dtype in (np.int8, np.int16):
        weights = [np.ascontiguousarray(model[f"w{k}"], dtype) for k in range(3)]
        thresholds = [model[f"t{k}"].astype(np.int16) for k in range(2)]
        seconds = []
        for _ in range(repeats + 1):
            scores[:] = 0
            start = time.perf_counter()
            infer(spikes, *weights, *thresholds, np.int16(model["shift"]), scores)
            seconds.append(time.perf_counter() - start)
        if best is None or np.median(seconds[1:]) < np.median(best):  # the first is compilation
            best = seconds[1:]
    np.save(folder / "scores.npy", scores)
    versions = f"numba {numba.__version__} with numpy {np.__version__}"
    (folder / "result.json").write_text(json.dumps({"seconds": best, "versions": versions}))


if __name__ == "__main__":
    main()
