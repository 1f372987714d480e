# SPDX-License-Identifier: Apache-2.0
"""Every block that SLAYER 0.6.0 exports, against its own recording (`record_slayer.py`): 0
mismatches.

Right values are what lava-dl's blocks gave themselves, block by block.
"""

import gzip
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from neurohw import Integrator, QuantizedNetwork, first_mismatch, run_golden
from neurohw.errors import Unsupported
from neurohw.golden.inference import infer
from neurohw.golden.native import run_native
from neurohw.interop import import_model
from neurohw.interop.lavadl import encode_input, from_lavadl
from tests.shared_data import shared_data

DATA = Path(__file__).parents[1] / "data" / "lavadl"
IMAGES = {
    "unshared_conv": (2, 5, 6),
    "mean_norm_conv": (2, 6, 5),
    "classifier": (2, 7, 6),
    "odd_pool": (2, 6, 5),
    "column_pool": (3, 4, 7),
    "delay_conv": (2, 5, 5),
    "dilated": (1, 7, 7),
}
CASES = [
    "dense",
    "unshared",
    "mean_norm",
    "scale_norm",
    "scale_norm_up",
    "recurrent",
    "delay",
    "weight_norm",
    "average",
    *IMAGES,
]


def unpacked(name: str, folder: Path) -> Path:
    path = folder / f"{name}.net"
    path.write_bytes(gzip.decompress((DATA / f"{name}.net.gz").read_bytes()))
    return path


def recorded(name: str) -> dict[str, NDArray[Any]]:
    with np.load(DATA / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def late_by(path: Path) -> list[int]:
    """Steps by which the recording shows each block later: one for every block that has spikes."""
    with h5py.File(path, "r") as file:
        kinds = [file[f"layer/{i}/type"][()][0] for i in range(len(file["layer"]))]
    return [
        int(sum(k not in (b"flatten", b"average") for k in kinds[: i + 1]))
        for i in range(len(kinds))
    ]


def compare(model: QuantizedNetwork, data: dict[str, NDArray[Any]], late: list[int]) -> int:
    """Spikes of the recording that are not the model's; delayed layers are seen by what follows
    them.
    """
    trace = run_golden(model, data["spikes"][:, None])
    assert first_mismatch(trace, run_native(model, data["spikes"][:, None])) is None
    wrong, fired = 0, 0
    for population in model.network.populations[1:]:
        number = int(population.name.removeprefix("layer"))
        expected, shift = data[f"o{number}"], late[number]
        into = [p for p in model.network.projections if p.source == population.name]
        if any(p.max_delay is not None for p in into) or not population.neuron.spiking:
            continue
        ours = trace.spikes[population.name][: len(expected) - shift, 0]
        wrong += int(np.count_nonzero(ours != expected[shift:]))
        fired += int(expected.sum())
        assert not expected[:shift].any()
    assert fired >= 10
    return wrong


@pytest.mark.parametrize("name", CASES)
def test_a_block_gives_slayers_own_spikes(name: str, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path)
    model = from_lavadl(path, input_shape=IMAGES.get(name))
    assert compare(model, recorded(name), late_by(path)) == 0


def test_an_affine_readout_holds_slayers_voltage_and_answers_as_it_does(tmp_path: Path) -> None:
    """Its threshold is 2^18 - 1: spikes off. SLAYER returns the voltage, in units of 4096 here."""
    for name, decay in (("affine", 1 - 410 / 4096), ("affine_static", 0.0)):
        data = recorded(name)
        model = from_lavadl(unpacked(name, tmp_path))
        neuron = model.network.output.neuron
        assert isinstance(neuron, Integrator) and neuron.decay == decay
        trace = run_golden(model, data["spikes"][:, None])
        voltage = trace.states["v.layer1"][:-1, 0] / 4096
        assert np.array_equal(voltage, data["o1"][1:])  # the hidden layer is one step late
        assert infer(model, data["spikes"][:-1, None])[0].argmax() == data["o1"][-1].argmax()


def test_an_average_sums_what_slayer_averages(tmp_path: Path) -> None:
    for name, width, number in (("average", 3, 1), ("classifier", 3, 4)):
        data = recorded(name)
        model = from_lavadl(unpacked(name, tmp_path), input_shape=IMAGES.get(name))
        assert isinstance(model.network.output.neuron, Integrator)
        trace = run_golden(model, data["spikes"][:, None])
        late = late_by(tmp_path / f"{name}.net")[number]
        sums = trace.states[f"v.layer{number}"][:-late, 0]
        assert np.array_equal(sums, np.round(data[f"o{number}"][late:] * width)) and sums.any()


def test_the_epsilon_of_slayer_is_lost_at_high_thresholds(tmp_path: Path) -> None:
    """vThMant 4096: 64 + 0.01 / 4096 is 64 in float32, so that SLAYER on a CPU fires at the
    threshold.
    """
    path = unpacked("high_threshold", tmp_path)
    assert compare(from_lavadl(path, strict=False), recorded("high_threshold"), late_by(path)) == 0
    assert compare(from_lavadl(path), recorded("high_threshold"), late_by(path)) > 0


def test_a_weight_exponent_with_a_decaying_current_is_refused(tmp_path: Path) -> None:
    path = unpacked("scale_norm_current", tmp_path)
    with pytest.raises(Unsupported, match=r"layer 0: neuron/weight_exp 1 with iDecay 1229"):
        from_lavadl(path)


def test_an_input_layer_encodes_an_image(tmp_path: Path) -> None:
    """Its constants decay a current, too. Weight 48 and bias 16 are 0.75 and 0.25 in
    sixty-fourths.
    """
    path, data = unpacked("input", tmp_path), recorded("input")
    pixels = data["spikes"][0].reshape(2, 3, 3)
    spikes = encode_input(path, np.round(pixels * 48 + 16).astype(np.int64), len(data["spikes"]))
    assert np.array_equal(spikes[:-1, 0], data["o0"][1:]) and data["o0"].any()
    model = from_lavadl(path)
    trace = run_golden(model, spikes)
    assert np.array_equal(trace.spikes["layer2"][:-2, 0], data["o2"][2:])


def test_a_file_that_starts_with_a_convolution_needs_the_shape_of_its_input(tmp_path: Path) -> None:
    path = unpacked("classifier", tmp_path)
    with pytest.raises(
        Unsupported, match="layer 0: a network that starts with 'conv'.*--input-shape"
    ):
        import_model(str(path))
    model = import_model(str(path), input_shape=(2, 7, 6))
    assert isinstance(model, QuantizedNetwork) and model.network.input.size == 84


@pytest.mark.parametrize("name", ["ldl_affine", "ldl_conv", "ldl_unshared"])
def test_networks_that_lava_dl_wrote_elsewhere(name: str) -> None:
    path = shared_data(f"models/peers/{name}.net")
    with np.load(shared_data(f"models/peers/{name}.npz")) as file:
        data = {key: file[key] for key in file.files}
    shape = (2, 8, 8) if name == "ldl_conv" else None
    model = from_lavadl(path, input_shape=shape)
    if name == "ldl_affine":
        trace = run_golden(model, data["spikes"][:, None])
        assert np.array_equal(trace.states["v.layer1"][:-1, 0] / 4096, data["o1"][1:])
    else:
        assert compare(model, data, late_by(path)) == 0
