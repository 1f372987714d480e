# SPDX-License-Identifier: Apache-2.0
"""What is asked of a network: which hardware, which samples, at which times.

All that a chip's result depends on, except its seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import Range, check_fields, checked
from neurohw.errors import InvalidData, InvalidModel
from neurohw.memristor import (
    Chip,
    Converter,
    CrossbarMapping,
    Device,
    Faults,
    Wires,
    calibrate_columns,
    calibrate_thresholds,
    device_named,
    program,
)
from neurohw.memristor.devices.base import checked_time
from neurohw.network import TrainedNetwork
from neurohw.readout import Readout, check_readout, default_readout
from neurohw.stimulus import Spikes, stimulus_of
from neurohw.storage import digest

ReadNoise = Literal["none", "read", "step"]
READ_NOISES: tuple[ReadNoise, ...] = get_args(ReadNoise)
Recalibrated = Literal["columns", "thresholds"]
CALIBRATIONS: dict[str, Callable[[Chip, Spikes, float, bool], Chip]] = {
    "columns": calibrate_columns,
    "thresholds": calibrate_thresholds,
}


@dataclass(frozen=True)
class Scenario:
    """The hardware, and how it is read.

    device: of every projection, or by projection name.
    mapping, faults, wires, adc, dac: see `neurohw.memristor.program`.
    compensate: apply the drift compensation of every tile.
    read_noise: "none"; "read" for one read of every device, whose weights are used for all samples
        and steps; "step" for a new draw at every step and sample, which is what a spiking network
        meets.
    bits: quantize the weights that are read back, and judge the integers.
    recalibrate: at every time anew, "columns" or "thresholds" (`neurohw.memristor.calibration`),
        None for never.

    Raises InvalidModel for combinations that make no sense: converters act on the sums of every
    step, so that neither a single read nor integers pass them.
    """

    device: Device | Mapping[str, Device]
    mapping: CrossbarMapping = CrossbarMapping()
    faults: Faults = Faults()
    wires: Wires | None = None
    adc: Converter | None = None
    dac: Converter | None = None
    compensate: bool = False
    read_noise: ReadNoise = "step"
    bits: int | None = None
    recalibrate: Recalibrated | None = None

    def __post_init__(self) -> None:
        check_fields(self, bits=Range(2, 8))
        for name, device in self.device.items() if isinstance(self.device, Mapping) else ():
            checked(f"Scenario.device[{name!r}]", device, Device)
        if self.converts and self.read_noise == "read":
            raise InvalidModel(
                "Scenario: converters act on the sums of every step, a single read has none: "
                "use read_noise 'step' or 'none', or leave out adc and dac"
            )
        if self.bits is not None and (self.converts or self.read_noise == "step"):
            raise InvalidModel(
                f"Scenario: {self.bits}-bit integers are made of weights that are read once: "
                "use read_noise 'read' or 'none', and no adc or dac"
            )

    @property
    def converts(self) -> bool:
        """Whether there are converters."""
        return self.adc is not None or self.dac is not None

    @property
    def calibrates(self) -> bool:
        """Whether something of it is calibrated with typical input."""
        return self.converts or self.recalibrate is not None

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON value."""
        devices = self.device
        return {
            "device": devices.to_json()
            if isinstance(devices, Device)
            else {name: device.to_json() for name, device in sorted(devices.items())},
            "mapping": asdict(self.mapping),
            "faults": asdict(self.faults),
            **{
                n: None if (v := getattr(self, n)) is None else asdict(v)
                for n in ("wires", "adc", "dac")
            },
            "compensate": self.compensate,
            "read_noise": self.read_noise,
            "bits": self.bits,
            "recalibrate": self.recalibrate,
        }


@dataclass(frozen=True, eq=False)
class Experiment:
    """A network, its hardware, and the samples that it is judged on.

    times: seconds after programming.
    spikes: counts uint8 [time, sample, input neuron], also as `Spikes`, of which the counts are
        kept.
    labels: [sample].
    calibration: typical input of the same form, for the ranges of converters and for recalibration
        (not the samples of the judgement).
    readout: None for the network's default.

    Raises InvalidModel and InvalidData, naming what is wrong.
    """

    trained: TrainedNetwork
    scenario: Scenario
    times: tuple[float, ...]
    spikes: Any = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    calibration: Any = field(default=None, repr=False)
    readout: Readout | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        network = self.trained.network
        object.__setattr__(self, "times", tuple(checked_time(t) for t in self.times))
        object.__setattr__(self, "readout", self.readout or default_readout(network))
        check_readout(network, self.readout or "")
        if not self.times or len(set(self.times)) < len(self.times):
            raise InvalidData(f"times {self.times}: at least one is needed, and no two equal ones")
        object.__setattr__(self, "spikes", stimulus_of(self.trained, self.spikes).counts)
        if self.labels.shape != self.spikes.shape[1:2]:
            raise InvalidData(
                f"{self.spikes.shape[1]} samples, but labels of shape {self.labels.shape}"
            )
        if self.labels.min() < 0 or self.labels.max() >= network.output.size:
            raise InvalidData(
                f"labels {self.labels.min()}..{self.labels.max()}: output "
                f"{network.output.name!r} has {network.output.size} neurons"
            )
        if self.scenario.calibrates:
            if self.calibration is None:
                raise InvalidData(
                    "converters need ranges, and a recalibration needs input: give the "
                    "experiment calibration samples, which are not those that it is judged on"
                )
            object.__setattr__(
                self, "calibration", stimulus_of(self.trained, self.calibration).counts
            )

    def chip(self, seed: int) -> Chip:
        """The chip of a seed, programmed, with calibrated converters.

        Raises InvalidModel where the mapping cannot hold the network.
        """
        s = self.scenario
        chip = program(self.trained, s.device, seed, s.mapping, s.faults, s.wires, s.adc, s.dac)
        return (
            chip
            if self.calibration is None or not s.converts
            else chip.calibrated(Spikes(self.calibration))
        )

    def at(self, chip: Chip, time_seconds: float) -> Chip:
        """A chip as it is used at a time: recalibrated where the scenario says so."""
        kind = self.scenario.recalibrate
        if kind is None or self.calibration is None:
            return chip
        return CALIBRATIONS[kind](
            chip, Spikes(self.calibration), time_seconds, self.scenario.compensate
        )

    def identity(self) -> dict[str, Any]:
        """All of it as a JSON value, arrays as their digests: equal identities and seeds give equal
        results.
        """
        arrays: dict[str, NDArray[Any]] = {"spikes": self.spikes, "labels": self.labels}
        used = self.calibration if self.scenario.calibrates else None
        return {
            "model": self.trained.digest(),
            "samples": digest("samples", {}, arrays),
            "calibration": None if used is None else digest("samples", {}, {"spikes": used}),
            "times": list(self.times),
            "readout": self.readout,
            "scenario": self.scenario.to_json(),
        }


def device_from_text(text: str) -> Device:
    """A device as it is written in a command:

    `pcm`, or `pcm:g_max_microsiemens=20,programming_scale=0.5`.

    Raises InvalidModel for an unknown device or parameter, or a value that is no number.
    """
    kind, _, rest = text.partition(":")
    parameters: dict[str, float] = {}
    for part in rest.split(",") if rest else []:
        name, _, value = part.partition("=")
        try:
            parameters[name.strip()] = float(value)
        except ValueError as error:
            raise InvalidModel(
                f"device {text!r}: {part!r} is no parameter; write "
                f"{kind}:programming_scale=0.5,drift_scale=0"
            ) from error
    return device_named(kind.strip(), **parameters)
