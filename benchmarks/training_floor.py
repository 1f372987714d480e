# SPDX-License-Identifier: Apache-2.0
"""The least time of a training step on this machine: what no exact method can leave out, at the
ceilings that were measured.

products with spikes (forward, and the gradient of the weights): for every event and target a
    multiply-add that reads 4 bytes of a row from cache; or all
                           pairs at the rate of matrix products, where that is less
gradient by hidden spikes: dense in time; rows x targets x sources multiply-adds for every
    projection that starts in a hidden population
memory:                    the stimulus is read once, a byte each, and the spikes and the membrane
                           of every hidden neuron and step are written once and read once
"""

from collections.abc import Mapping, Sequence

from training_workload import Workload


def floor_seconds(
    workload: Workload, rates: Sequence[float], ceilings: Mapping[str, float]
) -> dict[str, float]:
    """Seconds by part;

    rates: firing of both hidden populations in a step;
    ceilings: `machine_ceilings.ceilings` for the threads of the workload.
    """
    rows, width = workload.steps * workload.batch, workload.width
    fast = max(ceilings["large_product"], ceilings["layer_product"])
    projections = [
        (workload.inputs, width, workload.density),
        (width, width, rates[0]),
        (width, workload.classes, rates[1]),
    ]
    if workload.recurrent:
        projections.append((width, width, rates[0]))
    pairs = [rows * source * target for source, target, _ in projections]
    by_events = [
        2 * n * rate * 4 / ceilings["cache"]
        for n, (_, _, rate) in zip(pairs, projections, strict=True)
    ]
    by_products = [2 * n / fast for n in pairs]
    states = rows * (workload.inputs + 4 * 2 * 2 * 2 * width)
    return {
        "products with spikes": sum(map(min, by_events, by_products)),
        "gradient by hidden spikes": sum(pairs[1:]) / fast,
        "memory": states / ceilings["copy"],
    }
