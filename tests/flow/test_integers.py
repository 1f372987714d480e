# SPDX-License-Identifier: Apache-2.0
"""What the quantize stage measures beside the accuracy."""

import dataclasses

import numpy as np

from neurohw import Lif, feed_forward, quantize, run_golden
from neurohw.data import Encoder, digits
from neurohw.fixedpoint import IntFormat
from neurohw.flow.integers import CALIBRATION_SAMPLES, SaturationCount, calibration_stimulus
from tests.random_networks import random_stimulus, random_trained


def test_calibration_data_are_the_first_training_samples() -> None:
    dataset, encoder = digits(seed=0), Encoder("phase", steps=4, offset=0.5)
    found = calibration_stimulus(dataset, encoder)
    assert found.counts.shape == (4, CALIBRATION_SAMPLES, 64)
    every = encoder.encode(dataset.samples("train"))
    assert np.array_equal(found.counts, every.counts[:, :CALIBRATION_SAMPLES])


def test_saturations_of_several_runs_add_up() -> None:
    rng = np.random.default_rng(0)
    network = feed_forward([6, 5], output=Lif(0.5))
    model = quantize(random_trained(rng, network, 9), 8, membrane_cap=6, max_count=3)
    parts = [random_stimulus(rng, network, 9, n, 3) for n in (3, 4)]
    counting = SaturationCount(run_golden)
    counts = [counting.run(model, part).saturations["output"] for part in parts]
    assert sum(counts) > 0
    assert counting.to_json() == {"output": {"saturated": sum(counts), "updates": 9 * 7 * 5}}
    wide = {"output": dataclasses.replace(model.populations["output"], membrane=IntFormat(40))}
    silent = SaturationCount(run_golden)
    silent.run(dataclasses.replace(model, populations=wide), parts[0])
    assert silent.to_json()["output"]["saturated"] == 0
