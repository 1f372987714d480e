# SPDX-License-Identifier: Apache-2.0
"""The data of a run."""

import numpy as np
from numpy.typing import NDArray

from neurohw.data import Dataset, Encoder, digits, load, read_counts, shd, spoken_digits, ssc
from neurohw.errors import InvalidData
from neurohw.flow.config import RunConfig
from neurohw.flow.liquid_data import prepared
from neurohw.flow.run_folder import RunFolder
from neurohw.stimulus import Spikes
from neurohw.train.recipes import recipe_named


def load_data(config: RunConfig) -> Dataset:
    """The dataset of a run; InvalidData if the recipe needs a path that was not given."""
    dataset = _load_data(config)
    return dataset if config.liquid is None else prepared(dataset, config.liquid, config.seed)


def _load_data(config: RunConfig) -> Dataset:
    recipe = recipe_named(config.recipe)
    if config.data is None:
        if recipe.dataset == "digits":
            return digits(seed=config.seed)
        raise InvalidData(
            f"recipe {config.recipe!r} needs --data with the folder or file of its dataset"
        )
    steps = recipe.encoder.steps
    match recipe.dataset:
        case "spoken-digits":
            return spoken_digits(config.data, steps=steps, seed=config.seed)
        case "shd":
            return shd(config.data, steps=steps, seed=config.seed)
        case "ssc":
            return ssc(config.data, steps=steps)
        case "speech-commands":
            return read_counts(config.data)
    return load(config.data, seed=config.seed)


def encode_test(dataset: Dataset, encoder: Encoder) -> tuple[Spikes, NDArray[np.int64]]:
    """The encoded test split and its labels."""
    return encoder.encode(dataset.samples("test")), dataset.y_test


def run_test_split(run: RunFolder) -> tuple[Spikes, NDArray[np.int64]]:
    """The encoded test split of a run and its labels.

    Raises InvalidData if the data are not those of the training.
    """
    dataset = load_data(run.config)
    trained = run.need("train")
    if dataset.digest() != trained["dataset_digest"]:
        raise InvalidData(
            f"{run.path}: the data are not those of the training; run `{run.command('train')}`, "
            "or give those with --data"
        )
    return encode_test(dataset, Encoder.from_json(trained["encoder"]))
