# SPDX-License-Identifier: Apache-2.0
"""A small spiking CNN on digits: trained, quantized, and in RTL without a mismatch on the whole
test split.
"""

import dataclasses
from pathlib import Path

import pytest

from neurohw import quantize, run_reference
from neurohw.data import digits
from neurohw.golden.native import run_native
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.readout import accuracy, scores
from neurohw.train import fit
from neurohw.train.recipes import recipe_named


@pytest.mark.rtl
def test_a_cnn_reaches_the_rtl(tmp_path: Path) -> None:
    recipe, dataset = recipe_named("digits-cnn"), digits()
    config = dataclasses.replace(recipe.config, epochs=12)
    trained = fit(
        recipe.network, dataset, recipe.encoder, config, tmp_path / "run", lambda *_: None
    )
    x, labels = dataset.part("test")
    spikes = recipe.encoder.encode(x)
    floating = accuracy(scores(run_reference(trained, spikes), trained.network), labels)
    model = quantize(trained, 8)
    golden = accuracy(scores(run_native(model, spikes), model.network), labels)
    assert floating > 0.9 and abs(golden - floating) < 0.04
    emit(model, lanes=8).write(tmp_path / "rtl")
    result = verify(tmp_path / "rtl", model, spikes, states=True)
    assert result.mismatches == 0 and result.samples == 450
    assert result.states_compared > 450 * 4 * 3 * 1000
    assert accuracy(result.scores, labels) == golden
