# SPDX-License-Identifier: Apache-2.0
"""How to train."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from neurohw.checks import POSITIVE, SEED, Range, at_least, check_fields
from neurohw.errors import InvalidModel
from neurohw.memristor import CrossbarMapping, Device, Faults, device_from_json
from neurohw.memristor.devices.base import checked_time
from neurohw.readout import Readout

Surrogate = Literal["arctan", "fast_sigmoid", "triangular"]
YEAR = 365 * 86400.0  # seconds


@dataclass(frozen=True)
class DeviceNoise:
    """The chips that a training prepares for: see `neurohw.train.device_noise`.

    device, mapping, faults: as for `neurohw.memristor.program`.
    times_seconds: after programming; every mini-batch is read at one of them, which are equally
        likely.
    compensate: with the drift compensation of every tile, for chips that will be read with it.
    Raises InvalidModel for a time below 0, for no time, and for a unipolar crossbar, because
    weights change their sign while they learn.
    """

    device: Device
    mapping: CrossbarMapping = CrossbarMapping()
    faults: Faults = Faults()
    times_seconds: tuple[float, ...] = (25.0, 3600.0, 86400.0, YEAR)
    compensate: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.times_seconds:
            raise InvalidModel(
                "DeviceNoise.times_seconds is empty: name at least one time after "
                "programming, in seconds"
            )
        for time in self.times_seconds:
            checked_time(time)
        if self.mapping.scheme == "unipolar":
            raise InvalidModel(
                "DeviceNoise: a unipolar crossbar holds weights of one sign, and training "
                "changes signs: use the differential scheme or an offset column"
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal value."""
        return asdict(self) | {
            "device": self.device.to_json(),
            "times_seconds": list(self.times_seconds),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "DeviceNoise":
        """What `to_json` wrote; InvalidModel for an unknown field."""
        try:
            return DeviceNoise(
                **{
                    **value,
                    "device": device_from_json(value["device"]),
                    "mapping": CrossbarMapping(**value.get("mapping", {})),
                    "faults": Faults(**value.get("faults", {})),
                    "times_seconds": tuple(value.get("times_seconds", DeviceNoise.times_seconds)),
                }
            )
        except (KeyError, TypeError) as error:
            raise InvalidModel(f"device noise: {error}") from error


@dataclass(frozen=True)
class TrainConfig:
    """Parameters of `fit`.

    readout: None for the network's default.
    surrogate, slope: see `neurohw.train.surrogate`.
    patience: epochs without a better validation before stopping, None to train all.
    shift, rotation: largest random shift in pixels and rotation in degrees of training images.
    weight_bits: 2..8 for quantization-aware training.
    seed: of weights, order and augmentation.
    threads: of the processor; one is fastest for small networks, and another number adds in another
        order, so that results differ.
    learn_delays: of all projections with max_delay, by an Adam of its own with delay_learning_rate,
        in steps; their spread narrows over the first delay_annealing of all epochs.
    learn_decays: of all astrocytes, as 1 - 2^-k; their k, whole in the forward pass, learns with
        decay_learning_rate.
    dropout: of spikes between populations.
    time_shift, channel_shift: largest random shift of spike data, in steps and input neurons;
    event_drop: largest fraction of input spikes left out.
    truncation: steps of a window of truncated backpropagation through time, None for all steps at
        once: see `neurohw.train.truncation`.
    spectral_radius: the weights of recurrent projections are scaled to it before the first epoch:
        see `neurohw.train.recurrence`.
    device_noise: weights as resistive devices give them back, a new chip for every mini-batch, None
        for none; the epoch is then chosen on noisy validation, too.
    weight_clip: after every mini-batch trainable weights are clipped at this many standard
        deviations, None for no limit, of the weights of a projection ("layer"), tile or "column" of
        a tile (weight_clip_per; tiles are those of device_noise): a crossbar maps the largest
        weight of a group to the largest conductance, so that a few large ones cost all others their
        resolution. Joshi et al. (Nature Communications 2020) clip a layer at 2 to 2.5. The learning
        rate falls to 0 along a cosine over all epochs.
    Raises InvalidModel for values out of range.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    optimizer: Literal["adam", "adamw"] = "adamw"
    readout: Readout | None = None
    surrogate: Surrogate = "arctan"
    slope: float | None = None
    detach_reset: bool = True
    label_smoothing: float = 0.0
    patience: int | None = None
    shift: float = 0.0
    rotation: float = 0.0
    weight_bits: int | None = None
    learn_delays: bool = False
    delay_learning_rate: float = 0.1
    delay_annealing: float = 0.25
    learn_decays: bool = False
    decay_learning_rate: float = 0.05
    dropout: float = 0.0
    time_shift: int = 0
    channel_shift: int = 0
    event_drop: float = 0.0
    truncation: int | None = None
    spectral_radius: float | None = None
    device_noise: DeviceNoise | None = None
    weight_clip: float | None = None
    weight_clip_per: Literal["layer", "tile", "column"] = "layer"
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        least, below_one = at_least(0), Range(0, 1, open_high=True)
        check_fields(
            self,
            epochs=at_least(1),
            batch_size=at_least(1),
            learning_rate=POSITIVE,
            weight_decay=least,
            slope=POSITIVE,
            label_smoothing=below_one,
            patience=at_least(1),
            shift=least,
            rotation=least,
            weight_bits=Range(2, 8),
            delay_learning_rate=POSITIVE,
            delay_annealing=Range(0, 1, open_low=True),
            decay_learning_rate=POSITIVE,
            dropout=below_one,
            time_shift=least,
            channel_shift=least,
            event_drop=below_one,
            truncation=at_least(1),
            spectral_radius=POSITIVE,
            # clipped again and again at 1 or less, all weights shrink to 0
            weight_clip=Range(1, open_low=True),
            seed=SEED,
            threads=at_least(1),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal configuration."""
        noise = self.device_noise
        return asdict(self) | {"device_noise": None if noise is None else noise.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "TrainConfig":
        """The configuration that `to_json` wrote; InvalidModel for an unknown field."""
        noise = value.get("device_noise")
        try:
            return TrainConfig(
                **value | {"device_noise": None if noise is None else DeviceNoise.from_json(noise)}
            )
        except TypeError as error:
            raise InvalidModel(f"training configuration: {error}") from error
