# SPDX-License-Identifier: Apache-2.0
"""Where the hand-written sources lie: in the package that was installed, or beside it in a
checkout.

`rtl/`, `sim/` and `boards/` stand at the top of the repository. A wheel carries them as
`neurohw/_sources/`. A folder beside `site-packages/neurohw` is never taken for one of them.
"""

from pathlib import Path

from neurohw.errors import MissingTool

PACKAGE = Path(__file__).resolve().parent
# a file that each folder has in every complete installation
WITNESS = {"rtl": "nhw_population.sv", "sim": "harness.cpp", "boards": "ulx3s/board.toml"}


def _is_checkout(root: Path) -> bool:
    """True for the root of the repository: the package beside its own project file."""
    project = root / "pyproject.toml"
    return project.is_file() and 'name = "neurohw"' in project.read_text(errors="replace")


def _folder(name: str) -> Path:
    installed, root = PACKAGE / "_sources", PACKAGE.parent
    candidates = [installed / name] + ([root / name] if _is_checkout(root) else [])
    for folder in candidates:
        if (folder / WITNESS[name]).is_file():
            return folder
    raise MissingTool(
        f"{' and '.join(map(str, candidates))}: {WITNESS[name]} is not there, so this "
        "installation of neurohw is incomplete; install it again (pip install --force-reinstall "
        "neurohw)"
    )


def rtl_folder() -> Path:
    """The SystemVerilog cores; MissingTool if the installation lacks them."""
    return _folder("rtl")


def sim_folder() -> Path:
    """The native simulation harness; MissingTool if the installation lacks it."""
    return _folder("sim")


def boards_folder() -> Path:
    """One folder per board; MissingTool if the installation lacks them."""
    return _folder("boards")
