"""The verbs about everything else: hear, doctor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from neurohw.cli.options import ForceOption
from neurohw.console import console
from neurohw.data.speech import hear_to_file
from neurohw.hardware.build.tools import TOOLS, find_version


def hear(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of <digit>_<speaker>_<index>.wav or of Speech Commands; fsdd downloads 3,000 digits."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File of spikes to write, .npz.")],
    channels: Annotated[int, typer.Option("--channels", help="Filters of the cochlea.")] = 64,
    force: ForceOption = False,
) -> None:
    """Turn speech into spikes: `neurohw hear recordings/ --out spikes.npz`, then `neurohw flow spoken-digits --data spikes.npz`.

    A cochlea of gammatone filters and integrate-and-fire neurons; nothing is downloaded unless fsdd is named.
    """
    with Progress(SpinnerColumn(), BarColumn(24), TextColumn("{task.description}"), console=console) as display:
        task = display.add_task("reading", total=1.0)
        words = hear_to_file(
            source, out, channels, lambda text, done: display.update(task, description=text, completed=done), force
        )
    console.print(f"{words}: {out}", soft_wrap=True)


def doctor() -> None:
    """Which tools are here, their versions, and how to get the missing ones."""
    table = Table("tool", "for", "version", "if missing")
    missing = 0
    for tool in TOOLS:
        found = find_version(tool)
        missing += found is None
        cure = f"pip install {tool.package}" if tool.package else f"install {tool.name} from the system's packages"
        table.add_row(tool.name, tool.purpose, found or "[red]missing[/red]", "" if found else cure)
    console.print(table)
    if missing:
        raise typer.Exit(1)
