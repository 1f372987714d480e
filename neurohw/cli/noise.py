# SPDX-License-Identifier: Apache-2.0
"""`neurohw noise`: chips and times on the command line. It contains no logic of its own."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from neurohw.cli.options import ForceOption
from neurohw.cli.values import option_names
from neurohw.console import console
from neurohw.flow.lock import locked
from neurohw.flow.noise import check_study, folder_name, noise_experiments, write_study
from neurohw.memristor import KINDS, Converter, CrossbarMapping, Faults, Wires
from neurohw.noise import (
    Executor,
    Scenario,
    Study,
    dask,
    device_from_text,
    monte_carlo,
    parse_time,
    processes,
    serial,
)
from neurohw.noise.summary import notes, table


def _executor(count: int | None, address: str | None) -> Executor:
    if address is not None:
        return dask(address)
    return serial if count == 1 else processes(count)


def _table(study: Study) -> Table:
    head, body = table(study, "\n")
    shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)  # four times fit into 80 columns
    shown.add_column("device", overflow="fold")
    for cell in head[1:]:
        shown.add_column(cell, no_wrap=True)
    for cells in body:
        shown.add_row(*cells)
    return shown


def noise(
    model: Annotated[
        Path, typer.Argument(help="Run folder, or a saved trained network (then --recipe, too).")
    ],
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            help=(
                f"Device model; repeat to compare several. One of {', '.join(KINDS)}; parameters "
                "after a colon: pcm:drift_scale=0. Default: pcm."
            ),
        ),
    ] = None,
    chips: Annotated[
        int, typer.Option("--chips", help="Chips of each device.", min=1, max=1_000_000)
    ] = 20,
    times: Annotated[
        str,
        typer.Option(
            "--times", help="Times after programming: s, min, h, d, w, y, separated by commas."
        ),
    ] = "25s,1h,1d,1y",
    read_noise: Annotated[
        str,
        typer.Option(
            "--read-noise",
            help=(
                "step: new at every step, as in use (slowest); read: one read of the weights, "
                "used for all steps; none."
            ),
        ),
    ] = "step",
    compensate: Annotated[
        bool,
        typer.Option(
            "--compensate/--no-compensate", help="Global drift compensation, one factor per tile."
        ),
    ] = False,
    recalibrate: Annotated[
        str | None,
        typer.Option(
            "--recalibrate",
            help=(
                "At every time, by validation samples: columns (a digital gain each), or "
                "thresholds (a factor each)."
            ),
        ),
    ] = None,
    adc_bits: Annotated[
        int | None, typer.Option("--adc-bits", help="ADC of every tile. Default: ideal.")
    ] = None,
    dac_bits: Annotated[
        int | None,
        typer.Option("--dac-bits", help="DAC of inputs that count above 1. Default: ideal."),
    ] = None,
    levels: Annotated[
        int | None, typer.Option("--levels", help="Conductance levels. Default: any value.")
    ] = None,
    scheme: Annotated[
        str,
        typer.Option("--scheme", help="Weights as differential pairs, offset_column or unipolar."),
    ] = "differential",
    scale_per: Annotated[
        str, typer.Option("--scale-per", help="One scale of weights per tile, or per column.")
    ] = "tile",
    tile: Annotated[
        int, typer.Option("--tile", help="Rows and columns of a tile.", min=1, max=65536)
    ] = 256,
    stuck_low: Annotated[
        float, typer.Option("--stuck-low", help="Share of devices stuck at the lowest.")
    ] = 0.0,
    stuck_high: Annotated[
        float, typer.Option("--stuck-high", help="Share of devices stuck at the highest.")
    ] = 0.0,
    unformed: Annotated[
        float, typer.Option("--unformed", help="Share of devices that never conduct.")
    ] = 0.0,
    wire_ohm: Annotated[
        float | None,
        typer.Option("--wire-ohm", help="Resistance between neighbouring devices. Default: none."),
    ] = None,
    exact_wires: Annotated[
        bool,
        typer.Option("--exact-wires", help="Solve the wires exactly (seconds per tile and time)."),
    ] = False,
    bits: Annotated[
        int | None,
        typer.Option(
            "--bits", help="Quantize the weights as read back to 2..8 bits and judge the integers."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", help="Of a saved network: what it was trained for, such as digits or mnist."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="File or folder of the dataset, as for the training."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Test samples, evenly spaced. Default: all.")
    ] = None,
    process_count: Annotated[
        int | None,
        typer.Option("--processes", help="Processes of this machine. Default: one per processor."),
    ] = None,
    dask_address: Annotated[
        str | None,
        typer.Option(
            "--dask", help="Address of a Dask scheduler, tcp://HOST:8786, to use its workers."
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="Seed of the first chip; the others follow.", min=0, max=2**32 - 1
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of results. Default: noise in the run folder, else ./noise."
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """What becomes of a network on resistive memory: many chips, at several times after
    programming.

    neurohw noise runs/mnist --device pcm --device reram_wan --chips 20 --times 25s,1h,1d,1y

    programs the network into 20 chips of each device, reads them at every time, and judges each on
    the test data. The table says mean ± standard deviation over chips in percent, and the worst
    chip; results.json, results.csv, results.md and accuracy.svg are written. One seed is one chip:
    the same on one process, on many, and on a cluster.

    neurohw noise runs/mnist --adc-bits 6 --levels 16 --stuck-low 0.02 --wire-ohm 1 --compensate
    --out runs/mnist/harsh

    adds converters, finite levels, faults, and wires. A saved network needs --recipe and --data:
    neurohw noise model/ --recipe mnist --data mnist.npz.

    neurohw noise runs/mnist --chips 1000 --dask tcp://10.0.0.1:8786

    takes the workers of a cluster. Finished chips are kept: interrupted, the same command goes on;
    with more --chips, or another --device, it computes only those. Other settings need another
    --out. Exit code 1 if a chip failed.
    """
    with option_names({"CrossbarMapping.": ""}):
        mapping = CrossbarMapping(scheme, scale_per, levels, tile, tile)  # type: ignore[arg-type]
    with option_names({"Faults.": ""}):
        faults = Faults(stuck_low, stuck_high, unformed)
    converters = {}
    for option, width in (("--adc-bits", adc_bits), ("--dac-bits", dac_bits)):
        with option_names({"Converter.bits": option}):
            converters[option] = None if width is None else Converter(width)
    method = "exact" if exact_wires else "first_order"
    names = dict.fromkeys(device or ["pcm"])
    with option_names({"Wires.segment_ohm": "--wire-ohm"}):
        wires = None if wire_ohm is None else Wires(wire_ohm, method)  # type: ignore[arg-type]
    with option_names({"Scenario.": ""}):
        scenarios = {
            folder_name(name): Scenario(
                device_from_text(name),
                mapping,
                faults,
                wires,
                converters["--adc-bits"],
                converters["--dac-bits"],
                compensate,
                read_noise,  # type: ignore[arg-type]
                bits,
                recalibrate,  # type: ignore[arg-type]
            )
            for name in names
        }
    executor = _executor(process_count, dask_address)
    folder = out or (model / "noise" if (model / "run.json").exists() else Path("noise"))
    check_study(folder, force)
    with console.status("loading the network and its data"):
        seconds = [parse_time(text) for text in times.split(",")]
        experiments = noise_experiments(model, scenarios, seconds, recipe, data, samples)
    columns = (
        SpinnerColumn(),
        BarColumn(24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console)
    task = bar.add_task("the network without hardware", total=None)
    with Live(bar, console=console, transient=True, refresh_per_second=4) as live:

        def show(study: Study, done: int, total: int) -> None:
            bar.update(task, description=f"{done}/{total} chips", completed=done, total=total)
            live.update(Group(_table(study), bar))

        with locked(folder, f"noise {model}"):
            study = monte_carlo(
                experiments, range(seed, seed + chips), executor, folder, show, force
            )
            files = write_study(study, folder, force)
    console.print(_table(study))
    for note in notes(study):
        console.print(note, soft_wrap=True)
    console.print(f"results: {', '.join(str(f) for f in files)}", soft_wrap=True)
    if study.failures:
        raise typer.Exit(1)
