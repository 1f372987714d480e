# SPDX-License-Identifier: Apache-2.0
"""One chip: a trained network whose weights are resistive devices.

`program` draws everything that is random about the devices, once, from a seed: programming errors,
drift exponents, faults. A `Chip` is then read at any time after programming, in any order, with the
same result. Every projection has generators of its own, so that it does not matter what else is on
the chip.

    chip.network(time)        a TrainedNetwork with the weights as read back: every engine, the
                              quantizer and the report take it
    chip.run(spikes, time)    a Trace, with read noise drawn at every step, converters, and sums
                              tile by tile

Times are seconds after programming.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import SEED, checked, exactly, whole
from neurohw.connections import Convolution, Dense, Matrix, Sparse, apply_matrix
from neurohw.errors import InvalidModel
from neurohw.memristor.compensation import compensation_factors
from neurohw.memristor.converters import Converter, calibrated_range, convert_unsigned
from neurohw.memristor.crossbar import Cells, Crossbar, program_crossbar
from neurohw.memristor.devices import Device, device_from_json
from neurohw.memristor.faults import Faults
from neurohw.memristor.mapping import CrossbarMapping, layout_of, map_weights
from neurohw.memristor.sums import TileRow, column_sum, digitized, tile_rows
from neurohw.memristor.wires import Wires
from neurohw.modulation import MODULATION
from neurohw.network import GRAPH, FloatArray, Network, Projection, TrainedNetwork
from neurohw.reference import float_arithmetic, simulate
from neurohw.step import STEP
from neurohw.stimulus import Spikes, stimulus_of
from neurohw.storage import digest, load_value, save_value
from neurohw.support import Implements, attributes
from neurohw.trace import Trace

# what `layout_of` and `tile_rows` lay out, and `advance` computes behind it
IMPLEMENTS = Implements(
    "a chip of memristors",
    STEP
    | GRAPH
    | MODULATION
    | {
        Dense: attributes(),
        Sparse: attributes("synapses"),
        Convolution: attributes("input_shape channels kernel stride padding dilation groups"),
    },
)
Observer = Callable[[Projection, TileRow, FloatArray], None]


@dataclass(frozen=True)
class Chip:
    """See the module.

    trained: the network as it was mapped, batch normalisation folded; the digital part of it, and
        projections that are not in `crossbars`, act as they are.
    adc, dac: converters, None for ideal ones.
    ranges: what `calibrated` measured, `<projection>.adc` [tile row, tile column] in microsiemens
        times spikes, and `dac` [1] in spikes.
    calibration: what `neurohw.memristor.calibration` has set, `<projection>.gain` [column] as a
        digital factor behind every column, and parameters in the place of the trained ones,
        `<population>.bias` and `<population>.threshold`.
    """

    trained: TrainedNetwork
    crossbars: dict[str, Crossbar]
    seed: int
    mapping: CrossbarMapping = CrossbarMapping()
    faults: Faults = Faults()
    wires: Wires | None = None
    adc: Converter | None = None
    dac: Converter | None = None
    ranges: dict[str, FloatArray] = field(default_factory=dict)
    calibration: dict[str, FloatArray] = field(default_factory=dict)

    @property
    def digital(self) -> TrainedNetwork:
        """The trained network with the parameters that were calibrated; its weights are those that
        were mapped.
        """
        known = self.trained.parameters
        return replace(
            self.trained,
            parameters={**known, **{n: a for n, a in self.calibration.items() if n in known}},
        )

    def network(
        self, time_seconds: float, read: int | None = None, compensate: bool = False
    ) -> TrainedNetwork:
        """The network with the weights that the devices have at a time.

        read: None for no read noise, else the number of a read: equal numbers give equal noise.
        compensate: apply the drift compensation of every tile.
        """
        parameters = dict(self.digital.parameters)
        for name, crossbar in self.crossbars.items():
            rng = (
                None
                if read is None
                else generator(self.seed, name, "read", repr(float(time_seconds)), str(read))
            )
            weight = crossbar.weights(time_seconds, rng)
            factor = self._factor(crossbar, time_seconds, compensate)
            parameters[f"{name}.weight"] = weight if factor is None else weight * factor
        info = {**self.trained.info, "chip": self._described(time_seconds, read, compensate)}
        return replace(self.trained, parameters=parameters, info=info, parent=self.trained.digest())

    def run(
        self,
        spikes: Spikes | NDArray[Any],
        time_seconds: float,
        states: bool = True,
        draw: int = 0,
        compensate: bool = False,
        read_noise: bool = True,
    ) -> Trace:
        """Simulate counts [time, sample, input neuron] in float64 with this chip; spikes and (if
        `states`) states of every population.

        draw: equal numbers give equal read noise.
        Raises InvalidModel where a converter has not been calibrated, InvalidData for a stimulus of
        the wrong shape.
        """
        for name, converter in (("adc", self.adc), ("dac", self.dac)):
            if converter is not None and not any(key.split(".")[-1] == name for key in self.ranges):
                raise InvalidModel(
                    f"chip: the {name.upper()} has no range: call calibrated(spikes) with "
                    "typical input"
                )
        rng = (
            generator(self.seed, "run", repr(float(time_seconds)), str(draw))
            if read_noise
            else None
        )
        return self._simulate(
            stimulus_of(self.trained, spikes), time_seconds, states, compensate, rng, None
        )

    def calibrated(self, spikes: Spikes | NDArray[Any], time_seconds: float = 0.0) -> "Chip":
        """The same chip with the ranges of its converters set by typical input, counts [time,
        sample, input neuron], at a time; without read noise and ADCs.
        """
        given, ranges = stimulus_of(self.trained, spikes), dict[str, FloatArray]()
        if self.dac is not None:
            ranges["dac"] = np.array([calibrated_range(self.dac, given.counts, "chip")])
        open_chip = replace(self, adc=None, ranges=ranges)
        if self.adc is not None:
            seen: dict[tuple[str, int, int], list[FloatArray]] = {}

            def observe(projection: Projection, part: TileRow, total: FloatArray) -> None:
                used = part.step > 0
                microsiemens = total[:, used] / part.step[used]
                for tile in np.unique(part.tile[used]):
                    sizes = np.abs(microsiemens[:, part.tile[used] == tile]).ravel()
                    seen.setdefault((projection.name, part.index, int(tile)), []).append(
                        sizes[sizes > 0]
                    )

            open_chip._simulate(given, time_seconds, False, False, None, observe)
            for name, crossbar in self.crossbars.items():
                ranges[f"{name}.adc"] = np.zeros(crossbar.layout.tile_grid(self.mapping))
            for (name, row, column), sizes in seen.items():
                values = np.concatenate(sizes)
                if values.size:
                    ranges[f"{name}.adc"][row, column] = calibrated_range(
                        self.adc, values, f"projection {name!r}"
                    )
        return replace(self, ranges=ranges)

    def _simulate(
        self,
        spikes: Spikes,
        time_seconds: float,
        states: bool,
        compensate: bool,
        rng: np.random.Generator | None,
        observe: Observer | None,
    ) -> Trace:
        def matrices(projection: Projection) -> list[tuple[int, Matrix]]:
            crossbar = self.crossbars.get(projection.name)
            if crossbar is None:
                return self.trained.matrices(projection)
            factor = self._factor(crossbar, time_seconds, compensate)
            return list(tile_rows(self.trained, projection, crossbar, time_seconds, factor))

        def arriving(
            projection: Projection, parts: Matrix, sent: NDArray[np.uint8]
        ) -> NDArray[Any]:
            inputs = sent.astype(np.float64)
            crossbar = self.crossbars.get(projection.name)
            if crossbar is None:
                return apply_matrix(parts, inputs)
            variance_inputs = inputs
            if self.dac is not None and projection.source == self.trained.network.input.name:
                inputs = convert_unsigned(inputs, self.ranges["dac"], self.dac.bits)
                variance_inputs = inputs**2
            if self.adc is None and observe is None:
                return column_sum(parts, inputs, variance_inputs, rng)
            result = np.zeros((len(sent), self.trained.network.population(projection.target).size))
            for part in parts:
                total = column_sum([part], inputs, variance_inputs, rng)
                if observe is not None:
                    observe(projection, part, total)
                result += digitized(
                    part, total, self.adc, self.ranges.get(f"{projection.name}.adc"), crossbar
                )
            return result

        IMPLEMENTS.check(self.trained.network)
        model = self.digital
        trace = simulate(
            model.network,
            spikes,
            lambda population: float_arithmetic(model, population),
            arriving,
            matrices,
            lambda modulation, levels: modulation.values(levels),
            np.float64,
            states,
        )
        return replace(trace, parent=self.digest())

    def _factor(
        self, crossbar: Crossbar, time_seconds: float, compensate: bool
    ) -> FloatArray | None:
        """What every weight is multiplied by behind the crossbar, of the weight's shape;

        None for nothing.
        """
        gains = self.calibration.get(f"{crossbar.layout.node}.gain")
        factor = None if gains is None else gains[crossbar.layout.column]
        if not compensate:
            return factor
        programmed, now = crossbar.weights(0.0), crossbar.weights(time_seconds)
        of_tiles = compensation_factors(programmed, now, crossbar.layout, self.mapping)
        return of_tiles if factor is None else of_tiles * factor

    def _described(self, time_seconds: float, read: int | None, compensate: bool) -> dict[str, Any]:
        kinds = sorted({crossbar.device.kind for crossbar in self.crossbars.values()})
        return {
            "devices": kinds,
            "seed": self.seed,
            "seconds": float(time_seconds),
            "read": read,
            "compensated": compensate,
        }

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON fields and arrays, as they are saved."""
        trained_fields, arrays = self.trained.to_parts()
        fields = {
            "trained": trained_fields,
            "devices": {
                name: crossbar.device.to_json() for name, crossbar in self.crossbars.items()
            },
            "seed": self.seed,
            "mapping": asdict(self.mapping),
            "faults": asdict(self.faults),
            "wires": None if self.wires is None else asdict(self.wires),
            "adc": None if self.adc is None else asdict(self.adc),
            "dac": None if self.dac is None else asdict(self.dac),
        }
        parts: dict[str, NDArray[Any]] = {f"trained/{n}": a for n, a in arrays.items()}
        parts |= {f"ranges/{n}": a for n, a in self.ranges.items()}
        parts |= {f"calibration/{n}": a for n, a in self.calibration.items()}
        for name, crossbar in self.crossbars.items():
            for kind, cells in (("cells", crossbar.cells), ("reference", crossbar.reference)):
                if cells is not None:
                    parts |= {f"{kind}/{name}/{n}": a for n, a in cells.kept.items()}
                    if cells.faults is not None:
                        parts[f"{kind}/{name}/faults"] = cells.faults
        return fields, parts

    def digest(self) -> str:
        """SHA-256 of the chip, 64 hexadecimal digits; the same for a chip and its saved and loaded
        copy.
        """
        return digest("chip", *self.to_parts())

    def save(self, path: Path | str, force: bool = False) -> str:
        """Save as a folder, atomically, and return the digest; CannotWrite if something else than a
        chip stands there, unless `force`.
        """
        return save_value(path, "chip", *self.to_parts(), force)


def load_chip(path: Path) -> Chip:
    """A saved chip; BrokenFile or InvalidModel, naming file or array, if it cannot be trusted."""
    fields, arrays = load_value(path, "chip")

    def under(prefix: str) -> dict[str, NDArray[Any]]:
        return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

    inner = fields["trained"]
    trained = TrainedNetwork(
        Network.from_json(inner["network"]),
        under("trained/"),
        inner["steps"],
        inner["info"],
        inner["parent"],
    )
    mapping, faults = CrossbarMapping(**fields["mapping"]), Faults(**fields["faults"])
    wires = None if fields["wires"] is None else Wires(**fields["wires"])
    crossbars = {}
    for projection in trained.network.projections:
        name = projection.name
        if name not in fields["devices"]:
            continue
        device, layout = device_from_json(fields["devices"][name]), layout_of(trained, projection)
        mapped = map_weights(
            trained.parameters[f"{name}.weight"],
            layout,
            mapping,
            device.g_min_microsiemens,
            device.g_max_microsiemens,
        )
        kept, reference = under(f"cells/{name}/"), under(f"reference/{name}/")
        cells = Cells(mapped.target, kept, kept.pop("faults", None))
        column = None
        if mapped.reference is not None:
            target = np.full_like(reference["programmed"], mapped.reference)
            column = Cells(target, reference, reference.pop("faults", None))
        crossbars[name] = Crossbar(device, mapping, layout, mapped, cells, column, wires)
    adc, dac = (None if fields[n] is None else Converter(**fields[n]) for n in ("adc", "dac"))
    return Chip(
        trained,
        crossbars,
        fields["seed"],
        mapping,
        faults,
        wires,
        adc,
        dac,
        under("ranges/"),
        under("calibration/"),
    )


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for every seed and path of names."""
    words = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in names]
    return np.random.default_rng([seed, *words])


def programmable(network: Network) -> list[str]:
    """The projections that go onto a chip unless others are named: all but fixed convolutions,
    which are poolings and stay digital.
    """
    return [
        p.name
        for p in network.projections
        if p.trainable or not isinstance(p.connection, Convolution)
    ]


def program(
    trained: TrainedNetwork,
    device: Device | Mapping[str, Device],
    seed: int,
    mapping: CrossbarMapping | None = None,
    faults: Faults | None = None,
    wires: Wires | None = None,
    adc: Converter | None = None,
    dac: Converter | None = None,
    projections: Collection[str] | None = None,
) -> Chip:
    """Program a network's weights into the devices of one new chip.

    device: of every projection, or by projection name.
    seed: 0 or more; one seed, one chip.
    projections: which are on the chip; with a mapping of devices its keys, else `programmable`.
    Raises InvalidModel, naming the projection, for one that does not exist or that the mapping
    cannot hold.
    """
    exactly("program: trained", trained, TrainedNetwork)
    IMPLEMENTS.check(trained.network)
    seed = whole("the seed of a chip", seed, SEED)
    folded = trained.folded()
    known = [p.name for p in folded.network.projections]
    if projections is None:
        projections = list(device) if isinstance(device, Mapping) else programmable(folded.network)
    devices = dict(device) if isinstance(device, Mapping) else dict.fromkeys(projections, device)
    for name, given in devices.items():
        checked(f"the device of projection {name!r}", given, Device)
    for name in projections:
        if name not in known or name not in devices:
            missing = (
                "no device"
                if name in known
                else f"no such projection, known are {', '.join(known)}"
            )
            raise InvalidModel(f"projection {name!r}: {missing}")
    mapping, faults = mapping or CrossbarMapping(), faults or Faults()
    crossbars = {
        p.name: program_crossbar(
            folded.parameters[f"{p.name}.weight"],
            layout_of(folded, p),
            devices[p.name],
            generator(seed, p.name, "program"),
            mapping,
            faults,
            wires,
        )
        for p in folded.network.projections
        if p.name in projections
    }
    return Chip(folded, crossbars, seed, mapping, faults, wires, adc, dac)
