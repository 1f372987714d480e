"""From the results of the stages to `report.json` and the page."""

import json
import sys
from typing import Any

from neurohw.flow.run_folder import RunFolder
from neurohw.golden import run_golden
from neurohw.hardware.build import tool_versions
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of, load_trained
from neurohw.stimulus import Spikes
from neurohw.storage import write_atomically


def assemble_report(run: RunFolder, model: QuantizedNetwork) -> dict[str, Any]:
    """The content of `report.json`: every number comes from the stage that measured it."""
    trained, quantized, verified = run.need("train"), run.need("quantize"), run.need("verify")
    built = run.result("build")
    boards: dict[str, Any] = built["boards"] if built and built["parent"] == run.need("emit")["digest"] else {}
    cycles = verified["cycles_per_inference"]
    hardware = {
        name: {**numbers, "latency_us": verified["latency_cycles"] / numbers["clock_mhz"]}
        for name, numbers in boards.items()
    }
    first = next(iter(hardware), None)
    network = model.network
    return {
        "format_version": 1,
        "name": run.name,
        "network": {
            "summary": "-".join(str(p.size) for p in network.populations),
            "populations": {p.name: {"size": p.size, "model": type(p.neuron).__name__} for p in network.populations},
        },
        "dataset": {"name": trained["dataset"], "digest": trained["dataset_digest"]},
        "steps": model.steps,
        "bits": run.config.bits,
        "seed": run.config.seed,
        "accuracy": {
            "float": trained["float_accuracy"],
            "quantized": quantized["quantized_accuracy"],
            "golden": quantized["golden_accuracy"],
            "rtl": verified["rtl_accuracy"],
            "samples": trained["test_samples"],
        },
        "agreement": {
            "rtl": {
                k: verified[k]
                for k in ("samples", "steps", "spikes_compared", "states_compared", "mismatches", "first_mismatch")
            }
        },
        "crosscheck": run.need("crosscheck"),
        "hardware": hardware,
        "performance": {
            "cycles_per_inference": cycles,
            "latency_cycles": verified["latency_cycles"],
            "latency_us": hardware[first]["latency_us"] if first else None,
            "latency_board": first,
            "synaptic_operations_per_cycle": verified["synaptic_operations_per_cycle"],
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
            }
            for name, population in model.populations.items()
        },
        "tools": {"python": sys.version.split()[0], **tool_versions()},
        "digests": {
            "dataset": trained["dataset_digest"],
            "trained": trained["digest"],
            "quantized": digest_of(model),
            "rtl": run.need("emit")["digest"],
            **{f"bitstream {name}": numbers["bitstream_sha256"] for name, numbers in boards.items()},
        },
    }


def write_report(run: RunFolder, report: dict[str, Any], model: QuantizedNetwork, spikes: Spikes, label: int) -> None:
    """Write report.json, and report.html with figures of the first sample of `spikes`."""
    from neurohw.report import figures, render_page  # local: drawing takes long to load

    trace = run_golden(model, spikes)
    history = None if run.config.liquid else load_trained(run.path / "trained_float").info["history"]
    network = model.network
    drawings = {
        "accuracy": figures.accuracy_bars({k: report["accuracy"][k] for k in ("float", "quantized", "golden", "rtl")}),
        "raster": figures.raster(trace, 0, network.dt),
        "membranes": figures.membranes(trace, network.output.name, 0, network.dt, label),
    }
    if history is not None:
        drawings["learning"] = figures.learning_curve(history)
    if report["hardware"]:
        drawings["utilization"] = figures.utilization_bars(report["hardware"])
    page = render_page(report, drawings)
    write_atomically(run.path / "report.json", json.dumps(report, indent=1, allow_nan=False).encode())
    write_atomically(run.path / "report.html", page.encode())
