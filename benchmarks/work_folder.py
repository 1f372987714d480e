# SPDX-License-Identifier: Apache-2.0
"""A folder of results for benchmarks of many parts: what is there is not computed again, and an
interrupted run goes on.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from neurohw.storage import write_atomically


class Results:
    """The results of a work folder."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def found(self, pattern: str) -> dict[str, dict[str, Any]]:
        """The stored results whose key matches, by key."""
        return {
            p.stem: json.loads(p.read_text()) for p in sorted(self.work.glob(f"{pattern}.json"))
        }


class WorkFolder(Results):
    """A work folder that is being filled, and the progress display."""

    def result(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored result, or the computed one, which is stored; its single numbers are
        printed.
        """
        path = self.work / f"{key}.json"
        if not path.is_file():
            result = compute()
            write_atomically(path, json.dumps(result, indent=1).encode())
            print(key, {k: v for k, v in result.items() if isinstance(v, int | float)}, flush=True)
        return dict(json.loads(path.read_text()))

    def shown(self, text: str, work: Callable[[Callable[[int, int], None]], Any]) -> Any:
        """work(progress) under a progress bar."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, transient=True) as display:
            task = display.add_task(text, total=None)
            return work(lambda done, total: display.update(task, completed=done, total=total))
