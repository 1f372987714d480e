# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw.errors import BrokenFile, InvalidData, InvalidModel, NeurohwError
from neurohw.memristor import CrossbarMapping, device_named, without_noise
from neurohw.noise import (
    Outcome,
    Study,
    dask,
    judge_chip,
    judge_ideal,
    monte_carlo,
    parse_time,
    processes,
    time_text,
)
from neurohw.noise.executors import Experiments, Finished, Job, serial
from neurohw.noise.summary import rows, statistics, to_csv, to_json, to_markdown
from tests.noise.common import experiment

pytestmark = pytest.mark.timeout(300)


def some() -> dict[str, Any]:
    return {
        "pcm": experiment("pcm", samples=60),
        "read": experiment("reram_wan", samples=60, read_noise="read", bits=4),
        "none": experiment(without_noise(device_named("pcm")), samples=60),
    }


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_serial_and_processes_give_the_same_bytes(tmp_path: Path) -> None:
    one = monte_carlo(some(), range(3), serial, tmp_path / "serial")
    two = monte_carlo(some(), range(3), processes(2), tmp_path / "processes")
    assert one.outcomes == two.outcomes and one.ideal == two.ideal
    written = files(tmp_path / "serial")
    assert written == files(tmp_path / "processes") and len(written) == 3 * (2 + 3)
    assert one.outcomes["pcm"][1] == judge_chip(some()["pcm"], 1)
    assert set(one.ideal["read"]) == {"float", "int4"} and set(one.ideal["pcm"]) == {"float"}
    assert one.ideal["read"]["int4"] == judge_ideal(some()["read"], 4)
    assert one.baseline("pcm") == one.baseline("read") == float(one.accuracy("none")[0, 0])
    assert one.accuracy("none").shape == (3, 3) and np.ptp(one.accuracy("none")) == 0


@pytest.mark.slow
def test_dask_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also where jobs run beside each other in threads of one worker."""
    distributed = pytest.importorskip("distributed")
    monte_carlo(some(), range(3), serial, tmp_path / "serial")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs="ERROR"
    ) as cluster:
        study = monte_carlo(some(), range(3), dask(cluster.scheduler_address), tmp_path / "dask")
    assert not study.failures
    assert files(tmp_path / "serial") == files(tmp_path / "dask")


@pytest.mark.slow
def test_dask_goes_on_when_a_worker_dies() -> None:
    distributed = pytest.importorskip("distributed")
    jobs = {"pcm": experiment("pcm", samples=120)}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        killed: list[int] = []

        def kill_one(study: Study, done: int, total: int) -> None:
            if done == 2 and not killed:
                with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
                    killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        study = monte_carlo(jobs, range(12), dask(cluster.scheduler_address), progress=kill_one)
    assert killed and not study.failures
    assert study.outcomes == monte_carlo(jobs, range(12)).outcomes


def test_no_scheduler_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("neurohw.noise.cluster.TIMEOUT_SECONDS", 1)
    with pytest.raises(
        NeurohwError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9' .*dask scheduler"
    ):
        monte_carlo(some(), [0], dask("tcp://127.0.0.1:9"))


@pytest.mark.parametrize("executor", [serial, processes(2)], ids=["serial", "processes"])
def test_interrupted_and_resumed_is_the_same(executor: Any, tmp_path: Path) -> None:
    straight = monte_carlo(some(), range(4), serial, tmp_path / "straight")

    def interrupt(study: Study, done: int, total: int) -> None:
        assert total == 12
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        monte_carlo(some(), range(4), executor, tmp_path / "resumed", interrupt)
    assert len(list((tmp_path / "resumed").glob("*/chips/*.json"))) == 5
    assert not [p for p in (tmp_path / "resumed").rglob("*") if p.name.startswith(".")]
    computed: list[Job] = []

    def counting(experiments: Experiments, jobs: Sequence[Job]) -> Iterator[Finished]:
        computed.extend(jobs)
        yield from serial(experiments, jobs)

    seen: list[tuple[int, int]] = []
    study = monte_carlo(
        some(),
        range(4),
        counting,
        tmp_path / "resumed",
        lambda s, done, total: seen.append((done, total)),
    )
    assert len(computed) == 7 and seen == [(n, 12) for n in range(5, 13)]
    assert study.outcomes == straight.outcomes and to_json(study) == to_json(straight)
    assert files(tmp_path / "resumed") == files(tmp_path / "straight")


def test_more_chips_and_devices_go_on_in_the_same_folder(tmp_path: Path) -> None:
    monte_carlo({"pcm": some()["pcm"]}, range(2), folder=tmp_path)
    before = files(tmp_path)
    study = monte_carlo(some(), range(3), folder=tmp_path)
    assert before.items() <= files(tmp_path).items()
    assert to_json(study) == to_json(monte_carlo(some(), range(3)))


def test_another_experiment_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    monte_carlo({"a": experiment(samples=30)}, [0], folder=tmp_path)
    others = {
        r"scenario\.read_noise is step there, and none now": experiment(
            samples=30, read_noise="none"
        ),
        r"scenario\.mapping\.levels is none there, and 8 now": experiment(
            samples=30, mapping=CrossbarMapping(levels=8)
        ),
        r"samples is [0-9a-f]{12} there, and [0-9a-f]{12} now": experiment(samples=31),
        r"times is \[25.0, 3600.0, 31536000.0\] there, and \[1.0\] now": experiment(
            samples=30, times=(1.0,)
        ),
        r"scenario\.device\.kind is pcm there, and reram_cmo now": experiment(
            "reram_cmo", samples=30
        ),
    }
    kept = files(tmp_path)
    for message, other in others.items():
        with pytest.raises(InvalidData, match=f"a holds results of another experiment: {message}"):
            monte_carlo({"a": other}, [0], folder=tmp_path)
    assert files(tmp_path) == kept


def test_damaged_files_are_named(tmp_path: Path) -> None:
    jobs = {"a": experiment(samples=30)}
    monte_carlo(jobs, [0], folder=tmp_path)
    for name, content in (
        ("chips/0.json", '{"confusion": [[1]]'),
        ("chips/0.json", "{}"),
        ("ideal.json", "[3]"),
        ("experiment.json", ""),
    ):
        file = tmp_path / "a" / name
        whole = file.read_text()
        file.write_text(content)
        with pytest.raises(BrokenFile, match=f"{name}: truncated or unreadable"):
            monte_carlo(jobs, [0], folder=tmp_path)
        file.write_text(whole)
    assert monte_carlo(jobs, [0], folder=tmp_path).outcomes["a"][0].samples == 30


def test_a_failing_chip_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(experiment: Any, seed: int) -> Outcome:
        if seed == 1:
            raise MemoryError("no room")
        return judge_chip(experiment, seed)

    jobs = {"a": experiment(samples=30)}
    with monkeypatch.context() as patch:
        patch.setattr("neurohw.noise.executors.judge_chip", fails)
        study = monte_carlo(jobs, range(3), folder=tmp_path)
    assert list(study.failures) == [Job("a", 1)] and isinstance(
        study.failures[Job("a", 1)], MemoryError
    )
    assert sorted(study.outcomes["a"]) == [0, 2] and to_json(study)["a"]["failures"] == {
        "1": "no room"
    }
    assert sorted(monte_carlo(jobs, range(3), folder=tmp_path).outcomes["a"]) == [0, 1, 2]


def children() -> list[int]:
    """Process numbers of the spawned workers of this process."""
    import multiprocessing

    return [p.pid for p in multiprocessing.active_children() if p.pid is not None]


def test_a_killed_process_loses_nothing() -> None:
    jobs = {"a": experiment(samples=120)}
    killed: list[int] = []

    def kill_one(study: Study, done: int, total: int) -> None:
        if done == 2:
            killed.append(children()[0])
            os.kill(killed[0], signal.SIGKILL)

    study = monte_carlo(jobs, range(8), processes(2), progress=kill_one)
    assert killed and not study.failures and not children()
    assert study.outcomes == monte_carlo(jobs, range(8)).outcomes


def test_a_job_that_always_kills_its_process_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killer beside the run shoots every process that works on chip 1."""
    from neurohw.noise import executors

    real = executors._Worker.start

    def start(worker: Any, job: Job, tries: int) -> None:
        real(worker, job, tries)
        if job.seed == 1:
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(executors._Worker, "start", start)
    study = monte_carlo({"a": experiment(samples=30)}, range(4), processes(1))
    assert sorted(study.outcomes["a"]) == [0, 2, 3] and not children()
    assert (
        str(study.failures[Job("a", 1)])
        == "its process ended 2 times with signal SIGKILL; is there enough memory?"
    )


def test_what_no_chip_can_be_made_of_is_one_error() -> None:
    with pytest.raises(InvalidModel, match="weights of both signs"):
        monte_carlo({"a": experiment(mapping=CrossbarMapping("unipolar"))}, range(50), processes(2))
    with pytest.raises(InvalidData, match="at least one of each"):
        monte_carlo({}, range(3))
    with pytest.raises(InvalidData, match="no seed twice"):
        monte_carlo(some(), [3, 3])
    with pytest.raises(InvalidData, match="at least 1 is needed, not 0"):
        processes(0)


def test_summaries() -> None:
    s = statistics(np.array([0.5, 0.7, 0.9]))
    assert (
        (s.chips, s.min, s.max) == (3, 0.5, 0.9)
        and s.mean == pytest.approx(0.7)
        and s.sd == pytest.approx(0.2)
    )
    assert statistics(np.array([0.5])).sd is None
    study = monte_carlo(some(), range(3))
    found = rows(study)
    assert [(n, t) for n, t, _ in found] == [
        (n, t) for n in some() for t in (25.0, 3600.0, 31536000.0)
    ]
    values = study.accuracy("pcm")[:, 2]
    assert found[2][2].mean == pytest.approx(values.mean()) and found[2][2].sd == pytest.approx(
        values.std(ddof=1)
    )
    lines = to_csv(study).splitlines()
    assert len(lines) == 10 and lines[0] == "experiment,seconds,chips,mean,sd,min,max,float"
    assert [float(x) for x in lines[3].split(",")[1:3]] == [31536000.0, 3.0]
    table = to_markdown(study).splitlines()
    assert table[0] == "| experiment | chips | float | int4 | 25s | 1h | 1y |"
    assert (
        f"{100 * values.mean():.2f} ± {100 * values.std(ddof=1):.2f}, min {100 * values.min():.2f}"
        in table[2]
    )
    assert (
        json.loads(json.dumps(to_json(study), allow_nan=False))["pcm"]["accuracy"]["0"]
        == study.accuracy("pcm")[0].tolist()
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("25s", 25.0),
        ("0", 0.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("1Y", 31536000.0),
        (" 10 min", 600.0),
        ("2w", 1209600.0),
        ("1e-3s", 0.001),
    ],
)
def test_times_as_text(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds
    assert parse_time(time_text(seconds)) == seconds


def test_times_are_written_in_their_largest_unit() -> None:
    assert [time_text(t) for t in (25.0, 3600.0, 86400.0, 31536000.0, 5400.0, 0.5, 0.0)] == [
        "25s",
        "1h",
        "1d",
        "1y",
        "90min",
        "0.5s",
        "0s",
    ]
    for wrong in ("1 month", "", "h", "1h30", "-5s", "nan", "1.2.3s"):
        with pytest.raises(InvalidData, match="write 25s, 1h, 1d or 1y"):
            parse_time(wrong)
