# SPDX-License-Identifier: Apache-2.0
"""The verbs that exchange models with other tools: import, check, export."""

import warnings
from collections.abc import Callable
from datetime import datetime
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from neurohw.cli.options import ForceOption
from neurohw.cli.values import whole_numbers
from neurohw.console import console
from neurohw.engines import Model
from neurohw.errors import NeurohwError
from neurohw.export_model import export_model
from neurohw.flow.models import load_model
from neurohw.formats import VALUE
from neurohw.interop import EXPORTS, examine_model, import_model
from neurohw.interop.nir import ORIGINS, TARGETS, DoubtfulImport
from neurohw.interop.nir.report import doubts, in_words, neurons_table
from neurohw.model_files import digest_of, save
from neurohw.network import TrainedNetwork

SourceArgument = Annotated[
    str,
    typer.Argument(help="NIR graph (.nir), lava-dl network (.net), or FILE.py:NAME (snnTorch)."),
]
# of import and check alike: by their names in Python
READING: dict[str, Any] = {
    "written_by": Annotated[
        str | None,
        typer.Option(
            "--from",
            help="NIR: the tool that wrote the file, which sets everything below: "
            f"{', '.join(ORIGINS)}.",
        ),
    ],
    "dt": Annotated[
        float | None,
        typer.Option("--dt", help="NIR: step in the file's unit of time. Default 0.001."),
    ],
    "seconds": Annotated[
        float | None,
        typer.Option("--seconds", help="NIR: a step in seconds, where the file's unit is another."),
    ],
    "discretisation": Annotated[
        str | None,
        typer.Option("--discretisation", help="NIR: exponential_euler (default) or forward_euler."),
    ],
    "reset": Annotated[
        str | None,
        typer.Option("--reset", help="NIR: hard or zero (default), soft or subtract, none."),
    ],
    "delayed_reset": Annotated[
        bool | None,
        typer.Option(
            "--delayed-reset/--no-delayed-reset", help="NIR: the reset acts one step after a spike."
        ),
    ],
    "strict": Annotated[
        bool | None,
        typer.Option(
            "--strict/--not-strict", help="NIR, lava-dl: fire above the threshold, or at it, too."
        ),
    ],
    "refractory": Annotated[
        int | None, typer.Option("--refractory", help="NIR: silent steps after a spike. Default 0.")
    ],
    "gain": Annotated[
        str | None,
        typer.Option(
            "--gain",
            help="NIR: factor of a neuron's input: nir ((1 - decay) r, default), one, or decay.",
        ),
    ],
    "current_gain": Annotated[
        str | None,
        typer.Option(
            "--current-gain",
            help="NIR: the same for a synaptic current: nir ((1 - decay) w_in), one, or decay.",
        ),
    ],
    "begins_at_reset": Annotated[
        bool | None,
        typer.Option(
            "--begins-at-reset/--begins-at-zero", help="NIR: the membrane of the first step."
        ),
    ],
    "latency": Annotated[
        int | None,
        typer.Option(
            "--latency", help="NIR: steps that the tool's neurons answer later. Default 0."
        ),
    ],
    "flatten": Annotated[
        str | None,
        typer.Option("--flatten", help="NIR: channels_first (default) or channels_last."),
    ],
    "recurrent_delay": Annotated[
        int | None,
        typer.Option(
            "--recurrent-delay", help="NIR: steps of an edge that closes a cycle. Default 1."
        ),
    ],
    "steps": Annotated[
        int | None,
        typer.Option("--steps", help="Steps of one sample. Default 100, or what the source says."),
    ],
    "input_shape": Annotated[
        str | None,
        typer.Option(
            "--input-shape",
            help="snnTorch, lava-dl: shape of one step's input, such as 784 or 1,28,28.",
        ),
    ],
}


def _with_reading_options(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb whose `**options` are READING: as its signature, which typer reads."""
    own = [p for p in signature(verb).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    shared = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in READING.items()
    ]
    whole = signature(verb).replace(parameters=own + shared)
    verb.__signature__ = whole  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in own + shared} | {"return": None}
    return verb


def _values(options: dict[str, Any]) -> dict[str, Any]:
    return options | {"input_shape": whole_numbers(options["input_shape"])}


def _show(text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, soft_wrap=True, markup=False)


def _report_of(value: Model) -> dict[str, Any] | None:
    return value.info.get("import") if isinstance(value, TrainedNetwork) else None


def _steps_in_words(value: Model, given: bool) -> str:
    """The steps of a sample, and who says them."""
    told = "given"
    if not given:
        of_file = value.info.get("source") != "snnTorch"
        told = "of the file" if of_file else value.info.get("steps", "default; --steps changes it")
    return f"{value.steps} steps a sample ({told})"


def _show_reading(value: Model, steps_given: bool) -> None:
    """What an import took for granted, and who says it."""
    report = _report_of(value)
    if report is None:
        if isinstance(value, TrainedNetwork) and value.info.get("source") == "NIR":
            _show("rebuilt exactly from the metadata that this program wrote into the file")
        _show(f"dt {value.network.dt:g} s, {_steps_in_words(value, steps_given)}")
        return
    if report["written_by"]:
        _show(f"read as {report['written_by']} writes NIR")
    table = Table("what", "value", "from")
    for row in report["conventions"]:
        table.add_row(row["what"], row["value"], row["from"])
    console.print(table)
    _show(report["steps"])


def _show_neurons(value: Model) -> None:
    report = _report_of(value)
    for row in neurons_table(value) if report is None else report["populations"]:
        _show(in_words(row))


def _show_doubts(value: Model) -> None:
    """Notes of an import, and what is doubtful."""
    report = _report_of(value)
    for text in (value.info if report is None else report).get("notes", []):
        _show(f"note: {text}")
    for text in doubts(report):
        _show(f"warning: {text}", "yellow")


def _standing(out: Path) -> tuple[str, str] | None:
    """Digest of the model saved at a place, and when and how it came there; None without one."""
    try:
        written = datetime.fromtimestamp((out / VALUE).stat().st_mtime)
        model = load_model(out)
    except (NeurohwError, OSError):
        return None
    words, report = [f"written {written:%Y-%m-%d %H:%M}"], _report_of(model)
    if report is not None:
        words += [f"read as {report['written_by']}"] if report["written_by"] else []
        words += [f"{c['what']} {c['value']}" for c in report["conventions"]]
    return digest_of(model), ", ".join(words)


@_with_reading_options
def import_verb(
    source: SourceArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the model.")],
    force: ForceOption = False,
    **options: Any,
) -> None:
    """Take a model over from another tool: `neurohw import net.nir --from snntorch --out model`.

    NIR says neither step nor discretisation nor reset; --from sets what the tool means, every other
    option overrides it, and all of it is printed. What cannot be expressed exactly is refused by
    name: `neurohw check net.nir` lists all of it, with the same options.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DoubtfulImport)  # shown below
        value = import_model(source, **_values(options))
    before = _standing(out)
    digest = save(value, out, force)
    if before is not None and before[0] != digest:
        _show(f"replaced the model that stood there ({before[1]})")
    _show_reading(value, options["steps"] is not None)
    _show_neurons(value)
    _show_doubts(value)
    kind = "trained" if isinstance(value, TrainedNetwork) else "quantized"
    console.print(f"{kind} network {digest[:12]}: {out}", soft_wrap=True)
    engine = "reference" if kind == "trained" else "golden"
    console.print(
        f"next: neurohw run {out} --engine {engine} --input spikes.npz --out trace.npz",
        soft_wrap=True,
    )


@_with_reading_options
def check_verb(source: SourceArgument, **options: Any) -> None:
    """List what becomes of a foreign model: `neurohw check net.nir --from snntorch`.

    Takes the options of `import`, and prints the same assumptions and doubts. Every node, what it
    becomes, and all that cannot be expressed with what to do. Nothing is written. Exit code 1 if
    anything cannot be expressed.
    """
    checked = examine_model(source, **_values(options))
    if checked.model is not None:
        _show_reading(checked.model, options["steps"] is not None)
    table = Table("node", "type", "becomes")
    for finding in checked.findings:
        what = Text(finding.problem, "red") if finding.problem else finding.becomes
        table.add_row(finding.node, finding.kind, what)
    console.print(table)
    if checked.model is not None:
        _show_doubts(checked.model)
    else:
        for text in checked.doubts:
            _show(f"warning: {text}", "yellow")
    wrong, nodes = sum(bool(f.problem) for f in checked.findings), len(checked.findings)
    if wrong:
        _show(f"{source}: {wrong} of {nodes} nodes cannot be expressed", "red")
        raise typer.Exit(1)
    _show(f"{source}: all {nodes} nodes can be expressed")


def export_verb(
    model: Annotated[
        Path, typer.Argument(help="Run folder, or a saved trained or quantized network.")
    ],
    to: Annotated[str, typer.Option("--to", help=f"One of {', '.join(EXPORTS)}.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .nir, or .py for a script.")],
    target: Annotated[
        str | None,
        typer.Option(
            "--for", help=f"With --to nir: the tool that shall read it: {', '.join(TARGETS)}."
        ),
    ] = None,
    integers: Annotated[
        bool, typer.Option("--integers", help="Of a run folder, export the quantized network.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Hand a model to another tool: `neurohw export runs/digits --to brian2 --out network.py`.

    nir writes a graph, with --for in the numbers that the tool's importer expects, refusing what
    the tool would change; snntorch, brian2 and lava write a readable script with its arrays beside
    it, which runs without this framework (lava: soft resets need its processes).
    """
    kind = "integer" if integers or to == "lava" else "float"
    notes = export_model(load_model(model, kind), to, out, target=target, force=force)
    console.print(f"written: {out}", soft_wrap=True)
    for text in notes:
        console.print(f"there: {text}", style="yellow", highlight=False, soft_wrap=True)
