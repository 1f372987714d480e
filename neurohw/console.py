# SPDX-License-Identifier: Apache-2.0
"""The terminal: a console for results and one for errors, and the progress of stages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from neurohw import processes

# names of files are printed as they are, brackets too: what is coloured has a style
console = Console(markup=False)
errors = Console(stderr=True, markup=False)
Show = Callable[[str, str, float | None], None]


@contextmanager
def stage_progress() -> Iterator[Show]:
    """A bar per stage; the value is the callback (stage, text, fraction done or None) that moves
    it. Of several processes only the first shows anything.
    """
    if not processes.is_first():
        yield lambda stage, text, fraction: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[stage]:9}"),
        BarColumn(24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as display:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, text: str, fraction: float | None) -> None:
            if stage not in tasks:
                tasks[stage] = display.add_task(text, stage=stage, total=1.0)
            display.update(tasks[stage], description=text, completed=fraction)

        try:
            yield show
        except BaseException:  # what got no further than its start is no news beside the error
            for task in display.tasks:
                if task.description == "started":
                    display.remove_task(task.id)
            raise
