# SPDX-License-Identifier: Apache-2.0
"""Files of lava-dl, read bit exact: against published recordings, an independent simulation, and
broken files.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from neurohw import QuantizedNetwork, first_mismatch, run_golden
from neurohw.engines import engine_named
from neurohw.errors import BrokenFile, InvalidModel, NeurohwError, Unsupported
from neurohw.golden.native import run_native
from neurohw.interop.lavadl import encode_input, from_lavadl, latency
from neurohw.neurons import Integrator
from tests.shared_data import shared_data

# what the recordings of PilotNet store as the membrane of a neuron that has just fired
SPIKE_MARK = 128


def arrays(name: str) -> dict[str, NDArray[Any]]:
    with np.load(shared_data(f"models/lava_dl/{name}.npz")) as file:
        return {key: file[key] for key in file.files}


def raster(events: NDArray[Any], steps: int, neurons: int) -> NDArray[np.uint8]:
    """Rows (neuron, 0, time): a real time belongs to the nearest step, halves to the even one."""
    result = np.zeros((steps, neurons), np.uint8)
    result[np.round(events[:, 2]).astype(int), events[:, 0].astype(int)] = 1
    return result


def test_dense_layer_equals_the_recording() -> None:
    data = arrays("dense_cuba_io")
    model = from_lavadl(shared_data("models/lava_dl/oxford.net"), steps=data["in"].shape[1])
    q = model.projections["input_to_layer0"]
    assert np.array_equal(q.weight << (q.exponent - 6), data["weight"])
    trace = run_golden(model, data["in"].T[:, None])
    late = latency(model.network)["layer0"]
    assert late == 1 and data["out"].sum() == 1826
    assert np.array_equal(trace.spikes["layer0"][:-late, 0], data["out"].T[late:])
    assert np.array_equal(trace.states["c.layer0"][:-late, 0] >> 6, data["current"].T[late:])


def test_oxford_equals_the_recording_of_its_training_tool() -> None:
    """SLAYER recorded it, which fires at the threshold;

    `output` is the picture that it was trained to draw.
    """
    data = arrays("oxford_io")
    steps = 2000
    spikes = raster(data["input"], steps, 200)[:, None]
    model = from_lavadl(shared_data("models/lava_dl/oxford.net"), steps, strict=False)
    expected = raster(data["ground_truth"], steps, 200)
    late = latency(model.network)["layer1"]
    assert late == 2 and expected.sum() == 10178
    assert np.array_equal(run_golden(model, spikes).spikes["layer1"][:-late, 0], expected[late:])
    strict = run_native(
        from_lavadl(shared_data("models/lava_dl/oxford.net"), steps), spikes, states=False
    )
    assert np.count_nonzero(strict.spikes["layer1"][:-late, 0] != expected[late:]) > 1000


def test_tiny_convolutions_equal_the_recording() -> None:
    data = arrays("tinynet_io")
    model = from_lavadl(shared_data("models/lava_dl/tiny.net"))

    def steps(name: str) -> NDArray[Any]:
        return data[name][0].reshape(-1, 16).T[1:]  # the recording starts with an idle step

    assert not data["layer1"][..., 0].any() and not data["output"][..., 0].any()
    trace = run_golden(model, steps("input")[:, None])
    assert np.array_equal(trace.spikes["layer1"][:, 0], steps("layer1"))
    assert np.array_equal(trace.states["c.layer1"][:, 0] >> 6, steps("current"))
    assert np.array_equal(trace.spikes["layer2"][:, 0], steps("output"))
    assert trace.spikes["layer1"].sum() == 1633 and trace.spikes["layer2"].sum() == 92


PILOTNET = {
    **{f"conv_{k}": f"layer{k + 1}" for k in range(5)},
    **{f"fc_{k}": f"layer{k + 7}" for k in range(3)},
}


def pilotnet_steps(data: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """A recording [step, neuron]: images lie as (column, row, channel), ours are [channel, row,
    column].
    """
    array = data[name]
    return (array.transpose(3, 2, 1, 0) if array.ndim == 4 else array.T).reshape(
        array.shape[-1], -1
    )


def test_pilotnet_equals_the_recording_in_every_state() -> None:
    """Layer k works one step after layer k - 1; its state was cleared at the start of steps k + 1
    and k + 18.
    """
    data = arrays("pilotnet_lif_io")
    spikes = pilotnet_steps(data, "input")[:, None]
    model = from_lavadl(shared_data("models/lava_dl/pilotnet_lif.net"), steps=len(spikes))
    late = latency(model.network)
    last = data["conv_0"].shape[-1]
    compared = 0
    for start, stop in ((0, 17), (17, last)):
        trace = run_native(model, spikes[start:stop])
        for number, (name, population) in enumerate(PILOTNET.items()):
            shift = number + 1
            assert late[population] == shift
            steps = slice(start + shift, min(stop + shift, last))
            count = steps.stop - steps.start
            if count <= 0:
                continue
            fired = trace.spikes[population][:count, 0]
            assert np.array_equal(fired, pilotnet_steps(data, name)[steps]), (name, start)
            assert np.array_equal(
                trace.states[f"c.{population}"][:count, 0], pilotnet_steps(data, f"{name}_u")[steps]
            )
            v = np.where(fired == 1, SPIKE_MARK, trace.states[f"v.{population}"][:count, 0])
            assert np.array_equal(v, pilotnet_steps(data, f"{name}_v")[steps]), (name, start)
            compared += fired.size
    assert compared > 2_000_000


def test_the_recording_of_pilotnets_last_layer_contradicts_its_own_input() -> None:
    """No network can meet it: the recorded currents are not those of the recorded spikes, at any
    latency.
    """
    data = arrays("pilotnet_lif_io")
    model = from_lavadl(shared_data("models/lava_dl/pilotnet_lif.net"))
    q = model.projections["layer9_to_layer10"]
    current = (
        pilotnet_steps(data, "fc_2").astype(np.int64) @ q.weight.T.astype(np.int64) << q.exponent
    )[:, 0]
    recorded = data["fc_3_u"][0].astype(np.int64)
    mismatches = {
        shift: int(
            np.count_nonzero(
                recorded[shift : shift + len(current)] != current[: len(recorded) - shift]
            )
        )
        for shift in range(-0, 6)
    }
    assert min(mismatches.values()) > 0
    # the current of a step without any spike: one recorded current has no spike that could have
    # caused it
    assert mismatches[1] == min(mismatches.values())
    caused = np.flatnonzero(recorded[1:] != 0)[:4]
    assert any(not pilotnet_steps(data, "fc_2")[t].any() for t in caused)


def test_input_layers_encode_their_images() -> None:
    data = arrays("pilotnet_lif_io")
    path = shared_data("models/lava_dl/pilotnet_lif.net")
    drive = data["image"].transpose(2, 1, 0)
    recorded = pilotnet_steps(data, "input")
    for segment in (recorded[:17], recorded[17:]):  # the layer was cleared in between
        assert np.array_equal(encode_input(path, drive, len(segment))[:, 0], segment)
    tiny = arrays("tinynet_io")
    spikes = encode_input(
        shared_data("models/lava_dl/tiny.net"), tiny["input_bias"].transpose(2, 1, 0), 15
    )
    assert np.array_equal(spikes[:, 0], tiny["input"][0].reshape(-1, 16).T[1:])
    with pytest.raises(InvalidModel, match="drive has shape"):
        encode_input(path, drive[:1], 4)
    with pytest.raises(Unsupported, match="layer 0.*dense"):
        encode_input(shared_data("models/lava_dl/oxford.net"), drive, 4)


def test_a_layer_without_neurons_is_a_readout() -> None:
    model = from_lavadl(shared_data("models/lava_dl/mnist.net"))
    assert [p.size for p in model.network.populations] == [784, 512, 512, 10]
    assert model.network.output.neuron == Integrator(0.0) and model.steps == 16
    rng = np.random.default_rng(0)
    spikes = (rng.random((16, 2, 784)) < 0.2).astype(np.uint8)
    trace = run_golden(model, spikes)
    q = model.projections["layer2_to_layer3"]
    expected = trace.spikes["layer2"].astype(np.int64) @ q.weight.T << q.exponent
    assert trace.spikes["layer2"].any() and np.array_equal(trace.states["v.layer3"], expected)


# --- files of our own
# ------------------------------------------------------------------------------------------------


def write_net(path: Path, layers: list[dict[str, Any]], steps: int = 40) -> Path:
    with h5py.File(path, "w") as file:
        for number, fields in enumerate(layers):
            group = file.create_group(f"layer/{number}")
            for name, value in fields.items():
                if value is not None:
                    group[name] = np.array([value], "S10") if name == "type" else value
        file["simulation/tSample"] = steps
    return path


def dense_fields(
    rng: np.random.Generator, inputs: int, outputs: int, **more: Any
) -> dict[str, Any]:
    fields = {
        "type": b"dense",
        "shape": np.array([outputs]),
        "inFeatures": inputs,
        "outFeatures": outputs,
        "weight": 2.0 * rng.integers(-80, 88, (outputs, inputs)).astype(np.float32),
        "neuron/type": b"CUBA",
        "neuron/iDecay": 1024,
        "neuron/vDecay": 128,
        "neuron/vThMant": 5 * 80,
        "neuron/refDelay": 1,
        "neuron/gradedSpike": False,
    }
    return fields | more


def decayed(value: NDArray[np.int64], delta: int) -> NDArray[np.int64]:
    return np.trunc(value * (4096 - delta) / 4096).astype(np.int64)


def simulate(layers: list[dict[str, Any]], spikes: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """An independent simulation of dense layers with axonal delays, step by step."""
    outputs = []
    for fields in layers:
        weight = fields["weight"].astype(np.int64)
        recurrent = fields.get("weight_rec", np.zeros((len(weight),) * 2)).astype(np.int64)
        u, v = np.zeros(len(weight), np.int64), np.zeros(len(weight), np.int64)
        fired = np.zeros((len(spikes), len(weight)), np.uint8)
        for t, row in enumerate(spikes):
            arriving = weight @ row + (recurrent @ fired[t - 1] if t else 0)
            u = decayed(u, fields["neuron/iDecay"]) + (arriving << 6)
            bias = fields.get("bias", np.zeros(len(weight))).astype(np.int64)
            v = decayed(v, fields["neuron/vDecay"]) + u + (bias << 6)
            fired[t] = v > fields["neuron/vThMant"] << 6
            v = np.where(fired[t] == 1, 0, v)
        outputs.append(fired)
        delay = np.floor(np.ravel(fields.get("delay", np.zeros(len(weight))))).astype(int)
        spikes = np.zeros_like(fired)
        for neuron, d in enumerate(delay):
            spikes[d:, neuron] = fired[: len(fired) - d, neuron]
    return outputs


def test_a_network_with_axonal_delays_equals_an_independent_simulation(tmp_path: Path) -> None:
    """The shape of a published spoken-digits network: 64-256-256-242, delays of up to 62 steps."""
    rng = np.random.default_rng(8)
    layers = [
        dense_fields(rng, 64, 256, delay=rng.uniform(0, 63, 256)),
        dense_fields(rng, 256, 256, delay=rng.integers(0, 5, (256, 1)).astype(float)),
        dense_fields(rng, 256, 242, bias=rng.integers(-20, 20, 242).astype(float)),
    ]
    for fields in layers[1:]:
        fields["neuron/vThMant"] = 2000
    model = from_lavadl(write_net(tmp_path / "digits.net", layers, 120))
    assert model.steps == 120
    spikes = (rng.random((120, 64)) < 0.05).astype(np.uint8)
    trace = run_golden(model, spikes[:, None])
    for number, expected in enumerate(simulate(layers, spikes)):
        assert 0.005 < expected.mean() < 0.6
        assert np.array_equal(trace.spikes[f"layer{number}"][:, 0], expected)
    assert first_mismatch(trace, run_native(model, spikes[:, None])) is None


def test_a_recurrent_layer_sees_its_spikes_a_step_later(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    layer = dense_fields(
        rng, 20, 30, type=b"dense_rec", weight_rec=2.0 * rng.integers(-60, 60, (30, 30))
    )
    model = from_lavadl(write_net(tmp_path / "recurrent.net", [layer]))
    spikes = (rng.random((40, 20)) < 0.1).astype(np.uint8)
    [expected] = simulate([layer], spikes)
    assert expected.any() and np.array_equal(
        run_golden(model, spikes[:, None]).spikes["layer0"][:, 0], expected
    )


def test_pooling_flattening_and_averaging(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    neuron = {k: v for k, v in dense_fields(rng, 1, 1).items() if k.startswith("neuron/")}
    layers: list[dict[str, Any]] = [
        {"type": b"input", "shape": np.array([2, 6, 4]), "weight": 8.0, "bias": 0.0, **neuron},
        {
            "type": b"pool",
            "shape": np.array([2, 3, 2]),
            "kernelSize": np.array([2, 2]),
            "stride": np.array([2, 2]),
            "padding": np.array([0, 0]),
            "weight": np.full((1, 1, 2, 2, 1), 80.0),
            **neuron,
            "neuron/vThMant": 100,
        },
        {"type": b"flatten", "shape": np.array([12])},
        {**dense_fields(rng, 12, 6), "neuron/vThMant": 60},
        {"type": b"average", "shape": np.array([3]), "numOutputs": 3},
    ]
    model = from_lavadl(write_net(tmp_path / "pool.net", layers))
    assert [p.size for p in model.network.populations] == [48, 12, 6, 3]
    spikes = (rng.random((40, 1, 48)) < 0.3).astype(np.uint8)
    trace = run_golden(model, spikes)
    pooled = spikes.reshape(40, 2, 3, 2, 2, 2).sum((3, 5)).reshape(40, 12).astype(np.int64)
    u = np.zeros(12, np.int64)
    for t in range(40):
        u = decayed(u, 1024) + (80 * pooled[t] << 6)
        assert np.array_equal(trace.states["c.layer1"][t, 0], u)
    sums = trace.spikes["layer3"].reshape(40, 3, 2).sum(2)
    assert sums.any() and np.array_equal(trace.states["v.layer4"][:, 0], sums)


def change(**more: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda layers: layers[1].update(more)


def drop(name: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda layers: layers[1].pop(name)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (drop("weight"), BrokenFile, "layer 1: the field 'weight' is missing"),
        (drop("neuron/vDecay"), BrokenFile, "layer 1: the field 'neuron/vDecay' is missing"),
        (
            change(weight=np.full((5, 6), np.nan)),
            InvalidModel,
            "layer 1: weight holds nan at .0, 0.",
        ),
        (change(weight=np.full((5, 6), 0.5)), InvalidModel, "layer 1: weight holds 0.5"),
        (change(weight=np.ones((5, 7))), InvalidModel, r"layer 1: weight has shape \(5, 7\)"),
        (
            change(weight=np.full((5, 6), 301.0)),
            Unsupported,
            "layer 1: weight 301 needs more than 8 bits",
        ),
        (change(inFeatures=9), InvalidModel, "layer 1: inFeatures is 9, the layer before has 6"),
        (change(bias=np.ones(4)), InvalidModel, "layer 1: bias holds 4 numbers, 5 are needed"),
        (change(type=b"attention"), Unsupported, "layer 1: layer type 'attention'"),
        (change(**{"neuron/type": b"ALIF"}), Unsupported, "layer 1: neuron type 'ALIF'"),
        (change(**{"neuron/gradedSpike": True}), Unsupported, "layer 1: graded spikes"),
        (change(**{"neuron/refDelay": 3}), Unsupported, "layer 1: refDelay 3"),
        (change(**{"neuron/vThMant": 0}), Unsupported, "layer 1: vThMant 0"),
        (change(**{"neuron/vDecay": 5000}), InvalidModel, "layer 1: vDecay holds 5000"),
        (
            change(**{"neuron/vDecay": np.full(4, 9)}),
            InvalidModel,
            "layer 1: neuron/vDecay holds 4 numbers, 5",
        ),
        (
            change(**{"neuron/iDecay": np.full(6, 9)}),
            InvalidModel,
            "layer 1: neuron/iDecay holds 6 numbers, 5",
        ),
        (
            change(**{"neuron/vThMant": [9, 9]}),
            InvalidModel,
            "layer 1: neuron/vThMant holds 2 numbers, 5",
        ),
        (change(**{"neuron/vThMant": [9, 9, 0, 9, 9]}), Unsupported, "layer 1: vThMant 0"),
        (change(**{"neuron/vDecay": 1.5}), InvalidModel, "layer 1: neuron/vDecay holds 1.5"),
        (change(**{"neuron/refDelay": [1, 1, 1, 1, 2]}), Unsupported, "layer 1: refDelay 2"),
        (change(**{"neuron/messageBits": 8}), Unsupported, "layer 1: graded spikes .messageBits."),
        (
            change(**{"neuron/weight_exp": 4}),
            Unsupported,
            "layer 1: neuron/weight_exp 4.*weight_exp_bits",
        ),
        (
            change(**{"neuron/weight_exp": [1, 1]}),
            InvalidModel,
            "layer 1: neuron/weight_exp holds 2 numbers, 1",
        ),
        (
            change(**{"neuron/weight_exp": 1}),
            Unsupported,
            "layer 1: neuron/weight_exp 1 with iDecay 1024",
        ),
        (
            change(**{"neuron/vReset": 7}),
            Unsupported,
            "layer 1: the field 'neuron/vReset' of a dense layer",
        ),
        (
            change(mask=np.ones((5, 6))),
            Unsupported,
            "layer 1: the field 'mask' of a dense layer is not known",
        ),
        (
            change(**{"weight/imag": np.ones((5, 6))}, weight=None),
            Unsupported,
            "the field 'weight/imag'",
        ),
        (
            change(shape=np.array([6])),
            InvalidModel,
            r"layer 1: shape is \(6,\), the layer gives \(5,\)",
        ),
        (lambda layers: layers[1].pop("type"), BrokenFile, "layer 1: the field 'type' is missing"),
        (
            lambda layers: layers.append({"type": b"input", "shape": np.array([5])}),
            Unsupported,
            "layer 2: only the first layer can be of type 'input'",
        ),
        (
            lambda layers: layers.append({"type": b"average", "shape": np.array([3, 1, 1])}),
            InvalidModel,
            "layer 2: 3 outputs cannot average 5 neurons evenly",
        ),
        (
            lambda layers: layers[0].update({"neuron/vThMant": (1 << 18) - 1}),
            Unsupported,
            "layer 0: it has no spikes, so that nothing can follow it",
        ),
        (
            change(bias=np.ones(5), **{"neuron/vThMant": (1 << 18) - 1}),
            Unsupported,
            "layer 1: a readout with a bias and a current",
        ),
        (change(delay=np.ones(5)), Unsupported, "layer 1: an axonal delay of the last layer"),
        (lambda layers: layers[0].update(delay=np.full(6, -1.0)), InvalidModel, "layer 0: delay"),
        (
            lambda layers: layers[0].update(delay=np.ones(3)),
            InvalidModel,
            "layer 0: delay holds 3 values",
        ),
    ],
)
def test_a_wrong_file_is_named_with_layer_and_reason(
    tmp_path: Path,
    damage: Callable[[list[dict[str, Any]]], None],
    error: type[NeurohwError],
    message: str,
) -> None:
    rng = np.random.default_rng(1)
    layers = [dense_fields(rng, 4, 6), dense_fields(rng, 6, 5)]
    path = tmp_path / "some.net"
    assert isinstance(from_lavadl(write_net(path, layers)), QuantizedNetwork)
    damage(layers)
    with pytest.raises(error, match=message) as caught:
        from_lavadl(write_net(path, layers))
    assert "some.net" in str(caught.value)


@pytest.mark.parametrize("name", ["simulation/dt", "notes", "layer/0/extra"])
def test_a_field_that_nobody_knows_is_named(tmp_path: Path, name: str) -> None:
    path = write_net(tmp_path / "some.net", [dense_fields(np.random.default_rng(1), 4, 6)])
    with h5py.File(path, "a") as file:
        file[name] = 1
    with pytest.raises(Unsupported, match=f"some.net.*{name.rpartition('/')[2]}.* is not known"):
        from_lavadl(path)


def test_steps_of_another_length_are_refused(tmp_path: Path) -> None:
    path = write_net(tmp_path / "some.net", [dense_fields(np.random.default_rng(1), 4, 6)])
    for name, value, error in (("Ts", 2, Unsupported), ("tSample", 0, InvalidModel)):
        with h5py.File(path, "a") as file:
            file.pop(f"simulation/{name}", None)
            file[f"simulation/{name}"] = value
        with pytest.raises(error, match=f"some.net: simulation/{name} is {value}"):
            from_lavadl(path)
        with h5py.File(path, "a") as file:
            del file[f"simulation/{name}"]


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        ({"stride": [1, 1]}, (2, 6, 6)),
        ({"padding": [1, 0]}, (2, 6, 6)),
        ({"dilation": [2, 1]}, (2, 6, 6)),
        ({"kernelSize": [3, 3], "stride": [3, 3]}, (2, 4, 6)),  # one row of zeros more, 5 rows
    ],
    ids=str,
)
def test_a_pool_that_joins_rows_of_two_channels_is_refused(
    tmp_path: Path, change: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """SLAYER pools all channels below each other as one image: a window may lie in two of them."""
    rng = np.random.default_rng(0)
    neuron = {k: v for k, v in dense_fields(rng, 1, 1).items() if k.startswith("neuron/")}
    pool = {"kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]} | change
    layer = {"type": b"pool", "weight": 64.0, **pool, **neuron}
    path = write_net(tmp_path / "pool.net", [layer])
    with pytest.raises(
        Unsupported, match="pool.net, layer 0: a pool of kernel.*rows of different channels"
    ):
        from_lavadl(path, input_shape=shape)


@pytest.mark.parametrize(
    ("given", "message"),
    [((7,), r"the input has shape \(6,\), not \(7,\)"), ((2, 2, 2), r"not \(2, 2, 2\)")],
)
def test_a_shape_that_contradicts_the_file_is_refused(
    tmp_path: Path, given: tuple[int, ...], message: str
) -> None:
    path = write_net(tmp_path / "some.net", [dense_fields(np.random.default_rng(1), 6, 5)])
    assert from_lavadl(path, input_shape=(1, 2, 3)).network.input.size == 6
    assert from_lavadl(path, input_shape=6).network.input.size == 6
    with pytest.raises(InvalidModel, match=f"some.net, layer 0: .*{message}"):
        from_lavadl(path, input_shape=given)


def test_thresholds_of_single_neurons(tmp_path: Path) -> None:
    """One threshold for every neuron, as SLAYER's other neurons write it."""
    rng = np.random.default_rng(4)
    layer = dense_fields(rng, 20, 8)
    layer["neuron/vThMant"] = np.arange(100, 900, 100)
    spikes = (rng.random((40, 20)) < 0.1).astype(np.uint8)
    [expected] = simulate([layer], spikes)
    trace = run_golden(from_lavadl(write_net(tmp_path / "some.net", [layer])), spikes[:, None])
    assert expected.any() and np.array_equal(trace.spikes["layer0"][:, 0], expected)


def test_a_largest_threshold_that_can_be_reached_still_fires(tmp_path: Path) -> None:
    """2^17 - 1, the largest of Loihi, is below what 24 bits hold: a membrane can get there."""
    rng = np.random.default_rng(4)
    layer = dense_fields(rng, 4, 3, **{"neuron/vThMant": (1 << 17) - 1, "neuron/vDecay": 0})
    far = from_lavadl(write_net(tmp_path / "far.net", [layer], 5000))
    near = from_lavadl(write_net(tmp_path / "near.net", [layer], 10))
    assert not isinstance(far.network.output.neuron, Integrator)
    assert isinstance(near.network.output.neuron, Integrator)


@pytest.mark.rtl
def test_constants_of_single_neurons_reach_the_rtl(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    layer = dense_fields(rng, 20, 8)
    layer["neuron/iDecay"] = rng.integers(400, 4097, 8)
    layer["neuron/vDecay"] = rng.integers(0, 2000, 8)
    spikes = (rng.random((40, 20)) < 0.1).astype(np.uint8)
    [expected] = simulate([layer], spikes)
    model = from_lavadl(write_net(tmp_path / "some.net", [layer]))
    trace = run_golden(model, spikes[:, None])
    assert expected.any() and np.array_equal(trace.spikes["layer0"][:, 0], expected)
    rtl = engine_named("rtl").run(model, spikes[:, None], lanes=4, optimize=False)
    assert first_mismatch(trace, rtl) is None


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    path = write_net(tmp_path / "whole.net", [dense_fields(np.random.default_rng(1), 4, 6)])
    half = tmp_path / "half.net"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenFile, match="half.net: not a readable HDF5 file"):
        from_lavadl(half)
    with pytest.raises(BrokenFile, match="missing.net"):
        from_lavadl(tmp_path / "missing.net")
    with h5py.File(tmp_path / "other.net", "w") as file:
        file["something"] = 1
    with pytest.raises(BrokenFile, match="no group 'layer'"):
        from_lavadl(tmp_path / "other.net")
