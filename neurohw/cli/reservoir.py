# SPDX-License-Identifier: Apache-2.0
"""`neurohw reservoir`: liquids on the command line. It contains no logic of its own."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from neurohw.cli.options import ForceOption
from neurohw.cli.values import option_names, whole_numbers
from neurohw.console import console, stage_progress
from neurohw.flow import RunFolder
from neurohw.flow.reservoir import Tuning, build_stage, measure_stage, readout_stage, tune_stage
from neurohw.reservoir import LIQUIDS, liquid_named

reservoir = typer.Typer(
    help="Liquids: random recurrent networks that stay as they are, or tune themselves, and a "
    "linear readout of their spikes.\n\nneurohw reservoir build digits      a liquid in "
    "runs/digits-liquid\n\nneurohw reservoir build digits --topology resistive      one "
    "whose weights are resistive devices as forming left them\n\nneurohw reservoir tune      "
    "        optional: plasticity and an astrocyte bring it to the edge of chaos\n\nneurohw "
    "reservoir measure           what it does, as numbers and as a page\n\nneurohw reservoir "
    "readout           count its spikes, fit a readout, attach it as the output\n\nThen "
    "`neurohw quantize`, `crosscheck`, `emit`, `verify`, `build` and `report` go on with the "
    "same run folder, as after a training. Every verb takes --run, skips what is up to date, "
    "and goes on where it was interrupted.",
    no_args_is_help=True,
)
LiquidRun = Annotated[
    Path, typer.Option("--run", help="Run folder that `neurohw reservoir build` made.")
]


def _show(rows: dict[str, str], after: str) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    console.print(after, soft_wrap=True)


def _decimal(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


@reservoir.command()
def build(
    recipe: Annotated[
        str, typer.Argument(help=f"What it is to hear: {', '.join(LIQUIDS)}.")
    ] = "digits",
    run: Annotated[
        Path | None, typer.Option("--run", help="Run folder. Default: runs/RECIPE-liquid.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="MNIST: folder of idx files or .npz; spoken digits: .npz of spikes."
        ),
    ] = None,
    topology: Annotated[
        str | None,
        typer.Option(
            "--topology",
            help="grid (near neurons are connected more often), small-world, random, gaussian "
            "(weights of both signs), or resistive (weights that forming leaves of pairs of "
            "resistive devices).",
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--shape", help="Neurons along x,y,z of the grid; others have as many neurons."
        ),
    ] = None,
    degree: Annotated[
        int | None,
        typer.Option(
            "--degree", help="Small world: synapses of each neuron; random: sources of each."
        ),
    ] = None,
    rewiring: Annotated[
        float | None, typer.Option("--rewiring", help="Small world: share of rewired synapses.")
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            "--weight", help="|w| of recurrent synapses; gaussian, resistive: standard deviation."
        ),
    ] = None,
    input_weight: Annotated[
        float | None,
        typer.Option(
            "--input-weight", help="|w| of input synapses; gaussian, resistive: standard deviation."
        ),
    ] = None,
    input_density: Annotated[
        float | None,
        typer.Option(
            "--input-density", help="Share of the pairs (input, neuron) that are connected."
        ),
    ] = None,
    density: Annotated[
        float | None, typer.Option("--density", help="Gaussian: share of recurrent pairs.")
    ] = None,
    formed: Annotated[
        float | None,
        typer.Option(
            "--formed",
            help="Resistive: share of devices that conduct; a pair without any is no synapse.",
        ),
    ] = None,
    spread: Annotated[
        float | None,
        typer.Option(
            "--spread", help="Resistive: standard deviation of conducting devices over their mean."
        ),
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            "--decay",
            help=(
                "Gaussian, resistive: factor of the membrane per step; 1 - 2^-k such as 0.96875 "
                "is a shift in hardware."
            ),
        ),
    ] = None,
    spectral_radius: Annotated[
        float | None,
        typer.Option(
            "--spectral-radius", help="Scale recurrent weights to this largest |eigenvalue|."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Steps for which an image is shown.")
    ] = None,
    train_samples: Annotated[
        int | None, typer.Option("--train-samples", help="Use at most so many.")
    ] = None,
    test_samples: Annotated[
        int | None, typer.Option("--test-samples", help="Use at most so many.")
    ] = None,
    readout: Annotated[
        str | None,
        typer.Option("--readout", help="ridge (closed form) or adadelta (by gradient, slower)."),
    ] = None,
    integers: Annotated[
        bool | None,
        typer.Option(
            "--integers/--float",
            help="Fit the readout to spikes of the quantized liquid (default) or of the float one.",
        ),
    ] = None,
    bits: Annotated[
        int | None, typer.Option("--bits", help="Weight width, 2..8, of the hardware. New runs: 8.")
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option("--lanes", help="Synaptic operations per clock of the liquid. New runs: 8."),
    ] = None,
    board: Annotated[
        list[str] | None, typer.Option("--board", help="Board to build for; repeat for several.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of everything random. New runs: 0.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Build a liquid and start a run folder: `neurohw reservoir build mnist --data mnist.npz
    --shape 10,10,10`.

    What is left out is what the run folder has, in a new one what is known to work for the data.
    The same options and seed give the same liquid, synapse for synapse.
    """
    given: dict[str, Any] = {
        "topology": topology,
        "shape": whole_numbers(shape),
        "degree": degree,
        "rewiring": rewiring,
        "weight": weight,
        "input_weight": input_weight,
        "input_density": input_density,
        "density": density,
        "formed": formed,
        "spread": spread,
        "decay": decay,
        "spectral_radius": spectral_radius,
        "steps": steps,
        "train_samples": train_samples,
        "test_samples": test_samples,
        "readout": readout,
        "integers": integers,
    }
    path = run or Path("runs") / f"{recipe}-liquid"
    own = RunFolder(path).config.liquid if (path / "run.json").exists() else None
    if own is None or topology not in (None, own.topology):
        own = liquid_named(recipe, topology)
    with option_names({"LiquidConfig.": ""}):
        liquid = dataclasses.replace(own, **{k: v for k, v in given.items() if v is not None})
    options = {
        "data": data,
        "bits": bits,
        "lanes": lanes,
        "seed": seed,
        "boards": tuple(board) if board else None,
    }
    folder = RunFolder.start(path, recipe, liquid, force, **options)
    with stage_progress() as show:
        build_stage(folder, show)
    built = folder.need("liquid")
    rows = {
        "neurons": f"{built['neurons']:,}, {built['inhibitory']:,} inhibitory",
        **{
            name.replace("_", " "): f"{count:,} synapses"
            for name, count in built["synapses"].items()
        },
        "sample": f"{built['inputs']} inputs, {built['steps']} steps",
    }
    _show(rows, f"next: {folder.command('tune')}, or measure, or readout")


@reservoir.command()
def tune(
    run: LiquidRun,
    gain: Annotated[
        float,
        typer.Option(
            "--gain",
            help=(
                "Astrocyte: depression per surplus spike; 0.015 suits 1,000 neurons, 0.0075 8,000."
            ),
        ),
    ] = 0.015,
    astrocyte: Annotated[
        bool,
        typer.Option(
            "--astrocyte/--no-astrocyte", help="Without it, depression has a fixed strength."
        ),
    ] = True,
    steps: Annotated[
        int, typer.Option("--steps", help="Steps for which each sample is heard.")
    ] = 20,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Training samples to hear. Default: all.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Let the liquid tune itself on the training samples: STDP whose depression an astrocyte raises
    when the liquid fires more than its input.

    The labels are not looked at. Later verbs take the tuned liquid; `neurohw reservoir build` with
    the same options does not undo it, other options do.
    """
    folder = RunFolder(run, force=force)
    with stage_progress() as show:
        tune_stage(folder, show, Tuning(gain if astrocyte else None, steps, samples))
    branching = folder.need("tune")["branching_factor"]
    text = (
        f"{_decimal(branching['before'])} before, {_decimal(branching['after'])} after (1 is "
        "critical)"
    )
    _show({"branching factor": text}, f"next: {folder.command('measure')}, or readout")


@reservoir.command()
def measure(
    run: LiquidRun,
    samples: Annotated[int, typer.Option("--samples", help="Test samples to run.")] = 50,
    force: ForceOption = False,
) -> None:
    """Measure the liquid on test samples: branching factor, Lyapunov exponent, ranks, avalanches,
    firing statistics.

    Writes reservoir.json and reservoir.html, a page with figures that needs nothing else.
    """
    folder = RunFolder(run, force=force)
    with stage_progress() as show:
        measure_stage(folder, show, samples)
    values = folder.need("measure")
    ranks, statistics = values["ranks"], values["statistics"]
    rows = {
        "branching factor": f"{_decimal(values['branching_factor'])} (1 is critical)",
        "Lyapunov exponent": (
            f"{_decimal(values['lyapunov_exponent'])} per step (above 0 is chaotic)"
        ),
        "kernel, generalisation rank": (
            f"{ranks['kernel']}, {ranks['generalisation']} of {ranks['inputs']} inputs"
        ),
        "rate": (
            f"{statistics['rate']:.1f} Hz, {100 * statistics['active']:.0f} % of the neurons fire"
        ),
        "spectral radius": _decimal(values["spectral_radius"]),
    }
    _show(rows, f"page: {run / 'reservoir.html'}\nnext: {folder.command('train')}")


@reservoir.command()
def readout(
    run: LiquidRun,
    plastic: Annotated[
        bool,
        typer.Option(
            "--plastic",
            help="Judge the liquid whose weights go on changing within each sample, too.",
        ),
    ] = False,
    force: ForceOption = False,
) -> None:
    """Count the spikes of every sample, fit the linear readout, and attach it: the trained network
    of the run.

    The counts stay in counts.npz, x_train, y_train and so on, for other classifiers. With
    --plastic, plasticity stays on while a sample is heard; this is judged beside, because the
    hardware that follows has fixed weights.
    """
    folder = RunFolder(run, force=force)
    with stage_progress() as show:
        readout_stage(folder, show)
        if plastic:
            readout_stage(folder, show, plastic=True)
    done = folder.need("train")
    rows = {
        "accuracy, float liquid": (
            f"{100 * done['float_accuracy']:.2f} % of {done['test_samples']} test samples"
        ),
        "accuracy, counts of the fit": f"{100 * done['counts_accuracy']:.2f} %",
    }
    if plastic:
        rows["accuracy, plastic"] = f"{100 * folder.need('plastic')['accuracy']:.2f} %"
    _show(rows, f"next: {folder.command('quantize')}")
