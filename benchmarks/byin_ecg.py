# SPDX-License-Identifier: Apache-2.0
"""A published recurrent network of 36 neurons on real ECG: float, integers, RTL and board.

    python benchmarks/byin_ecg.py --data DATA [--out benchmarks/byin_ecg.md] [--no-rtl] [--board
        icebreaker]

DATA holds `models/byin_srnn/ecg_qtdb_srnn36_85.9.npz` and `ecg_qtdb/ecg_qtdb.npz`. The network
(byin-cwi/Efficient-spiking-networks) labels every step of a level-crossing coded recording with one
of six wave classes: the output neuron with the largest membrane. Its hidden neurons have a time
constant each, its outputs adaptive thresholds; both subtract the threshold one step after the spike
and fire strictly above it. The constants 0.1 (threshold at rest) and 1.8 (strength of the
adaptation) are the authors'.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohw import (
    Lif,
    Network,
    Population,
    Projection,
    QuantizedNetwork,
    Source,
    Trace,
    TrainedNetwork,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.engines import engine_named
from neurohw.hardware.build import build, load_board
from neurohw.hardware.generate import emit
from neurohw.neurons import Adaptation
from neurohw.trace import count_mismatches, first_mismatch

THRESHOLD, STRENGTH = 0.1, 1.8
PADDING = 255  # label of steps after the end of a recording


def load_model(data: Path) -> TrainedNetwork:
    """The published weights as a network: v = a v + (1 - a) I, so that 1 - a is folded into weights
    and bias.
    """
    with np.load(data / "models/byin_srnn/ecg_qtdb_srnn36_85.9.npz") as file:
        w = {name: file[name].astype(np.float64) for name in file.files}
    hidden_decay, output_decay, adaptation_decay = (
        np.exp(-1 / w[name]) for name in ("tau_m_h", "tau_m_o", "tau_adp_o")
    )
    neuron = Lif(decay=0.9, threshold=THRESHOLD, strict=True, delayed_reset=True)
    adaptive = Lif(
        decay=0.9,
        threshold=THRESHOLD,
        strict=True,
        delayed_reset=True,
        adaptation=Adaptation(0.99, STRENGTH * 0.01),
    )
    network = Network(
        (
            Population("input", 8, Source()),
            Population("hidden", 36, neuron),
            Population("output", 6, adaptive),
        ),
        (
            Projection("input", "hidden"),
            Projection("hidden", "hidden", delay=1),
            Projection("hidden", "output"),
        ),
        dt=4e-3,
    )
    hidden_gain, output_gain = 1 - hidden_decay, 1 - output_decay
    weight = hidden_gain[:, None] * w["i2h.weight"]
    parameters = {
        # level crossings up, then down
        "input_to_hidden.weight": np.concatenate([weight, -weight], axis=1),
        "hidden_to_hidden.weight": hidden_gain[:, None] * w["h2h.weight"],
        "hidden_to_output.weight": output_gain[:, None] * w["h2o.weight"],
        "hidden.bias": hidden_gain * (w["i2h.bias"] + w["h2h.bias"]),
        "output.bias": output_gain * w["h2o.bias"],
        "hidden.threshold": np.full(36, THRESHOLD),
        "output.threshold": np.full(6, THRESHOLD),
        "hidden.decay": hidden_decay,
        "output.decay": output_decay,
        "output.adaptation_decay": adaptation_decay,
        "output.adaptation_strength": STRENGTH * (1 - adaptation_decay),
    }
    return TrainedNetwork(
        network, parameters, steps=1301, info={"source": "byin-cwi/Efficient-spiking-networks"}
    )


def load_recordings(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Spikes [time, recording, 8] of the test split (crossings up, crossings down) and labels
    [time, recording].
    """
    with np.load(data / "ecg_qtdb/ecg_qtdb.npz") as file:
        x, y = file["x_test"], file["y_test"]
    return np.concatenate([x > 0, x < 0], axis=2).astype(np.uint8).transpose(1, 0, 2), y.T


def step_accuracy(trace: Trace, labels: NDArray[np.uint8]) -> float:
    """Share of the real steps whose label is the output with the largest membrane."""
    real = labels != PADDING
    return float((trace.states["v.output"].argmax(axis=2) == labels)[real].mean())


def quantized(trained: TrainedNetwork, bits: int) -> QuantizedNetwork:
    """The integers; the output membranes are compared with each other and keep one scale."""
    return quantize(trained, bits, common_scale=("output",))


def main() -> None:
    # of this folder: tests import the rest of this file from elsewhere
    from outputs import write_page

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--no-rtl", action="store_true", help="leave the simulation of the RTL out")
    parser.add_argument("--board", help="also place and route for this board")
    options = parser.parse_args()
    trained = load_model(options.data)
    spikes, labels = load_recordings(options.data)
    recordings = spikes.shape[1]
    rows = [
        (
            "float64 reference",
            f"{100 * step_accuracy(run_reference(trained, spikes), labels):.2f} %",
            "",
        )
    ]
    for bits in (8, 6):
        model = quantized(trained, bits)
        golden = run_golden(model, spikes)
        rows.append((f"golden, int{bits}", f"{100 * step_accuracy(golden, labels):.2f} %", ""))
        if bits == 8 and not options.no_rtl:
            rtl = engine_named("rtl").run(model, spikes, lanes=1)
            compared, wrong = count_mismatches(golden, rtl)
            assert wrong == 0 and first_mismatch(golden, rtl) is None, first_mismatch(golden, rtl)
            states = sum(a.size for n, a in golden.states.items() if n in rtl.states)
            note = (
                f"0 mismatches in {compared:,} spikes and {states:,} states of {recordings} "
                "recordings"
            )
            rows.append(("RTL, int8", f"{100 * step_accuracy(rtl, labels):.2f} %", note))
    board = []
    if options.board:
        with tempfile.TemporaryDirectory() as name:
            package = emit(quantized(trained, 8), lanes=1)
            package.write(Path(name) / "rtl")
            routed = build(
                Path(name) / "rtl", load_board(options.board), Path(name) / "build", print
            )
        board = [
            "",
            f"{options.board}, one lane: {routed.lut:,} of {routed.lut_available:,} logic cells, "
            f"{routed.bram} of {routed.bram_available} block RAMs, Fmax {routed.fmax_mhz:.1f} "
            f"MHz, clock {routed.clock_mhz:.0f} MHz.",
        ]
    lines = [
        "# ECG waves, 36 recurrent neurons",
        "",
        "`python benchmarks/byin_ecg.py --data DATA`",
        "",
    ]
    lines += [
        "| engine | real steps right | |",
        "|---|---|---|",
        *(f"| {a} | {b} | {c} |" for a, b, c in rows),
        *board,
    ]
    write_page(options.out, "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
