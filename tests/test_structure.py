# SPDX-License-Identifier: Apache-2.0
"""The architecture, checked: imports point one way, and the core loads no heavy library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "neurohw"

# A module may import from its own layer and from the layers before it.
LAYERS = [
    {"processes"},
    {
        "children",
        "console",
        "errors",
        "extras",
        "paths",
        "fixedpoint",
        "neurons",
        "storage",
        "trace",
        "connections",
        "native_library",
    }
    | {"checks", "support", "formats", "ownership", "placing", "writing"},
    {"modulation", "stimulus"},
    {"spike_files"},
    {"network", "step"},
    {"reference", "readout"},
    {"integers"},
    {"golden", "model_files"},
    {"plasticity"},
    {"memristor"},
    {"reservoir"},
    {"data"},
    {"train"},
    {"hardware"},
    {"interop"},
    {"engines"},
    {"noise"},
    {"run_model", "export_model"},
    {"crosscheck"},
    {"report"},
    {"flow"},
    {"cli"},
    {"__main__"},
]
HEAVY = {
    "torch": {"train", "engines", "interop"},
    "brian2": {"engines"},
    "lava": {"engines"},
    "nir": {"interop"},
    "snntorch": {"interop"},
    "h5py": {"interop", "data"},
    "sklearn": {"data"},
    "serial": {"host"},
    "distributed": {"noise"},
    "typer": {"cli"},
    "matplotlib": {"report"},
    "mpl_toolkits": {"report"},
    "jinja2": {"report", "engines"},
}


def layer_of(name: str) -> int:
    found = [i for i, layer in enumerate(LAYERS) if name in layer]
    assert found, f"neurohw/{name} has no layer: add it to LAYERS"
    return found[0]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(
                f"{node.module}.{alias.name}" for alias in node.names if node.module == "neurohw"
            )
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def top_level(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    own = layer_of(top_level(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "neurohw" and len(parts) > 1 and parts[1] != "__version__":
            assert layer_of(parts[1]) <= own, f"{path.name} imports {name}, which stands after it"
        allowed = HEAVY.get(parts[0])
        assert allowed is None or top_level(path) in allowed, (
            f"{path.name} imports {parts[0]}, which belongs to {allowed}"
        )


def test_import_loads_no_heavy_library() -> None:
    code = (
        "import sys, neurohw; print([m for m in ('numpy', 'torch', 'brian2', 'lava', 'nir', "
        "'snntorch', 'h5py', 'sklearn', 'matplotlib', 'distributed') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# of `hardware`: a package, then its simulation, then its bitstream
ROOMS = ("generate", "verify", "build")


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if "hardware" in p.relative_to(PACKAGE).parts],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_hardware_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[1]
    for name in imports(path):
        parts = name.split(".")
        if parts[:2] == ["neurohw", "hardware"] and len(parts) > 2:
            assert parts[2] in ROOMS[: ROOMS.index(own) + 1], (
                f"{path.name} imports {name}, which stands after it"
            )


@pytest.mark.parametrize(
    "init", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_no_module_is_hidden_by_a_name_of_its_package(init: Path) -> None:
    bound = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(init.read_text()))
        if isinstance(node, ast.ImportFrom) and not (node.module or "").endswith(".train")
        for alias in node.names
    }
    modules = {p.stem for p in init.parent.glob("*.py")} | {
        p.parent.name for p in init.parent.glob("*/__init__.py")
    }
    assert not bound & modules


def test_every_source_names_its_licence() -> None:
    """SPDX lines, so that a core that is copied into a package or a project still says whose it
    is.
    """
    root = PACKAGE.parent
    folders = ("neurohw", "rtl", "sim", "boards", "tests", "benchmarks", "findings")
    sources = [
        p
        for f in folders
        for e in ("py", "sv", "cpp", "h", "sh")
        for p in (root / f).rglob(f"*.{e}")
    ]
    assert len(sources) > 300
    for source in sources:
        if not {".work", "__pycache__"} & set(source.parts):
            assert "SPDX-License-Identifier: Apache-2.0" in "".join(
                source.read_text().splitlines(True)[:3]
            ), source
