# SPDX-License-Identifier: Apache-2.0
"""SystemVerilog as the standard says it (IEEE 1800-2017), by pyslang: what Vivado, ModelSim or VCS
would refuse.

Every warning of slang counts, those of -Wextra and -Wpedantic included, but two:
  useless-cast             whether a cast is useless depends on the parameters of an instance;
  case-redundant-default   `unique case` with a `default` is what Yosys needs to see a full case.
"""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from neurohw.hardware.generate import RtlPackage
from tests.rtl.common import require

OPTIONS = (
    "--std", "1800-2017", "-Wextra", "-Wpedantic", "-Wno-useless-cast",
    "-Wno-case-redundant-default",
)  # fmt: skip
_seen: set[str] = set()  # digests of packages that were found to conform


def complaints(sources: Sequence[Path], top: str, arguments: Iterable[str] = ()) -> str:
    """Errors and warnings of slang for the module `top`, one text; empty where there are none."""
    require(find_spec("pyslang") is not None, "the Python package pyslang")
    from pyslang import DiagnosticEngine, DiagnosticSeverity, driver

    slang = driver.Driver()
    slang.addStandardArgs()
    quoted = [f'"{path}"' for path in sources]
    command = " ".join(["slang", *OPTIONS, "--top", top, *arguments, *quoted])
    if not (
        slang.parseCommandLine(command, driver.CommandLineOptions()) and slang.processOptions()
    ):
        raise ValueError(f"slang does not understand {command}")
    slang.parseAllSources()
    levels = (DiagnosticSeverity.Warning, DiagnosticSeverity.Error, DiagnosticSeverity.Fatal)
    found = slang.createCompilation().getAllDiagnostics()
    kept = [d for d in found if slang.diagEngine.getSeverity(d.code, d.location) in levels]
    return DiagnosticEngine.reportAll(slang.sourceManager, kept) if kept else ""


def package_complaints(package: RtlPackage, folder: Path) -> str:
    """Errors and warnings of slang for a written package; equal packages are looked at once."""
    if package.digest() in _seen:
        return ""
    # slang's command line has no quotes for every name
    with tempfile.TemporaryDirectory() as plain:
        sources = [Path(plain) / name for name in package.sources()]
        for source in sources:
            shutil.copy(Path(folder) / source.name, source)
        text = complaints(sources, str(package.manifest["top"]))
    if not text:
        _seen.add(package.digest())
    return text
