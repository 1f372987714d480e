# SPDX-License-Identifier: Apache-2.0
"""What the stages write, checked before the first of them begins: a training must not end at a
folder that it may not replace.
"""

from collections.abc import Collection

from neurohw.flow.run_folder import RunFolder
from neurohw.storage import check_file, check_folder

FOLDERS = {
    "train": {"trained": "trained", "trained_float": "trained"},
    "quantize": {"quantized": "quantized"},
    "emit": {"rtl": "rtl"},
}
FILES = {
    "crosscheck": {"mismatch.svg": "picture"},
    "build": {"build/build.json": "build"},
    "report": {"report.json": "report", "report.html": "page"},
}


def check_outputs(run: RunFolder, stages: Collection[str]) -> None:
    """Raise CannotWrite, naming it, for anything in the run folder that one of the stages could not
    replace.
    """
    for stage in stages:
        folders = dict(FOLDERS.get(stage, {}))
        if stage == "build":
            folders |= {f"build/{board}": "bitstream" for board in run.config.boards}
        for name, kind in folders.items():
            folder = run.path / name
            # of a package with a truncated manifest only `emit` knows the files
            own = (
                {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
                if kind == "rtl" and folder.is_dir()
                else None
            )
            check_folder(folder, kind, own, run.force)
        for name, kind in FILES.get(stage, {}).items():
            check_file(run.path / name, kind, run.force)
