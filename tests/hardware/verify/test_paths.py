# SPDX-License-Identifier: Apache-2.0
"""Make splits paths at blanks: a package is verified wherever it lies."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from neurohw import quantize
from neurohw.errors import NeurohwError
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.hardware.verify.harness import build_harness
from tests.random_networks import random_network, random_stimulus, random_trained

pytestmark = pytest.mark.rtl
STRANGE = "a run, ü 'q\" $HOME %d #1 & (2); *"


def test_a_package_in_a_folder_with_a_strange_name(tmp_path: Path) -> None:
    """Equal there and in a copy elsewhere, which needs no second build."""
    rng = np.random.default_rng(5)
    trained = random_trained(rng, random_network(rng, [6, 5, 3]), 8)
    model = quantize(trained, 6)
    spikes = random_stimulus(rng, trained.network, 8, 10)
    folder = tmp_path / STRANGE
    emit(model, 2).write(folder / "rtl")
    result = verify(folder / "rtl", model, spikes, states=True, optimize=False)
    assert result.mismatches == 0 and result.spikes_compared > 0
    (program,) = (folder / "rtl.sim").glob("*/Vnhw_network")
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    before = next(moved.glob("rtl.sim/*/Vnhw_network")).stat().st_mtime_ns
    assert verify(moved / "rtl", model, spikes, optimize=False).mismatches == 0
    assert (
        next(moved.glob("rtl.sim/*/Vnhw_network")).stat().st_mtime_ns == before
        and not program.exists()
    )


def test_no_place_to_build_in_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    model = quantize(random_trained(rng, random_network(rng, [6, 5, 3]), 8), 6)
    folder = tmp_path / "a blank"
    emit(model, 2).write(folder / "rtl")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(NeurohwError, match="set TMPDIR to a folder with only letters, digits"):
        build_harness(folder / "rtl", folder / "sim", optimize=False)
    assert list((folder / "sim").iterdir()) == []
