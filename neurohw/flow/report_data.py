# SPDX-License-Identifier: Apache-2.0
"""From the results of the stages to `report.json` and the page."""

import json
import sys
from typing import Any

from neurohw.errors import BrokenFile
from neurohw.flow.run_folder import RunFolder
from neurohw.formats import FORMATS
from neurohw.golden import run_golden
from neurohw.hardware.build import tool_versions
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of, load_trained
from neurohw.stimulus import Spikes
from neurohw.storage import write_file


def _comparison(trained: dict[str, Any], bits: int) -> str:
    """What was trained how long, in words: the page compares equally long trainings."""
    epochs = trained.get("epochs")
    if epochs is None:
        return "Float and integers: one network, whose readout was fitted once."
    first = epochs["float"]
    if "quantization-aware" not in epochs:
        return f"Float and integers: one network. Epochs: {first}."
    alone = 100 * trained["float_accuracies"]["float"]
    return (
        f"Epochs of float: {first} + {epochs['float twin']}. Of integers: the same {first}, then "
        f"{epochs['quantization-aware']} quantization-aware at {bits} bits. After the first "
        f"{first} alone, float has {alone:.2f} %."
    )


def assemble_report(run: RunFolder) -> dict[str, Any]:
    """The content of `report.json`: every number is of the stage that measured it, or of what it
    made.

    Raises InvalidData or BrokenFile, saying which command to run, if these do not belong together.
    """
    model, package = run.quantized(), run.package()
    trained, quantized, verified = run.need("train"), run.need("quantize"), run.need("verify")
    built = run.need("build") if run.stamp("build") else {"boards": {}, "failed": {}}
    boards: dict[str, Any] = built["boards"]
    cycles = verified["cycles_per_inference"]
    hardware = {
        name: {**numbers, "latency_us": verified["latency_cycles"] / numbers["clock_mhz"]}
        for name, numbers in boards.items()
    }
    first = next(iter(hardware), None)
    network = model.network
    return {
        "format_version": FORMATS["report"].version,
        "kind": "report",
        "name": run.name,
        "network": {
            "summary": "-".join(str(p.size) for p in network.populations),
            "populations": {
                p.name: {"size": p.size, "model": type(p.neuron).__name__}
                for p in network.populations
            },
        },
        "dataset": {"name": trained["dataset"], "digest": trained["dataset_digest"]},
        "steps": model.steps,
        "bits": quantized["bits"],
        "lanes": package.lanes(),
        "seed": trained["seed"],
        "accuracy": {
            "float": trained["float_accuracy"],
            "quantized": quantized["quantized_accuracy"],
            "golden": quantized["golden_accuracy"],
            "rtl": verified["rtl_accuracy"],
            "samples": trained["test_samples"],
            "compared": _comparison(trained, quantized["bits"]),
        },
        "agreement": {
            "rtl": {
                k: verified[k]
                for k in (
                    "samples",
                    "steps",
                    "spikes_compared",
                    "states_compared",
                    "mismatches",
                    "first_mismatch",
                )
            }
        },
        "crosscheck": run.need("crosscheck"),
        "hardware": hardware,
        "failed_boards": built["failed"],
        "performance": {
            "cycles_per_inference": cycles,
            "latency_cycles": verified["latency_cycles"],
            "latency_us": hardware[first]["latency_us"] if first else None,
            "latency_board": first,
            "synaptic_operations_per_cycle": verified["synaptic_operations_per_cycle"],
            **{
                f"{kind}_per_inference": sum(verified[kind].values()) / verified["samples"]
                for kind in ("synaptic_operations", "effective_synaptic_operations")
            },
        },
        "widths": {
            name: {
                "neurons": network.population(name).size,
                "weight_bits": max(model.projections[p.name].bits for p in network.into(name)),
                "accumulator_bits": population.accumulator.bits,
                "current_bits": population.current.bits,
                "membrane_bits": population.membrane.bits,
                "proved_membrane_bits": model.info["populations"][name]["proved_membrane_bits"],
                "capped": population.capped,
                "guard_bits": model.info["populations"][name]["guard_bits"],
                "rounding": model.info["populations"][name]["rounding"],
                "saturation": model.info["populations"][name]["saturation"],
                **quantized["saturations"][name],
                "saturated_in_rtl": verified["saturations"][name],
            }
            for name, population in model.populations.items()
        },
        "calibration": model.info["calibration"],
        "warnings": model.info["warnings"],
        "tools": {"python": sys.version.split()[0], **tool_versions()},
        "digests": {
            "dataset": trained["dataset_digest"],
            "trained": trained["digest"],
            "quantized": digest_of(model),
            "rtl": package.digest(),
            **{
                f"bitstream {name}": numbers["bitstream_sha256"] for name, numbers in boards.items()
            },
        },
    }


def _float_history(run: RunFolder) -> list[dict[str, float]]:
    model = load_trained(run.path / "trained_float")
    if model.digest() != run.need("train")["float_digest"]:
        raise BrokenFile(
            f"{run.path / 'trained_float'} is not what the training left: run "
            f"`{run.command('train')}`"
        )
    return list(model.info["history"])


def write_report(
    run: RunFolder, report: dict[str, Any], model: QuantizedNetwork, spikes: Spikes, label: int
) -> None:
    """Write report.json, and report.html with figures of the first sample of `spikes`.

    Raises BrokenFile unless the float network is the one of the training.
    """
    from neurohw.report import figures, render_page  # local: drawing takes long to load

    trace = run_golden(model, spikes)
    history = None if run.config.liquid else _float_history(run)
    network = model.network
    drawings = {
        "accuracy": figures.accuracy_bars(
            {k: report["accuracy"][k] for k in ("float", "quantized", "golden", "rtl")}
        ),
        "raster": figures.raster(trace, 0, network.dt),
        "membranes": figures.membranes(trace, network.output.name, 0, network.dt, label),
    }
    if history is not None:
        drawings["learning"] = figures.learning_curve(history)
    if report["hardware"]:
        drawings["utilization"] = figures.utilization_bars(report["hardware"])
    page = render_page(report, drawings)
    write_file(
        run.path / "report.json",
        json.dumps(report, indent=1, allow_nan=False).encode(),
        "report",
        run.force,
    )
    write_file(run.path / "report.html", page.encode(), "page", run.force)
