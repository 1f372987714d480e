# SPDX-License-Identifier: Apache-2.0
"""Seals: files stay readable by their own readers, and say kind and change."""

import io
import json
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from neurohw.ownership import seal, seal_json, why_not_file


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def hdf5(buffer: io.BytesIO) -> None:
    with h5py.File(buffer, "w") as file:
        file["a"] = np.arange(3)


CONTENTS = {
    "npz": (saved(lambda buffer: np.savez_compressed(buffer, a=np.arange(3))), "arrays"),
    "pt": (saved(lambda buffer: torch.save({"a": torch.arange(3)}, buffer)), "checkpoint"),
    "h5": (saved(hdf5), "nir"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "picture"),
    "py": (b"a = 3\n", "script"),
}


@pytest.mark.parametrize("suffix", CONTENTS)
def test_a_sealed_file_is_read_as_before(suffix: str, tmp_path: Path) -> None:
    content, kind = CONTENTS[suffix]
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(seal(content, kind))
    match suffix:
        case "npz":
            with np.load(path, allow_pickle=False) as file:
                assert file.files == ["a"] and file["a"].tolist() == [0, 1, 2]
        case "pt":
            assert torch.load(path, weights_only=True)["a"].tolist() == [0, 1, 2]
        case "h5":
            with h5py.File(path) as file:
                assert file["a"][:].tolist() == [0, 1, 2]
        case "svg":
            assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg")
        case "py":
            found: dict[str, object] = {}
            exec(path.read_text(), found)
            assert found["a"] == 3


@pytest.mark.parametrize("suffix", CONTENTS)
def test_a_seal_tells_ours_from_changed_from_foreign(suffix: str, tmp_path: Path) -> None:
    content, kind = CONTENTS[suffix]
    path = tmp_path / f"file.{suffix}"
    whole = seal(content, kind)
    path.write_bytes(whole)
    assert why_not_file(path, kind) is None
    assert "not a report" in str(why_not_file(path, "report"))
    for at in (0, len(content) // 2, len(content) - 4):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert why_not_file(path, kind) == "it was changed since neurohw wrote it"
    for other in (content, whole + b"more", whole[:-3], b""):
        path.write_bytes(other)
        assert why_not_file(path, kind) == "it carries no seal of neurohw, so it may be yours"
    assert why_not_file(tmp_path / "absent", kind) is None


def sealed(**fields: object) -> str:
    return json.dumps(seal_json(fields))


def test_json_says_its_kind_itself(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    changed = "it was changed since neurohw wrote it"
    no_seal = "it carries no seal of neurohw, so it may be yours"
    for text, reason in (
        (sealed(format_version=1, kind="report"), None),  # an older one is ours, too
        (sealed(format_version=1, kind="build"), "it is a report of builds, not a report"),
        (sealed(format_version=1, kind="report")[:-1] + ', "a": 1}', changed),
        (sealed(format_version=1, kind="report")[:-1] + ', "a": NaN}', changed),
        ('{"format_version": 1, "kind": "report"}', no_seal),
        (sealed(kind="report"), no_seal),
        (sealed(format_version=1, kind="thesis"), no_seal),
        ("[" * 100_000, no_seal),
    ):
        path.write_text(text)
        assert why_not_file(path, "report") == reason
