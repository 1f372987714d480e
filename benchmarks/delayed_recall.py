# SPDX-License-Identifier: Apache-2.0
"""Delayed recall: astrocyte-modulated units against leaky integrate-and-fire neurons with as many
trained parameters.

    python benchmarks/delayed_recall.py WORK [--jobs 2] [--out benchmarks/delayed_recall.md]

First the learning rate is chosen for every model, by the validation parts of a seed of its own at
two gaps: the same rates for all, and for the LIF models two spectral radii of the recurrent weights
beside it. Then five other seeds are trained at every gap. WORK: folder for results; a run that is
there is not repeated, so that an interrupted benchmark goes on. The unit is our reconstruction (its
authors' equations are not public): a LIF population whose input has a gain that an astrocyte of the
same size sets, fed by the population's own spikes (`neurohw.modulation`). The astrocyte's loop is a
recurrence, so the LIF population has recurrent weights instead, and one neuron more, which gives it
the few parameters more.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from intervals import student
from outputs import write_figure, write_page

from neurohw import quantize, run_golden
from neurohw.data import Dataset, Encoder, delayed_recall
from neurohw.golden.native import run_native
from neurohw.modulation import Modulation
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Astrocyte, Integrator, Lif, Source
from neurohw.readout import accuracy, scores
from neurohw.stimulus import Spikes
from neurohw.storage import write_atomically
from neurohw.train import SpikingModule, TrainConfig, fit

NEURONS, CLASSES, LINES = 24, 4, 5
GAPS, SEEDS, TUNING_SEED, TUNING_GAPS = (50, 100, 150, 200), (0, 1, 2, 3, 4), 100, (50, 100)
SHIFTS = (4, 5, 6, 7, 8, 9)  # slow decays 1 - 2^-k, 0.94 to 0.998
RATES, RADII, EPOCHS = (3e-3, 1e-2), (0.05, 0.2), 12
LONGER = 4  # times as many epochs for the LIF models, to see whether they needed only that
FAST = 0.9
LIFS = ("lif", "slow lif")
MODELS = (*LIFS, "astrocyte gain", "astrocyte threshold")
WORDS = {
    "lif": f"recurrent LIF, decay {FAST}",
    "slow lif": "recurrent LIF, each neuron with one of the astrocytes' slow decays",
    "astrocyte gain": "astrocyte sets the gain",
    "astrocyte threshold": "astrocyte raises the threshold",
}
Results = list[dict[str, Any]]
# folder, model, gap, seed, rate, radius, epochs
Job = tuple[Path, str, int, int, float, float, int]
SOME = 16  # samples


def network_of(model: str) -> Network:
    """Input -> 24 modulated or 25 recurrent neurons -> integrators that forget within some steps,
    so that they cannot remember the cue themselves.
    """
    modulated = model.startswith("astrocyte")
    populations = [
        Population("input", CLASSES * LINES + 1, Source()),
        Population("hidden", NEURONS + (not modulated), Lif(FAST, reset="hard")),
    ]
    projections = [Projection("input", "hidden")]
    modulations = []
    if modulated:
        populations.append(Population("astrocyte", NEURONS, Astrocyte(0.99)))
        projections.append(Projection("hidden", "astrocyte"))
        effect: Any = model.split()[1]
        modulations.append(
            Modulation("astrocyte", "hidden", effect, 2.0 if effect == "gain" else 1.0)
        )
    else:
        projections.append(Projection("hidden", "hidden", 1))
    populations.append(Population("output", CLASSES, Integrator(FAST)))
    projections.append(Projection("hidden", "output"))
    return Network(tuple(populations), tuple(projections), modulations=tuple(modulations))


def parameters_of(network: Network) -> int:
    """Trained numbers: weights, biases and offsets."""
    return sum(
        int(np.prod(s))
        for n, s in network.shapes().items()
        if n.endswith((".weight", ".bias", ".offset"))
    )


def initial(model: str, steps: int, seed: int) -> TrainedNetwork:
    """Random weights.

    An astrocyte's levels last, so that a spike has to move them by less than a membrane: by a
    third.
    """
    network = network_of(model)
    begun = SpikingModule(network, seed=seed).to_trained(steps)
    parameters = dict(begun.parameters)
    slow = 1.0 - 2.0 ** -np.resize(SHIFTS, NEURONS + 1)
    if model == "slow lif":
        parameters["hidden.decay"] = slow
    if model.startswith("astrocyte"):
        parameters["astrocyte.decay"] = slow[:NEURONS]
        parameters["hidden_to_astrocyte.weight"] = parameters["hidden_to_astrocyte.weight"] / 3
    return TrainedNetwork(network, parameters, steps)


def test_accuracy(trace: Any, network: Network, labels: Any) -> float:
    """Of an integer model's trace, in percent."""
    return 100 * accuracy(scores(trace, network), labels)


def train(
    model: str, dataset: Dataset, seed: int, rate: float, radius: float, epochs: int
) -> tuple[TrainedNetwork, dict[str, Any]]:
    """The trained network, and its validation accuracy in percent."""
    assert dataset.steps is not None
    config = TrainConfig(
        epochs=epochs,
        batch_size=64,
        learning_rate=rate,
        seed=seed,
        optimizer="adam",
        spectral_radius=None if model.startswith("astrocyte") else radius,
    )
    started = time.monotonic()
    trained = fit(
        initial(model, dataset.steps, seed), dataset, Encoder("spikes", dataset.steps), config
    )
    best = trained.info["history"][trained.info["best_epoch"] - 1]
    return trained, {
        "seconds": time.monotonic() - started,
        "validation": 100 * best["validation_accuracy"],
        "loss": best["validation_loss"],
    }


def run(job: Job) -> dict[str, Any]:
    """Train one network and test it in float64 and in int8; that golden and native golden agree is
    asserted on the whole trace of some samples.
    """
    work, model, gap, seed, rate, radius, epochs = job
    file = work / f"{model.replace(' ', '-')}-{gap}-{seed}-{rate:g}-{radius:g}-{epochs}.json"
    if file.is_file():
        return dict(json.loads(file.read_text()))
    torch.set_num_threads(1)
    dataset = delayed_recall(CLASSES, LINES, gap, samples=160, seed=seed)
    trained, result = train(model, dataset, seed, rate, radius, epochs)
    result |= {
        "model": model,
        "gap": gap,
        "seed": seed,
        "rate": rate,
        "radius": radius,
        "epochs": epochs,
    }
    if seed != TUNING_SEED:
        spikes, labels = np.ascontiguousarray(dataset.x_test.transpose(1, 0, 2)), dataset.y_test
        module = SpikingModule.from_trained(trained)
        with torch.no_grad():
            values = (
                module(torch.from_numpy(spikes).double(), states=False)["v.output"][-1]
                .argmax(1)
                .numpy()
            )
        result["float"] = 100 * float(np.mean(values == labels))
        quantized = quantize(trained, 8)
        result["int8"] = test_accuracy(
            run_native(quantized, Spikes(spikes)), trained.network, labels
        )
        some = spikes[:, :: len(labels) // SOME]
        golden, native = (
            run_golden(quantized, Spikes(some)).arrays(),
            run_native(quantized, Spikes(some)).arrays(),
        )
        assert set(golden) == set(native) and all(
            np.array_equal(golden[n], native[n]) for n in golden
        )
    write_atomically(file, json.dumps(result).encode())
    return result


def run_all(jobs: list[Job], processes: int) -> Results:
    """The results of all jobs, printed as they come."""
    results = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, result in enumerate(pool.imap_unordered(run, jobs), 1):
            print(f"{done}/{len(jobs)}", json.dumps(result), flush=True)
            results.append(result)
    return results


def cell(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def table(tuned: Results, found: dict[tuple[str, int], Results], longer: Results) -> str:
    """The Markdown page."""
    models, gaps = (
        [m for m in MODELS if any(m == k[0] for k in found)],
        sorted({gap for _, gap in found}),
    )
    counts = ", ".join(f"{m} {parameters_of(network_of(m)):,}" for m in models)
    lines = [
        "# Delayed recall: astrocyte-modulated units against LIF neurons",
        "",
        f"Test accuracy in percent, mean ± standard deviation of {len(SEEDS)} seeds (data, "
        f"weights and order); {CLASSES} classes, chance {100 / CLASSES:.0f}. A cue of 10 steps, "
        "a gap with distractor spikes (3 % of the channels in every step), a go signal of 10 "
        f"steps, and the membranes of the output, which forget within some steps (decay {FAST}), "
        f"at its end. Trained parameters: {counts}. The modulated unit is our reconstruction: "
        "its authors' equations are not public. `python benchmarks/delayed_recall.py` writes "
        "this page.",
        "",
        "![accuracy by gap](delayed_recall.png)",
        "",
        "| gap | " + " | ".join(models) + " | gain - lif | gain - slow lif |",
        "|---" * (len(models) + 3) + "|",
    ]
    for gap in gaps:
        scores_of = {m: [r["float"] for r in found[m, gap]] for m in models}
        paired = []
        for other in ("lif", "slow lif"):
            mean, half = student(
                [a - b for a, b in zip(scores_of["astrocyte gain"], scores_of[other], strict=True)]
            )
            paired.append(f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]")
        lines.append(
            f"| {gap} | "
            + " | ".join(cell(scores_of[m]) for m in models)
            + " | "
            + " | ".join(paired)
            + " |"
        )
    lines += [
        "",
        (
            "Differences are paired by seed, with their 95 % interval (Student, four degrees of "
            "freedom)."
        ),
    ]
    lines += ["", *[f"- {model}: {WORDS[model]}." for model in models], ""]
    lines += [
        (
            f"{EPOCHS} epochs of 640 samples in batches of 64, Adam, cosine to 0; the best epoch "
            "by validation."
        ),
        "",
        (
            f"## int8, golden = native golden (asserted on the whole trace of {SOME} samples of "
            "every network)"
        ),
        "",
        "| gap | " + " | ".join(models) + " |",
        "|---" * (len(models) + 1) + "|",
        *[
            f"| {g} | " + " | ".join(cell([r["int8"] for r in found[m, g]]) for m in models) + " |"
            for g in gaps
        ],
        "",
        (
            f"## The sweep: mean validation accuracy at gaps of {TUNING_GAPS[0]} and "
            f"{TUNING_GAPS[1]}, seed {TUNING_SEED}, which is none of the five"
        ),
        "",
        (
            "Spectral radius of the recurrent weights before training, and learning rate. The "
            "bold one was taken."
        ),
        "",
        "| | radius | " + " | ".join(f"{rate:g}" for rate in RATES) + " |",
        "|---" * (len(RATES) + 2) + "|",
    ]
    for model in models:
        reached, best = swept(tuned, model), best_settings(tuned, model)
        for radius in sorted({r for _, r in reached}):
            cells = [f"{reached[rate, radius][0]:.1f}" for rate in RATES]
            cells = [
                f"**{c}**" if (q, radius) == best else c for c, q in zip(cells, RATES, strict=True)
            ]
            lines.append(
                f"| {model} | {radius if model in LIFS else '–'} | " + " | ".join(cells) + " |"
            )
    longest = {
        m: max((r for r in longer if r["model"] == m), key=lambda r: float(r["validation"]))
        for m in LIFS
    }
    lines += [
        "",
        (
            f"With {LONGER} times as many epochs at the shortest gap, {GAPS[0]}, on the same "
            "seed, the LIF models reach "
        )
        + " and ".join(f"{r['validation']:.1f} % ({m})" for m, r in longest.items())
        + f" of the validation part; their models after {EPOCHS} epochs are those of the sweep.",
    ]
    return "\n".join(lines) + "\n"


def swept(tuned: Results, model: str) -> dict[tuple[float, float], tuple[float, float]]:
    """By learning rate and radius: mean validation accuracy, and mean loss with a minus."""
    found: dict[tuple[float, float], Results] = {}
    for result in (r for r in tuned if r["model"] == model):
        found.setdefault((result["rate"], result["radius"]), []).append(result)
    return {
        k: (float(np.mean([r["validation"] for r in v])), -float(np.mean([r["loss"] for r in v])))
        for k, v in found.items()
    }


def best_settings(tuned: Results, model: str) -> tuple[float, float]:
    """Learning rate and radius with the best validation accuracy; among equals those with the
    smallest loss.
    """
    reached = swept(tuned, model)
    return max(reached, key=lambda k: reached[k])


def plot(found: dict[tuple[str, int], Results], path: Path) -> None:
    """Accuracy by gap."""
    import matplotlib  # not in the processes that train

    matplotlib.use("Agg")
    from matplotlib import pyplot

    gaps = sorted({gap for _, gap in found})
    figure, axes = pyplot.subplots(figsize=(5, 3), dpi=100)
    for model in [m for m in MODELS if (m, gaps[0]) in found]:
        values = np.array([[r["float"] for r in found[model, gap]] for gap in gaps])
        axes.errorbar(
            gaps,
            values.mean(1),
            values.std(1, ddof=1),
            capsize=3,
            marker="o",
            markersize=3,
            label=model,
        )
    axes.axhline(100 / CLASSES, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="gap [steps]", ylabel="test accuracy [%]", xticks=gaps, ylim=(0, 105))
    axes.legend(fontsize=7)
    figure.tight_layout()
    write_figure(figure, path)


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        default=MODELS,
        help="the table needs all but the threshold",
    )
    parser.add_argument("--gaps", nargs="+", type=int, choices=GAPS, default=GAPS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    work = arguments.work
    at = [
        (m, q, r)
        for m in arguments.models
        for q in RATES
        for r in (RADII if m in LIFS else RADII[-1:])
    ]
    tuned = run_all(
        [(work, m, g, TUNING_SEED, q, r, EPOCHS) for m, q, r in at for g in TUNING_GAPS],
        arguments.jobs,
    )
    chosen = {m: best_settings(tuned, m) for m in arguments.models}
    jobs = [
        (work, m, gap, seed, *chosen[m], EPOCHS)
        for gap in arguments.gaps
        for seed in SEEDS
        for m in arguments.models
    ]
    results = run_all(jobs, arguments.jobs)
    longer = run_all(
        [(work, m, GAPS[0], TUNING_SEED, *chosen[m], LONGER * EPOCHS) for m in LIFS], arguments.jobs
    )
    found: dict[tuple[str, int], Results] = {
        (m, gap): [] for m in arguments.models for gap in arguments.gaps
    }
    for result in sorted(results, key=lambda r: int(r["seed"])):
        found[result["model"], result["gap"]].append(result)
    plot(found, arguments.out.with_suffix(".png"))
    write_page(arguments.out, table(tuned, found, longer))


if __name__ == "__main__":
    main()
