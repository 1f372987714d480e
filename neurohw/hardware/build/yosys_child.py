# SPDX-License-Identifier: Apache-2.0
"""Runs a Yosys script through pyosys.

A Yosys error ends the process, hence a process of its own: python -m
neurohw.hardware.build.yosys_child SCRIPT.
"""

import sys
from pathlib import Path


def main(script: Path) -> None:
    """Run every line of the script as one Yosys pass."""
    from pyosys import libyosys

    design = libyosys.Design()
    for line in script.read_text().splitlines():
        if line.strip():
            print(f"> {line}", flush=True)
            libyosys.run_pass(line, design)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
