# SPDX-License-Identifier: Apache-2.0
"""DSP blocks: estimated from a package, checked against the board, and what happens where they run
out.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from neurohw import Integrator, Lif, Network, Population, Projection, Source, feed_forward, quantize
from neurohw.connections import Convolution
from neurohw.errors import DoesNotFit, NeurohwError
from neurohw.hardware.build import bitstream, build, load_board
from neurohw.hardware.build.bitstream import logs_of, synthesise
from neurohw.hardware.build.multipliers import dsp_blocks, instances, without_blocks
from neurohw.hardware.generate import RtlPackage, emit
from neurohw.modulation import Modulation
from neurohw.neurons import Adaptation, Astrocyte
from tests.random_networks import random_trained

BOTH = Lif(0.9, synapse_decay=0.8)


def package_of(network: Network, lanes: int = 4, bits: int = 4, steps: int = 5) -> RtlPackage:
    trained = random_trained(np.random.default_rng(0), network, steps)
    # without guard bits for slow leaks a membrane fits one DSP block
    return emit(quantize(trained, bits, resolution_bits=0), lanes)


def five() -> RtlPackage:
    """Five populations whose membranes and currents decay by products, on four update lanes
    each.
    """
    return package_of(feed_forward([4, 4, 4, 4, 4, 4], BOTH, BOTH))


def modulated() -> Network:
    return Network(
        (
            Population("input", 8, Source()),
            Population("astro", 2, Astrocyte(0.75)),
            Population("cells", 6, Lif(0.5)),
        ),
        (Projection("input", "astro"), Projection("input", "cells")),
        modulations=(Modulation("astro", "cells", "gain"),),
    )


def convolution() -> Network:
    connection = Convolution((2, 5, 6), 3, (3, 3), padding=(1, 1))
    return Network(
        (Population("input", 60, Source()), Population("cells", 90, Lif(0.5))),
        (Projection("input", "cells", connection=connection),),
    )


def test_a_multiplier_for_every_decay_that_is_no_shift_in_every_update_lane() -> None:
    names = ["hidden1", "hidden2", "hidden3", "hidden4", "output"]
    assert dsp_blocks(five(), "ice40") == dict.fromkeys(names, 4 * 2)
    # 0.75 and 0.5 are shifts, 0 is no multiplication at all; an adaptation has a decay of its own
    assert (
        dsp_blocks(package_of(feed_forward([3, 4], output=Lif(0.75, synapse_decay=0.5))), "ecp5")
        == {}
    )
    adaptive = Lif(0.0, adaptation=Adaptation(0.9, 0.3))
    assert dsp_blocks(package_of(feed_forward([3, 4], output=adaptive)), "ecp5") == {"output": 4}
    assert dsp_blocks(package_of(feed_forward([3, 4], output=Integrator(0.9))), "ecp5") == {
        "output": 4
    }
    # a state of more bits than a block has takes two
    slow = package_of(feed_forward([3, 4], output=Lif(0.999)), 2, 8, 5000)
    assert 18 < slow.layers()[0]["parameters"]["MEMBRANE_BITS"] <= 36
    assert dsp_blocks(slow, "ecp5") == {"output": 2 * 2}


def test_populations_that_find_no_block_multiply_in_logic() -> None:
    assert without_blocks({"a": 4, "b": 4}, 8) == []
    assert without_blocks({"a": 8, "b": 8, "c": 1}, 8) == ["b", "c"]
    assert without_blocks({"a": 9, "b": 8}, 8) == ["a"]
    package = package_of(convolution())
    assert instances(package, ["cells"]) == ["u_population_cells", "u_rows_input_to_cells"]


@pytest.mark.synth
@pytest.mark.parametrize(
    ("synthesis", "cell"), [("synth_ecp5", "MULT18X18D"), ("synth_ice40 -dsp", "SB_MAC16")]
)
@pytest.mark.parametrize("network", [feed_forward([3, 2], output=BOTH), modulated(), convolution()])
def test_the_estimate_is_what_yosys_uses(
    network: Network, synthesis: str, cell: str, tmp_path: Path
) -> None:
    package = package_of(network, 2)
    package.write(tmp_path / "rtl")
    synthesise(tmp_path / "rtl", package.sources(), "nhw_network", synthesis, {})
    cells = json.loads((tmp_path / "rtl" / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert cells[cell] == sum(dsp_blocks(package, synthesis.split("_")[1].split()[0]).values())


@pytest.mark.synth
def test_logic_takes_the_multipliers_of_the_populations_that_are_named(tmp_path: Path) -> None:
    """Two populations of 4 multipliers each; of those in logic none is left for a DSP block."""
    package = package_of(feed_forward([3, 2, 2], BOTH, BOTH), 2)
    assert dsp_blocks(package, "ice40") == {"hidden1": 4, "output": 4}
    package.write(tmp_path / "rtl")
    logic = instances(package, ["output"])
    synthesise(tmp_path / "rtl", package.sources(), "nhw_network", "synth_ice40 -dsp", {}, logic)
    cells = json.loads((tmp_path / "rtl" / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert cells["SB_MAC16"] == 4


def test_products_in_logic_are_products(tmp_path: Path) -> None:
    """What `booth` makes of signed products with variables and constants is equal for all operands
    (SAT).
    """
    pytest.importorskip("pyosys")
    (tmp_path / "gold.sv").write_text(
        "module gold(input signed [5:0] a, input signed [6:0] b, output signed [12:0] y, output "
        "signed [11:0] z);\n  assign y = 13'(a) * 13'(b);\n  assign z = 12'(a) * 12'(7'sd45);\n"
        "endmodule\n"
    )
    (tmp_path / "prove.ys").write_text(
        "read_verilog -sv gold.sv\nhierarchy -top gold\nproc\ncopy gold gate\nbooth gate/c:*\n"
        "select -assert-none gate/t:$mul\nselect -assert-count 2 gold/t:$mul\nmiter -equiv "
        "-flatten gold gate both\nsat -verify -prove trigger 0 both\n"
    )
    bitstream.run_tool(
        [sys.executable, "-m", "neurohw.hardware.build.yosys_child", "prove.ys"],
        tmp_path,
        "prove.log",
    )


def fake_tools(monkeypatch: pytest.MonkeyPatch, cells: dict[str, int]) -> list[Path]:
    """Synthesis that only reports cells; place and route that fails.

    Returns the folders in which tools ran.
    """
    real, folders = bitstream.run_tool, []

    def run(command: list[str], folder: Path, log: str) -> None:
        folders.append(folder)
        if log == "synthesis.log":
            (folder / log).write_text("synthesised\n")
            (folder / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": cells}}))
        else:
            real(["sh", "-c", "echo ERROR: Unable to place cell; exit 1"], folder, log)

    monkeypatch.setattr(bitstream, "run_tool", run)
    return folders


def kept(output: Path, error: BaseException) -> dict[str, str]:
    """Contents of the log files that an error names."""
    names = re.findall(r"\S+\.log", str(error))
    assert names and all(Path(name).parent == logs_of(output) for name in names)
    return {Path(name).name: Path(name).read_text() for name in names}


def test_five_populations_are_refused_with_numbers_and_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the iCEBreaker's 8 blocks one of the five fits; the others' multipliers, counted by Yosys
    as logic, exceed its LUTs.
    """
    five().write(tmp_path / "rtl")
    folders = fake_tools(monkeypatch, {"SB_LUT4": 9_123, "SB_MAC16": 8})
    output = tmp_path / "build" / "icebreaker"
    with pytest.raises(DoesNotFit) as refused:
        build(tmp_path / "rtl", load_board("icebreaker"), output)
    text = str(refused.value)
    assert "9,123 of 5,280 LUTs" in text
    assert (
        "Beyond its 8 DSP blocks these multipliers are logic: hidden2 8, hidden3 8, hidden4 "
        "8, output 8"
    ) in text
    assert "shifts (1 - 2^-k, such as 0.875)" in text and "fewer lanes" in text
    assert kept(output, refused.value) == {"synthesis.log": "synthesised\n"}
    assert not output.exists() and not folders[0].exists()


def test_more_blocks_than_the_board_has_are_refused_before_place_and_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_of(feed_forward([3, 2])).write(tmp_path / "rtl")
    fake_tools(monkeypatch, {"SB_LUT4": 10, "SB_MAC16": 9})
    with pytest.raises(DoesNotFit, match="9 of 8 DSP blocks of board 'icebreaker'"):
        build(tmp_path / "rtl", load_board("icebreaker"), tmp_path / "out")


def test_the_log_that_an_error_names_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_of(feed_forward([3, 2])).write(tmp_path / "rtl")
    fake_tools(monkeypatch, {"SB_LUT4": 10})
    output = tmp_path / "runs" / "board"
    with pytest.raises(NeurohwError, match="Unable to place cell") as failed:
        build(tmp_path / "rtl", load_board("icebreaker"), output)
    assert kept(output, failed.value) == {"route.log": "ERROR: Unable to place cell\n"}
    assert sorted(p.name for p in output.parent.iterdir()) == ["board-logs"]
