# SPDX-License-Identifier: Apache-2.0
"""The driver of the benchmarks: what is measured again and what is not, ratios, the page, and
workers that speak its protocol with equal equations. No times.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from neurohw.errors import CannotWrite

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = ("bench", "environments", "machine_ceilings", "results_page", "results_plot", "intervals")
TRAINING = ("training_floor", "training_speed", "training_workload")


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """The modules of benchmarks, which import each other as scripts do."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        names = (*SCRIPTS, *TRAINING)
        yield type("scripts", (), {name: __import__(name) for name in names})
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in (*SCRIPTS, *TRAINING):
            sys.modules.pop(name, None)


def tiny(scripts: Any, recurrent: bool) -> Any:
    return scripts.training_workload.Workload(40, 24, 5, recurrent, 30, 6, 0.1, 1)


def test_workers_have_equal_equations(scripts: Any, tmp_path: Path) -> None:
    speed = scripts.training_speed
    curves = []
    for way in ("neurohw", "PyTorch loop"):
        point = speed.Point(way, tiny(scripts, True), losses=8, double=True)
        curves.append(speed.measured(point, tmp_path)["losses"])
    largest, begins = speed.difference(*curves)
    assert len(curves[0]) == 8 and curves[0][0] != curves[0][-1]
    assert largest < 1e-12 and begins is None


def test_a_worker_returns_times_and_memory(scripts: Any, tmp_path: Path) -> None:
    speed = scripts.training_speed
    result = speed.measured(
        speed.Point("neurohw", tiny(scripts, False), least=2, seconds=0.0), tmp_path
    )
    assert len(result["step"]["wall"]) == len(result["forward"]["process"]) == 2
    assert result["memory"] is None or result["memory"] >= 0
    assert set(result["versions"]) == {"torch", "numpy", "neurohw"}


def test_a_worker_that_fails_says_why(scripts: Any, tmp_path: Path) -> None:
    speed = scripts.training_speed
    workload = tiny(scripts, False)
    speed.inputs_of(workload, tmp_path).write_bytes(b"no arrays")
    assert "Error" in speed.measured(speed.Point("PyTorch loop", workload), tmp_path)["error"]


def test_hidden_neurons_fire_as_often_as_inputs(scripts: Any) -> None:
    for density in (0.02, 0.5):
        workload = replace(tiny(scripts, True), steps=100, batch=16, density=density)
        arrays = scripts.training_workload.arrays(workload)
        spikes = np.unpackbits(arrays["spikes"], axis=2, count=40)
        assert spikes.shape == (100, 16, 40) and abs(spikes.mean() - density) < 0.02
        assert np.allclose(arrays["rates"], density, atol=0.02)
        again = scripts.training_workload.arrays(workload)
        assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_keys(scripts: Any) -> None:
    speed = scripts.training_speed
    points = [speed.Point(way, speed.BASE) for way in speed.WAYS]
    points += [
        replace(points[0], round=1),
        replace(points[0], losses=3),
        replace(points[0], workload=replace(speed.BASE, threads=1)),
    ]
    keys = [speed.point_key(p, "a", "m") for p in points]
    assert len(set(keys)) == len(points)
    for point, key in zip(points, keys, strict=True):
        ours = speed.WAYS[point.way].script == "neurohw"
        assert (speed.point_key(point, "b", "m") != key) == ours
        assert speed.point_key(point, "a", "another") != key


def test_source_digest(scripts: Any, tmp_path: Path) -> None:
    def digest() -> str:
        return str(scripts.training_speed.source_digest(tmp_path, ("**/*.py",)))

    (tmp_path / "a.py").write_text("1")
    first = digest()
    (tmp_path / "a.txt").write_text("1")
    assert digest() == first
    (tmp_path / "a.py").write_text("2")
    assert digest() != first


def result(seconds: float, memory: int = 1 << 20, others: float = 0.0) -> dict[str, Any]:
    times = {"wall": [seconds, 2 * seconds, 3 * seconds], "process": [seconds]}
    return {
        "step": times,
        "forward": times,
        "memory": memory,
        "first_seconds": 1.0,
        "others": others,
    }


def test_an_interrupted_run_goes_on(
    scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed, bench = scripts.training_speed, scripts.bench
    points = speed.rounds(["neurohw", "PyTorch loop"], tiny(scripts, False), 2)
    assert [p.way for p in points] == ["neurohw", "PyTorch loop"] * 2
    asked: list[Any] = []

    def measured(point: Any, folder: Path) -> dict[str, Any]:
        asked.append(point)
        if point == points[1]:
            return {"error": "no"}
        return result(1.0, others=1.0 if point == points[2] else 0.0)

    monkeypatch.setattr(bench, "measured", measured)
    path = tmp_path / "points.jsonl"

    def run(again: bool = False) -> list[Any]:
        asked.clear()
        found = bench.run_points(points, speed.Store(path), "package", "machine", again)
        assert list(found) == points and found[points[1]] == {"error": "no"}
        return list(asked)

    assert run() == points
    assert run() == [points[1], points[2]]  # what failed, and what was disturbed
    with path.open("a") as file:
        file.write('{"key": "cut o')
    assert run() == [points[1], points[2]]
    assert run(again=True) == points
    assert len(speed.Store(path).results) == 3


def test_ratios_and_targets(scripts: Any) -> None:
    speed, page = scripts.training_speed, scripts.results_page
    dense = speed.EXTREMES[0]
    results = {
        speed.Point("neurohw", speed.BASE): result(0.01, 1 << 20),
        speed.Point("snnTorch", speed.BASE): result(0.06, 4 << 20),
        speed.Point("SpikingJelly", speed.BASE): result(0.04),
        speed.Point("neurohw", dense): result(0.02),
        speed.Point("SpikingJelly", dense): result(0.01),
        speed.Point("norse", dense): result(0.03),
        speed.Point("sinabs", speed.BASE): {"error": "cannot"},
    }
    for pair, curves in zip(speed.LOSS_PAIRS, ((1.0, 1.0), (1.0, 1.1)), strict=True):
        for name, last in zip(pair, curves, strict=True):
            for double in (False, True):
                results[speed.Point(name, speed.BASE, losses=2, double=double)] = {
                    "losses": [2.0, last]
                }
    training = speed.Training(results)
    assert (
        training.ratio("snnTorch", speed.BASE) == pytest.approx(6)
        and training.ratio("norse", speed.BASE) is None
    )
    assert training.best_peers(dense, 2) == ["SpikingJelly", "norse"]

    def spread(rate):
        return {"median": rate, "lowest": rate / 2, "highest": 1.25 * rate}

    parts = {
        "golden_inference": {
            "ours": "C++, scores",
            "samples_per_second": {
                "C++, scores": spread(50_000.0),
                "C++ without AVX-512, scores": spread(30_000.0),
                "numba": spread(40_000.0),
                "Brian2, Cython, a sample at a time": spread(100.0),
                "Brian2, Cython, 16 samples in one network": spread(200.0),
            },
        },
        "verify_speed": {"clocks": 5_000_000, "command_seconds": {"spikes": 10.0}},
        "flow_time": {"error": "no tools"},
    }
    found = page.Measured(training, parts=parts)
    reached = {what: ok for what, _, ok in page.targets(found)}
    expected = {
        "5 times faster than snnTorch": True,
        "5 times faster than SpikingJelly": False,
        "4 times faster than snnTorch": None,
        "peak memory": True,
        "losses of SpikingJelly": True,
        "losses of snnTorch": False,
        "50 % density": False,
        "batch 1": None,
        "40,000 samples": True,
        "numba": False,
        "Lava": None,
        "a sample at a time": True,
        "16 samples in one network": False,
        "neurohw verify": False,
        "neurohw flow": None,
    }
    for words, ok in expected.items():
        assert [v for what, v in reached.items() if words in what] == [ok], words
    text = page.page(found)
    for words in ("0.50 times faster than SpikingJelly", "no tools", "sinabs failed", "50,000"):
        assert words in text


def test_the_page_and_the_figure_of_nothing(scripts: Any, tmp_path: Path) -> None:
    nothing = scripts.training_speed.Training({})
    assert "not measured" in scripts.results_page.page(scripts.results_page.Measured(nothing))
    scripts.results_plot.draw(nothing, tmp_path / "results.png")
    assert (tmp_path / "results.png").stat().st_size > 1000


def test_differences_of_curves(scripts: Any) -> None:
    difference = scripts.training_speed.difference
    assert difference([1.0, 2.0], [1.0, 2.0]) == (0.0, None)
    assert difference([1.0, 2.0, 1.0], [1.0, 1.0, 1.0]) == (0.5, 2)


def test_the_floor_takes_the_cheaper_product(scripts: Any) -> None:
    workload, floor = tiny(scripts, False), scripts.training_floor.floor_seconds
    ceilings = {"large_product": 1e9, "layer_product": 2e9, "copy": 1e9, "cache": 4e9}
    rows = workload.steps * workload.batch
    pairs = [rows * n for n in (40 * 24, 24 * 24, 24 * 5)]
    sparse = floor(workload, (0.1, 0.1), ceilings)
    assert sparse["products with spikes"] == pytest.approx(2 * 0.1 * sum(pairs) / 1e9)
    assert sparse["gradient by hidden spikes"] == pytest.approx(sum(pairs[1:]) / 2e9)
    dense = floor(replace(workload, density=0.9), (0.9, 0.9), ceilings)
    assert dense["products with spikes"] == pytest.approx(2 * sum(pairs) / 2e9)
    assert json.dumps(sparse)


def test_a_part_without_its_data_is_left_out(scripts, monkeypatch):
    bench = scripts.bench
    monkeypatch.setattr(
        bench.subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be run")
    )
    assert bench.part_options("flow_time", None) == []
    assert bench.part_options("verify_speed", Path("mnist.npz")) == ["mnist.npz"]
    assert bench.run_part("verify_speed", None, "sources", "machine", True) == {}


def test_pages_and_figures_replace_only_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--out notes.md` loses nothing, and the page that took hours is printed."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        outputs = __import__("outputs")
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("outputs", None)
    page, notes = tmp_path / "page.md", tmp_path / "notes.md"
    for text in ("# Speed\n\n1\n", "# Speed\n\n2\n"):
        outputs.write_page(page, text)
    notes.write_text("# Notes\n")
    with pytest.raises(CannotWrite, match=r"notes\.md: another file than this benchmark's"):
        outputs.write_page(notes, "# Speed\n\n3\n")
    assert (
        "3" in capsys.readouterr().out
        and page.read_text().endswith("2\n")
        and notes.read_text() == "# Notes\n"
    )
    for figures in ({"ours": 1}, {"ours": 2, "more": 3}):
        outputs.write_json(tmp_path / "f.json", figures)
    for text in ('{"name": "package"}', "[1]", "not json"):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(CannotWrite):
            outputs.write_json(tmp_path / "other.json", {"ours": 1})
        assert (tmp_path / "other.json").read_text() == text
    figure = Figure()
    for _ in range(2):
        outputs.write_figure(figure, tmp_path / "page.png", dpi=20)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG my photo")
    with pytest.raises(CannotWrite):
        outputs.write_figure(figure, tmp_path / "photo.png")
    assert (tmp_path / "photo.png").read_bytes() == b"\x89PNG my photo"
