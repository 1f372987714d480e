# SPDX-License-Identifier: Apache-2.0
"""Two processes under `torchrun` against one: gradients, trainings, interruptions, the command
line.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurohw import load_trained
from neurohw.errors import InvalidData, MissingTool
from neurohw.flow import RunConfig, RunFolder
from neurohw.train import distributed
from tests.train import distributed_cases as cases

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, with a free port of their own."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *arguments,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
    }
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=600
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have computed; the last training was killed after its second epoch."""
    path = tmp_path_factory.mktemp("two")
    done = torchrun("tests/train/distributed_cases.py", str(path), "whole")
    assert done.returncode != 0 and "exitcode  : 9" in done.stderr, done.stdout + done.stderr
    return path


@pytest.fixture(scope="module")
def both(folder: Path) -> list[dict]:
    return [torch.load(folder / f"whole-{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", cases.CASES)
def test_gradients_are_those_of_the_joined_batch(both: list[dict], name: str) -> None:
    alone = cases.gradients(name)
    for found in both:
        together = found["gradients"][name]
        assert set(together) == set(alone)
        for key, value in alone.items():
            torch.testing.assert_close(together[key].to(value.dtype), value, rtol=1e-10, atol=1e-12)
    assert all(
        torch.equal(both[0]["gradients"][name][key], both[1]["gradients"][name][key])
        for key in alone
    )
    assert any(
        float(value.abs().sum()) > 0 for key, value in alone.items() if key.endswith("weight")
    )


def test_distributed_data_parallel_takes_the_module(both: list[dict]) -> None:
    alone = cases.wrapped()
    for found in both:
        for key, value in alone.items():
            torch.testing.assert_close(found["wrapped"][key], value, rtol=1e-10, atol=1e-12)


def test_two_processes_train_the_network_of_one(both: list[dict]) -> None:
    alone = cases.trained()
    for found in both:
        for epoch, expected in zip(found["history"], alone.info["history"], strict=True):
            assert epoch == pytest.approx(expected, rel=1e-9)
        for key, value in alone.parameters.items():
            np.testing.assert_allclose(
                found["parameters"][key].numpy(), value, rtol=1e-7, atol=1e-9
            )
    assert all(
        torch.equal(both[0]["parameters"][key], both[1]["parameters"][key])
        for key in alone.parameters
    )
    assert [found["seen"] for found in both] == [[1, 2, 3], []]  # only the first shows progress


def test_another_training_in_one_process_is_refused(both: list[dict]) -> None:
    assert all(
        "processes [1] have another network, dataset or configuration" in found["refused"]
        for found in both
    )


@pytest.mark.slow
def test_a_killed_training_goes_on(folder: Path, both: list[dict]) -> None:
    """Only the first process has a checkpoint; the others have it from there."""
    assert (folder / "checkpoint-0" / "checkpoint.pt").is_file() and not (
        folder / "checkpoint-1"
    ).exists()
    done = torchrun("tests/train/distributed_cases.py", str(folder), "interrupted")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "checkpoint-1").exists()
    for rank, found in enumerate(both):
        resumed = torch.load(folder / f"resumed-{rank}.pt")
        assert resumed["history"] == found["history"]
        assert all(
            torch.equal(resumed["parameters"][key], value)
            for key, value in found["parameters"].items()
        )
        assert resumed["seen"] == ([3] if rank == 0 else [])


@pytest.mark.slow
def test_the_command_line_under_torchrun(tmp_path: Path) -> None:
    """The two dashes keep torchrun, which has options beginning with --run, from reading ours."""
    run = tmp_path / "run"
    arguments = ("-m", "--", "neurohw", "train", "digits", "--epochs", "1", "--run", str(run))
    done = torchrun(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("float accuracy") == 1
    result = RunFolder(run).need("train")
    trained = load_trained(run / "trained")
    assert result["digest"] and len(trained.info["history"]) == 1 and result["float_accuracy"] > 0.5
    assert RunFolder(run).config == RunConfig("digits", epochs=1)
    assert not (run / "checkpoints").exists()


def test_stages_that_processes_cannot_share_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = importlib.import_module("neurohw.cli.runs")
    folder = RunFolder(tmp_path, RunConfig("digits"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidData, match="leave torchrun out"):
        cli.execute(folder, ("quantize",))


@pytest.mark.parametrize("kind", ["cuda", "tpu"])
def test_a_device_that_is_not_here_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(torch.cuda.device_count()))
    with pytest.raises(MissingTool, match=f"device '{kind}'.*train on 'cpu'"):
        distributed.own_device(kind)


def test_parts_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample belongs to one process, sizes differ by at most one, shares add up to 1."""
    for size in range(1, 30):
        for count in range(1, 9):
            monkeypatch.setattr(distributed, "count", lambda count=count: count)
            parts = []
            for rank in range(count):
                monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
                parts.append(distributed.part_of(size))
            assert sum(p.share for p in parts) == pytest.approx(1.0, abs=1e-12)
            if size < count:
                assert all((p.begin, p.end, p.whole) == (0, size, True) for p in parts)
                continue
            assert [k for p in parts for k in range(size)[p.own]] == list(range(size))
            lengths = {p.end - p.begin for p in parts}
            assert max(lengths) - min(lengths) <= 1 and min(lengths) > 0
            assert all(p.whole == (count == 1) for p in parts)
