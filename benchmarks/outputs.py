"""What benchmarks with figures for others write: a page, and the figures as JSON."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurohw.storage import write_atomically


def add_outputs(parser: argparse.ArgumentParser, script: str) -> None:
    """Options --out, by default the page beside the script, and --json."""
    parser.add_argument("--json", type=Path, help="also write the figures as JSON")
    parser.add_argument("--out", type=Path, default=Path(script).with_suffix(".md"))


def write_outputs(arguments: argparse.Namespace, text: str, figures: Mapping[str, Any]) -> None:
    """The page, and the figures where they are wanted; prints the page."""
    write_atomically(arguments.out, text.encode())
    if arguments.json:
        write_atomically(arguments.json, json.dumps(figures, indent=1).encode())
    print(text)
