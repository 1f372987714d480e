# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest

from neurohw import digest_of, load_quantized, load_trace, load_trained, quantize, run_golden, save
from neurohw.errors import BrokenFile
from neurohw.stimulus import Spikes
from neurohw.trace import first_mismatch
from tests.random_networks import random_stimulus, random_trained


def test_values_survive_saving_and_name_their_parent(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trained = random_trained(rng)
    quantized = quantize(trained)
    trace = run_golden(quantized, Spikes(random_stimulus(rng, trained.network, 5, 3)))
    for value, load, name in (
        (trained, load_trained, "t"),
        (quantized, load_quantized, "q"),
        (trace, load_trace, "r"),
    ):
        assert save(value, tmp_path / name) == digest_of(value) == digest_of(load(tmp_path / name))
    assert load_quantized(tmp_path / "q").parent == digest_of(trained)
    assert first_mismatch(trace, load_trace(tmp_path / "r")) is None


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(random_trained(np.random.default_rng(0)), tmp_path / "model")
    return tmp_path / "model"


def test_truncated_arrays(saved: Path) -> None:
    arrays = saved / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-5])
    with pytest.raises(BrokenFile, match="truncated or unreadable.*delete it"):
        load_trained(saved)


def test_truncated_json(saved: Path) -> None:
    (saved / "value.json").write_text((saved / "value.json").read_text()[:40])
    with pytest.raises(BrokenFile, match="truncated or unreadable"):
        load_trained(saved)


def test_missing_file_is_named(saved: Path) -> None:
    (saved / "arrays.safetensors").unlink()
    with pytest.raises(BrokenFile, match="arrays.safetensors: missing"):
        load_trained(saved)


def test_altered_content_is_noticed(saved: Path) -> None:
    header = json.loads((saved / "value.json").read_text())
    header["fields"]["steps"] += 1
    (saved / "value.json").write_text(json.dumps(header))
    with pytest.raises(BrokenFile, match="does not match its digest"):
        load_trained(saved)


def test_future_version_and_wrong_kind(saved: Path) -> None:
    with pytest.raises(BrokenFile, match="holds a trained network, not a quantized network"):
        load_quantized(saved)
    header = json.loads((saved / "value.json").read_text())
    header["format_version"] = 99
    (saved / "value.json").write_text(json.dumps(header))
    with pytest.raises(
        BrokenFile,
        match=(
            "a trained network of format version 99, this program reads 1; a newer neurohw wrote it"
        ),
    ):
        load_trained(saved)


def test_a_failed_save_leaves_the_old_value(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_trained(saved).digest()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neurohw.storage.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        save(random_trained(np.random.default_rng(1)), saved)
    assert load_trained(saved).digest() == before
    assert [p.name for p in saved.parent.iterdir()] == ["model"]
