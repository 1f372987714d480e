# SPDX-License-Identifier: Apache-2.0
"""Synthesis, place and route, and packing wherever the run lies."""

from pathlib import Path

import numpy as np
import pytest

from neurohw import quantize
from neurohw.hardware.build import build, load_board
from neurohw.hardware.generate import emit
from tests.random_networks import random_network, random_trained


@pytest.mark.synth
@pytest.mark.slow
def test_a_board_in_a_folder_with_a_strange_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    package = emit(quantize(random_trained(rng, random_network(rng, [6, 5, 3]), 8), 6), 2)
    folder = tmp_path / "a run, ü 'q\" $HOME %d #1 & (2); *"
    package.write(folder / "rtl")
    board = load_board("icebreaker")
    result = build(folder / "rtl", board, folder / "build")
    assert Path(result.bitstream).stat().st_size == result.bitstream_bytes > 1000
    assert Path(result.bitstream).is_relative_to(folder)
