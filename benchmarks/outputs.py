# SPDX-License-Identifier: Apache-2.0
"""What benchmarks write: a page, figures beside it, and figures for others as JSON.

Each replaces only what a benchmark wrote before.
"""

import argparse
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurohw.errors import CannotWrite
from neurohw.storage import write_atomically


def add_outputs(parser: argparse.ArgumentParser, script: str) -> None:
    """Options --out, by default the page beside the script, and --json."""
    parser.add_argument("--json", type=Path, help="also write the figures as JSON")
    parser.add_argument("--out", type=Path, default=Path(script).with_suffix(".md"))


def write_outputs(arguments: argparse.Namespace, text: str, figures: Mapping[str, Any]) -> None:
    """The page, and the figures where they are wanted; prints the page."""
    print(text)
    write_page(arguments.out, text)
    if arguments.json:
        write_json(arguments.json, figures)


def _replace(path: Path, content: bytes, ours: bool) -> None:
    """Write a file unless something is there that is not `ours`."""
    if os.path.lexists(path) and not ours:
        raise CannotWrite(
            f"{path}: another file than this benchmark's is there: name another with --out, "
            "or move it away"
        )
    write_atomically(path, content)


def _there(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def write_page(path: Path, text: str) -> None:
    """Write a page; CannotWrite, after printing it, unless what it replaces is a page of the same
    title.
    """
    content = text.encode()
    ours = _there(path).split(b"\n", 1)[0] == content.split(b"\n", 1)[0]
    if os.path.lexists(path) and not ours:
        print(text)
    _replace(path, content, ours)


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures; CannotWrite unless what they replace has one of their names, too."""
    try:
        before = json.loads(_there(path) or b"null")
    except ValueError:
        before = None
    _replace(
        path,
        json.dumps(figures, indent=1).encode(),
        isinstance(before, dict) and bool(set(before) & set(figures)),
    )


def write_figure(figure: Any, path: Path, **options: Any) -> None:
    """Write a figure of matplotlib as PNG; CannotWrite unless what it replaces is one, too."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    _replace(path, buffer.getvalue(), b"Software\0Matplotlib" in _there(path)[:1024])
