# SPDX-License-Identifier: Apache-2.0
"""What the README shows in Python runs as it is printed."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurohw
from neurohw.data.dataset import PARTS
from neurohw.train.recipes import digits_recipe

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_every_block_is_run() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.rtl
@pytest.mark.slow
def test_the_blocks_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, names)
    assert "0 mismatches in" in capsys.readouterr().out
    assert (tmp_path / "runs" / "example" / "rtl" / "manifest.json").exists()


def test_the_astrocyte_needs_no_other_line() -> None:
    names: dict[str, Any] = {}
    exec(BLOCKS[1], names)
    assert names["network"].modulations[0].source == "astrocyte"


def test_resistive_memory_needs_what_the_first_block_made() -> None:
    """With a few samples and without its training, which takes long."""
    recipe, data = digits_recipe(), neurohw.digits()
    few = {
        f"{axis}_{part}": getattr(data, f"{axis}_{part}")[:40] for axis in "xy" for part in PARTS
    }
    data = replace(data, **few)
    config = replace(recipe.config, epochs=1)
    trained = neurohw.fit(recipe.network, data, recipe.encoder, config)
    made: dict[str, Any] = {"trained": trained, "recipe": recipe, "data": data}
    exec(BLOCKS[2], made)
    weight = f"{trained.network.projections[0].name}.weight"
    assert not np.array_equal(made["noisy"].parameters[weight], trained.parameters[weight])
