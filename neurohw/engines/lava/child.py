# SPDX-License-Identifier: Apache-2.0
"""The process that Lava runs in:

`python -m neurohw.engines.lava.child FOLDER PREFIX` runs the jobs that `session` wrote.
"""

import json
import sys
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np

from neurohw.engines.lava.compat import enable
from neurohw.errors import NeurohwError
from neurohw.model_files import load_quantized

FAILED = 3  # exit code with an error file, which the caller raises again


def name_shared_memory(prefix: str) -> None:
    """Give all shared memory of this process and its children names that the caller can find if
    they are killed.
    """
    shared_memory._SHM_NAME_PREFIX = prefix  # type: ignore[attr-defined]
    shared_memory._SHM_SAFE_NAME_LENGTH = len(prefix) + 16  # type: ignore[attr-defined]


def main(folder: Path) -> None:
    """Run every job of the folder, in order, and write its result beside it."""
    enable()
    from neurohw.engines.lava.simulate import simulate

    for job in json.loads((folder / "jobs.json").read_text()):
        place = folder / job["folder"]
        arrays = simulate(
            load_quantized(place / "model"),
            np.load(place / "spikes.npy"),
            job["states"],
            job["side_by_side"],
        )
        np.savez(place / "result.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    name_shared_memory(sys.argv[2])
    try:
        main(Path(sys.argv[1]))
    except NeurohwError as failure:
        report = {"kind": type(failure).__name__, "message": str(failure)}
        (Path(sys.argv[1]) / "error.json").write_text(json.dumps(report))
        sys.exit(FAILED)
