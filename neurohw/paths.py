"""Where the hand-written sources of the checkout lie."""

from pathlib import Path

from neurohw.errors import MissingTool


def _folder(name: str) -> Path:
    folder = Path(__file__).resolve().parents[1] / name
    if not folder.is_dir():
        raise MissingTool(f"{folder} is missing: hardware stages need a checkout of the project (pip install -e .)")
    return folder


def rtl_folder() -> Path:
    """The SystemVerilog cores."""
    return _folder("rtl")


def sim_folder() -> Path:
    """The native simulation harness."""
    return _folder("sim")


def boards_folder() -> Path:
    """One folder per board."""
    return _folder("boards")
