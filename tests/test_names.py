# SPDX-License-Identifier: Apache-2.0
"""Names: what collides is refused, and words of Python, Brian2, Lava and SystemVerilog are names
like any other.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw.engines import engine_named
from neurohw.engines.brian2 import export as export_brian2
from neurohw.engines.lava import export as export_lava
from neurohw.errors import InvalidModel
from neurohw.hardware.generate import emit
from neurohw.hardware.generate.pack import read_weight_images
from neurohw.integers import quantize
from neurohw.interop.nir import from_nir, to_nir
from neurohw.modulation import Modulation
from neurohw.network import LONGEST_NAME, Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Astrocyte, Integrator, Lif, Source
from neurohw.reference import run_reference
from neurohw.trace import first_mismatch

STEPS = 6


def chain(*names: str, extra: tuple[Projection, ...] = ()) -> Network:
    models: list[Any] = [Source(), *[Lif(0.5)] * (len(names) - 2), Integrator(0.5)]
    populations = tuple(Population(n, 3, m) for n, m in zip(names, models, strict=True))
    pairs = zip(names, names[1:], strict=False)
    return Network(populations, (*(Projection(a, b) for a, b in pairs), *extra))


def trained(network: Network) -> TrainedNetwork:
    rng = np.random.default_rng(1)
    arrays = {
        n: np.ones(s) if n.endswith("threshold") else rng.normal(0.4, 0.5, s)
        for n, s in network.shapes().items()
    }
    return TrainedNetwork(network, arrays, STEPS)


def astrocytes(name: str) -> Network:
    cells, other = Population("cells", 4, Lif()), Population(name, 2, Astrocyte())
    return Network(
        (Population("input", 3, Source()), cells, other, Population("output", 2, Integrator())),
        (Projection("input", "cells"), Projection("cells", name), Projection("cells", "output")),
        modulations=(Modulation(name, "cells", "gain"),),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        # the last population is the output, whatever its name: one called so elsewhere would not be
        # read out
        (
            lambda: chain("input", "output", "hidden"),
            "population 'output' is not the last.*'hidden', is the output",
        ),
        (
            lambda: chain("output", "hidden", "readout"),
            "population 'output' is not the last.*'readout'",
        ),
        (lambda: chain("a", "OUTPUT", "readout"), "population 'OUTPUT' is not the last"),
        (
            lambda: chain("pixels", "input", "output"),
            "population 'input' is not the first.*'pixels', is the input",
        ),
        (lambda: chain("a", "b", "b"), "population 'b' is defined 2 times"),
        (lambda: chain("a", "h", "H"), "population 'H' and population 'h' have one name"),
        (
            lambda: chain("a", "b", "a_to_b"),
            "projection 'a_to_b' from 'a' to 'b' and population 'a_to_b' have one name",
        ),
        (
            lambda: chain("a", "b", "c", extra=(Projection("a", "b"),)),
            "projection 'a_to_b' .* is defined 2 times",
        ),
        (lambda: astrocytes("CELLS"), "population 'CELLS' and population 'cells' have one name"),
        (lambda: Population("a" * (LONGEST_NAME + 1), 1, Lif()), f"at most {LONGEST_NAME}"),
        (lambda: Population("2nd", 1, Lif()), "begin with no digit"),
        (lambda: Population("größe", 1, Lif()), "ASCII letters"),
    ],
)
def test_names_that_collide_are_refused(make: Callable[[], Network], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        make()


def test_two_projections_of_one_name_are_refused() -> None:
    """a to b_to_c and a_to_b to c are both `a_to_b_to_c`."""
    populations = [Population(n, 3, Lif()) for n in ("a_to_b", "b_to_c", "c")]
    with pytest.raises(
        InvalidModel,
        match=r"'a_to_b_to_c' from 'a_to_b' to 'c' and .* 'a_to_b_to_c' from 'a' to 'b_to_c'",
    ):
        Network(
            (Population("a", 3, Source()), *populations),
            (Projection("a", "a_to_b"), Projection("a", "b_to_c"), Projection("a_to_b", "c")),
        )


def test_output_that_is_the_last_and_input_that_is_the_first_are_fine() -> None:
    assert chain("input", "hidden", "output").output.name == "output"
    assert chain("pixels", "hidden", "classes").output.name == "classes"


# words of Python, of the exported scripts, of Brian2, of Lava and of SystemVerilog; the first is
# the input, the last the output
WORDS = ("net", "class", "counts", "second", "steps", "module", "w", "logic")


def words() -> TrainedNetwork:
    return trained(chain(*WORDS, extra=(Projection("net", "module"),)))


def stimulus() -> np.ndarray:
    return (np.random.default_rng(2).random((STEPS, 2, 3)) < 0.7).astype(np.uint8)


def test_brian2_takes_any_name() -> None:
    """`h_thresholder` would also be the name of an object that Brian2 makes for `h`."""
    for model in (
        words(),
        trained(chain("start", "h", "h_thresholder", "h_spike_resetter", "end")),
    ):
        trace = engine_named("brian2").run(model, stimulus())
        assert first_mismatch(run_reference(model, stimulus()), trace, 1e-9) is None


def test_a_brian2_script_takes_any_name(tmp_path: Path) -> None:
    script = tmp_path / "network.py"
    export_brian2(words(), script)
    np.savez(tmp_path / "in.npz", spikes=stimulus().transpose(1, 0, 2))
    command = [sys.executable, "-I", script, "--input", "in.npz", "--out", "out.npz"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    wanted = run_reference(words(), stimulus())
    with np.load(tmp_path / "out.npz") as got:
        for name in WORDS:
            assert np.array_equal(got[f"spikes.{name}"], wanted.spikes[name].transpose(1, 0, 2))


def test_a_lava_script_takes_any_name(tmp_path: Path) -> None:
    script = tmp_path / "network.py"
    export_lava(quantize(words(), 4), script)
    compile(script.read_text(), str(script), "exec")  # `class = LIF(...)` is no Python
    for word in WORDS:
        assert f"population_{word} = " in script.read_text()


def test_nir_takes_any_name() -> None:
    model = words()
    assert from_nir(to_nir(model)).network == model.network


@pytest.mark.rtl
def test_rtl_takes_any_name() -> None:
    model = quantize(words(), 4)
    traces = [engine_named(name).run(model, stimulus()) for name in ("golden", "rtl")]
    assert first_mismatch(*traces) is None


def test_files_of_a_package_belong_to_one_population() -> None:
    """The weights of `h` are h_weights_00.hex; h_weights_x_parameters.hex is of another
    population.
    """
    package = emit(quantize(trained(chain("a", "h", "h_weights_x")), 4))
    for layer in package.layers():
        weights = read_weight_images(package.files, layer["parameters"])["weights"]
        assert len(weights) == layer["parameters"]["ROWS"]
