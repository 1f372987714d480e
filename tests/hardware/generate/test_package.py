# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Lif, digest_of, feed_forward, quantize
from neurohw.connections import Synapses
from neurohw.errors import BrokenFile, CannotWrite
from neurohw.hardware.generate import RtlPackage, emit
from neurohw.hardware.generate.layout import Layout, compressed_rows, dense_rows
from neurohw.hardware.generate.pack import read_weight_images, weight_images, word_text
from neurohw.paths import rtl_folder
from tests.random_networks import random_trained

GROUPS = {"UPDATE_LANES": 1, "COMPRESSED": 0, "SHARED_DELAYS": 0}


@pytest.fixture
def package() -> RtlPackage:
    return emit(
        quantize(random_trained(np.random.default_rng(0), feed_forward([9, 7, 3], Lif()))), lanes=4
    )


def test_words_by_hand() -> None:
    """4-bit -1 is f, 3 is 3; the first value lies lowest; the width is padded to whole digits."""
    assert word_text([3, -1], 4, 8) == "f3"
    assert word_text([1, -2], 3, 6) == "31"


@pytest.mark.parametrize(
    ("neurons", "inputs", "lanes", "bits", "bank"),
    [(7, 5, 4, 3, 4), (1, 1, 1, 2, 1024), (33, 70, 32, 4, 64), (10, 6, 2, 8, 8)],
)
def test_images_hold_every_weight(
    neurons: int, inputs: int, lanes: int, bits: int, bank: int
) -> None:
    weight = np.random.default_rng(1).integers(
        -(1 << (bits - 1)), 1 << (bits - 1), (neurons, inputs)
    )
    place = Layout(tuple(range(neurons)), lanes)
    parameters = {
        "LANES": lanes,
        "WEIGHT_BITS": bits,
        "BANK_ROWS": bank,
        "WEIGHT_FILE": "w_",
        "SLOTS": 1,
        **GROUPS,
    }
    files = weight_images([dense_rows(weight, place)], parameters)
    assert len(files) == -(-inputs * place.groups // bank)
    read = read_weight_images(files, parameters)["weights"].reshape(inputs, place.groups * lanes)
    assert np.array_equal(read.T[:neurons], weight) and not read.T[neurons:].any()


@pytest.mark.parametrize("shared", [0, 1])
def test_images_hold_every_delay_beside_its_weight(shared: int) -> None:
    rng = np.random.default_rng(2)
    weight, delay = rng.integers(-8, 8, (7, 5)), rng.integers(0, 6, (1 if shared else 7, 5))
    place = Layout(tuple(range(7)), 3)
    parameters = {
        "LANES": 3,
        "WEIGHT_BITS": 4,
        "BANK_ROWS": 1024,
        "WEIGHT_FILE": "w_",
        "SLOTS": 8,
        **GROUPS,
        "SHARED_DELAYS": shared,
    }
    files = weight_images([dense_rows(weight, place, delay)], parameters)
    assert len(files["w_00.hex"].split()[0]) == -(-(3 * 4 + (1 if shared else 3) * 3) // 4)
    read = read_weight_images(files, parameters)
    assert set(read) == {"weights", "delays"}
    weights, delays = (
        np.broadcast_to(a, (15, 3)).reshape(5, 9).T[:7] for a in (read["weights"], read["delays"])
    )
    assert np.array_equal(weights, weight)
    there = weight != 0
    assert np.array_equal(delays[there], np.broadcast_to(delay, weight.shape)[there])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_images_of_compressed_rows_hold_every_synapse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources, neurons, lanes, update, slots = (int(rng.integers(1, n)) for n in (7, 12, 6, 5, 9))
    count = int(rng.integers(0, 60))  # pairs may come twice
    found = Synapses(
        rng.integers(0, neurons, count),
        rng.integers(0, sources, count),
        np.arange(count),
        rng.integers(0, slots, count),
    )
    values = rng.integers(-8, 8, count)
    parameters = {
        "LANES": lanes,
        "UPDATE_LANES": update,
        "NEURONS": neurons,
        "WEIGHT_BITS": 4,
        "BANK_ROWS": 4,
        "WEIGHT_FILE": "w_",
        "SLOTS": 1 << (slots - 1).bit_length(),
        "SHARED_DELAYS": 0,
        "COMPRESSED": 1,
    }
    rows = compressed_rows(found, values, sources, lanes)
    read = read_weight_images(weight_images([rows], parameters), parameters)
    read.setdefault("delays", np.zeros_like(read["weights"]))
    matrices = np.zeros((2, slots, neurons, sources), np.int64)
    np.add.at(matrices[0], (found.delay, found.target, found.source), values)
    first_bits = max(1, (rows.parameters["ROWS"] - 1).bit_length())
    for source, word in enumerate(rows.tables["SOURCE_FILE"]):
        number, first = word >> first_bits, word & (1 << first_bits) - 1
        assert number == -(-np.count_nonzero(values[found.source == source]) // lanes)
        own = slice(first, first + number)
        np.add.at(
            matrices[1, :, :, source],
            (read["delays"][own], read["targets"][own]),
            read["weights"][own],
        )
    assert np.array_equal(matrices[0], matrices[1])


def test_emission_is_byte_identical(package: RtlPackage) -> None:
    again = emit(
        quantize(random_trained(np.random.default_rng(0), feed_forward([9, 7, 3], Lif()))), lanes=4
    )
    assert again.files == package.files


def test_package_names_its_model(package: RtlPackage) -> None:
    model = quantize(random_trained(np.random.default_rng(0), feed_forward([9, 7, 3], Lif())))
    assert package.manifest["parent"] == digest_of(model)
    assert f"256'h{digest_of(model)}" in package.files["nhw_network_pkg.sv"].decode()


def test_written_package_is_checked(package: RtlPackage, tmp_path: Path) -> None:
    package.write(tmp_path / "rtl")
    assert RtlPackage.load(tmp_path / "rtl").digest() == package.digest()
    image = tmp_path / "rtl" / "hidden1_parameters.hex"
    image.write_bytes(image.read_bytes()[:-3])
    with pytest.raises(BrokenFile, match="hidden1_parameters.hex: altered or truncated"):
        RtlPackage.load(tmp_path / "rtl")
    image.unlink()
    with pytest.raises(BrokenFile, match="hidden1_parameters.hex: missing"):
        RtlPackage.load(tmp_path / "rtl")
    (tmp_path / "rtl" / "manifest.json").write_text("{")
    with pytest.raises(BrokenFile, match="manifest.json: missing or truncated"):
        RtlPackage.load(tmp_path / "rtl")


def test_a_file_that_the_user_put_into_a_package_is_not_lost(
    package: RtlPackage, tmp_path: Path
) -> None:
    """`emit --run .` deleted a user's rtl/mine.sv."""
    package.write(tmp_path / "rtl")
    package.write(tmp_path / "rtl")
    (tmp_path / "rtl" / "mine.sv").write_text("module mine; endmodule")
    with pytest.raises(CannotWrite, match=r"rtl: it holds mine\.sv, which neurohw did not write"):
        package.write(tmp_path / "rtl")
    assert (tmp_path / "rtl" / "mine.sv").read_text() == "module mine; endmodule"
    assert RtlPackage.load(tmp_path / "rtl").digest() == package.digest()
    package.write(tmp_path / "rtl", force=True)
    assert sorted(p.name for p in (tmp_path / "rtl").iterdir()) == sorted(package.files)


def test_a_file_that_the_user_has_changed_in_a_package_is_not_lost(
    package: RtlPackage, tmp_path: Path
) -> None:
    package.write(tmp_path / "rtl")
    (tmp_path / "rtl" / "nhw_network.sv").write_text("module nhw_network; endmodule  // an idea")
    with pytest.raises(
        CannotWrite, match=r"rtl: it holds nhw_network\.sv, changed since neurohw wrote it"
    ):
        package.write(tmp_path / "rtl")
    assert (tmp_path / "rtl" / "nhw_network.sv").read_text().endswith("an idea")
    (tmp_path / "rtl" / "nhw_network.sv").write_text("")  # of an empty one there is nothing to lose
    (tmp_path / "rtl" / "nhw_network_pkg.sv").unlink()
    package.write(tmp_path / "rtl")
    assert RtlPackage.load(tmp_path / "rtl").digest() == package.digest()


def test_a_package_with_a_truncated_manifest_is_written_again(
    package: RtlPackage, tmp_path: Path
) -> None:
    package.write(tmp_path / "rtl")
    for left in ("", "{", package.files["manifest.json"].decode()[:200]):
        (tmp_path / "rtl" / "manifest.json").write_text(left)
        package.write(tmp_path / "rtl")
        assert RtlPackage.load(tmp_path / "rtl").digest() == package.digest()
    (tmp_path / "rtl" / "manifest.json").write_text("{")
    (tmp_path / "rtl" / "mine.sv").write_text("module mine; endmodule")
    with pytest.raises(CannotWrite, match=r"rtl: it holds mine\.sv"):
        package.write(tmp_path / "rtl")


def test_the_cores_of_a_checkout_are_never_replaced(
    package: RtlPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the README, run in a checkout, wrote its package over `rtl/`: 41 files became
    32.
    """
    before = {p.name: p.read_bytes() for p in rtl_folder().iterdir()}
    monkeypatch.chdir(rtl_folder().parent)
    for force in (False, True):
        with pytest.raises(CannotWrite, match="rtl: it is or holds the program's own sources"):
            package.write("rtl", force)
    assert {p.name: p.read_bytes() for p in rtl_folder().iterdir()} == before
