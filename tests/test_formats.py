# SPDX-License-Identifier: Apache-2.0
"""Format versions: one for each kind, refused by name, and told in the documentation."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from neurohw import Lif, feed_forward, load_quantized, quantize, save
from neurohw.errors import BrokenFile
from neurohw.formats import FORMATS, check_format
from neurohw.hardware.generate import RtlPackage, emit
from tests.random_networks import random_trained

MODEL = quantize(random_trained(np.random.default_rng(0), feed_forward([9, 7, 3], Lif())))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_other_version_is_refused_by_name_with_what_makes_it_again(kind: str) -> None:
    known = FORMATS[kind]
    check_format("there", kind, known.version)
    for other in (known.version - 1, known.version + 1, None, "1", 1.0, True):
        with pytest.raises(BrokenFile) as error:
            check_format("there", kind, other)
        text = str(error.value)
        assert text.startswith(
            f"there: {known.name} of format version {other}, this program reads {known.version}"
        )
        assert known.again in text and ("update neurohw" in text) == (other == known.version + 1)


def test_a_quantized_model_and_a_package_of_the_last_release_are_refused_by_name(
    tmp_path: Path,
) -> None:
    """Both were of version 1 there; a package said so in manifest.json, a model in value.json."""
    save(MODEL, tmp_path / "model")
    emit(MODEL).write(tmp_path / "rtl")
    for file in (tmp_path / "model" / "value.json", tmp_path / "rtl" / "manifest.json"):
        value = json.loads(file.read_text())
        assert value["format_version"] == 2
        del value["sha256"]  # which came later
        file.write_text(json.dumps({**value, "format_version": 1}))
    with pytest.raises(
        BrokenFile, match="model: a quantized network of format version 1.*`neurohw quantize`"
    ):
        load_quantized(tmp_path / "model")
    with pytest.raises(BrokenFile, match="rtl: an RTL package of format version 1.*`neurohw emit`"):
        RtlPackage.load(tmp_path / "rtl")
    save(MODEL, tmp_path / "model")  # what makes it again may replace it
    emit(MODEL).write(tmp_path / "rtl")
    assert (
        load_quantized(tmp_path / "model").network == MODEL.network
        and RtlPackage.load(tmp_path / "rtl").digest()
    )


def test_the_documentation_tells_kinds_and_versions() -> None:
    """The table of docs/files.md: kind, version, marker of a folder."""
    text = (Path(__file__).parents[1] / "docs" / "files.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| (\d+) \| ([^|]*) \|$", text, re.MULTILINE)
    told = {kind: (int(version), marker.strip(" `")) for kind, version, marker in rows}
    assert told == {kind: (f.version, f.marker or "") for kind, f in FORMATS.items()}
