# SPDX-License-Identifier: Apache-2.0
"""A small trained network and its test samples."""

import dataclasses
import functools
from typing import Any

from neurohw import TrainedNetwork
from neurohw.data import Dataset, Encoder, digits
from neurohw.memristor import Device, device_named
from neurohw.noise import Experiment, Scenario

TIMES = (25.0, 3600.0, 86400.0 * 365)


@functools.cache
def trained_digits() -> tuple[TrainedNetwork, Dataset, Encoder]:
    """64-64-10 for the 8x8 digits, two epochs."""
    from neurohw.train import digits_recipe, fit

    recipe, dataset = digits_recipe(), digits()
    return (
        fit(recipe.network, dataset, recipe.encoder, dataclasses.replace(recipe.config, epochs=2)),
        dataset,
        recipe.encoder,
    )


def experiment(
    device: Device | str = "pcm",
    samples: int = 120,
    times: tuple[float, ...] = TIMES,
    **scenario: Any,
) -> Experiment:
    """The digits on a device, read as the scenario's fields say."""
    trained, dataset, encoder = trained_digits()
    device = device_named(device) if isinstance(device, str) else device
    return Experiment(
        trained,
        Scenario(device, **scenario),
        times,
        encoder.encode(dataset.x_test[:samples]),
        dataset.y_test[:samples],
        encoder.encode(dataset.x_validation[:60]),
    )
