# SPDX-License-Identifier: Apache-2.0
"""Measured points of training: one framework, one workload, one process.

Each is kept as a line of JSON and not measured again until something it depends on changes.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from environments import environment
from training_workload import Workload, save

from neurohw.storage import canonical_json

HERE = Path(__file__).resolve().parent
COMMON = (
    "torch==2.13.0",
    "numpy==2.3.5",
)  # the version of this package: libraries of matrix products are the same for all
TIMEOUT = 600.0
OURS = "neurohw"
DISTURBED = (
    # processors: a point during which other processes took more is shown, but measured again in the
    # next run
    0.2
)


@dataclass(frozen=True)
class Way:
    """A framework with its options. requirements: of its environment; none: that of this
    process.
    """

    script: str
    requirements: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        """True for other packages; the plain loop is none."""
        return bool(self.requirements)


WAYS = {
    OURS: Way("neurohw"),
    "snnTorch": Way("snntorch", ("snntorch==1.0.0",)),
    "SpikingJelly": Way("spikingjelly", ("spikingjelly==2.0.0",)),
    "norse": Way("norse", ("norse==1.1.0",)),
    "sinabs": Way("sinabs", ("sinabs==3.1.3",)),
    "PyTorch loop": Way("pytorch"),
    "torch.compile": Way("pytorch", options={"compile": True}),
    "neurohw, float32 stimulus": Way("neurohw", options={"floats": True}),
    "neurohw, delayed reset": Way("neurohw", options={"delayed_reset": True}),
}
PEERS = [name for name, way in WAYS.items() if way.is_peer]
ALL = [OURS, *PEERS, "PyTorch loop"]
OTHERS = ["neurohw, float32 stimulus", "torch.compile"]  # on the base alone
BASE = Workload()
RECURRENT = replace(BASE, recurrent=True)
AXES: dict[str, tuple[float, ...]] = {
    "batch": (1, 16, 128, 512),
    "steps": (25, 100, 400),
    "width": (128, 256, 512, 1024),
    "density": (0.01, 0.05, 0.2, 0.5),
    "threads": (1, 2),
}
EXTREMES = (replace(BASE, density=0.5), replace(BASE, batch=1))  # where all peers are measured
# equal equations
LOSS_PAIRS = (("neurohw", "SpikingJelly"), ("neurohw, delayed reset", "snnTorch"))


@dataclass(frozen=True)
class Point:
    """One process:

    `round` of several, `losses` steps whose losses are wanted (0: times), and at least so many
    timed steps that last so long.
    """

    way: str
    workload: Workload
    round: int = 0
    losses: int = 0
    double: bool = False
    least: int = 5
    seconds: float = 1.5


def source_digest(root: Path, patterns: Iterable[str]) -> str:
    """SHA-256 of the files of a folder that match glob patterns."""
    sha = hashlib.sha256()
    for path in sorted({p for pattern in patterns for p in root.glob(pattern)}):
        sha.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return sha.hexdigest()


def point_key(point: Point, package: str, machine: str) -> str:
    """What a measured point depends on: itself, its worker, versions, the machine, and for our own
    ones the digest of the package.
    """
    way = WAYS[point.way]
    workers = [
        HERE / name
        for name in ("training_workload.py", "training_worker.py", f"training_{way.script}.py")
    ]
    depends = {
        "point": {k: v for k, v in vars(point).items() if k != "workload"}
        | point.workload.to_json(),
        "options": dict(way.options),
        "versions": [*COMMON, *way.requirements],
        "python": sys.version,
        "workers": [hashlib.sha256(path.read_bytes()).hexdigest() for path in workers],
        "package": package if way.script == OURS else "",
        "machine": machine,
    }
    return hashlib.sha256(canonical_json(depends)).hexdigest()


class Store:
    """Measured points by key in a file of JSON lines; a line that an interruption cut off is
    ignored.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.results = path, dict[str, dict[str, Any]]()
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                entry = json.loads(line)
                self.results[entry["key"]] = entry["result"]
            except (json.JSONDecodeError, KeyError):
                continue

    def add(self, key: str, point: Point, result: dict[str, Any]) -> None:
        """Keep a result; the last one of a key counts."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        described = {k: v for k, v in vars(point).items() if k != "workload"} | {
            "workload": point.workload.to_json()
        }
        with self.path.open("a") as file:  # begins a line, whatever an interruption left
            file.write("\n" + json.dumps({"key": key, "point": described, "result": result}) + "\n")
        self.results[key] = result


def disturbed(result: Mapping[str, Any]) -> bool:
    """True where other processes took part of the machine while this was timed."""
    return (result.get("others") or 0.0) > DISTURBED


def inputs_of(workload: Workload, folder: Path) -> Path:
    """The file with the arrays of a workload, the same for any number of threads; written where it
    is absent.
    """
    described = replace(workload, threads=0).to_json()
    code = (HERE / "training_workload.py").read_bytes()
    path = folder / f"{hashlib.sha256(canonical_json(described) + code).hexdigest()[:16]}.npz"
    if not path.is_file():
        save(workload, path)
    return path


def measured(point: Point, folder: Path) -> dict[str, Any]:
    """What a worker prints, or {"error": its words}."""
    way = WAYS[point.way]
    python = (
        environment(way.script, (*COMMON, *way.requirements))
        if way.is_peer
        else Path(sys.executable)
    )
    options = {
        "inputs": str(inputs_of(point.workload, folder)),
        "threads": point.workload.threads,
        "double": point.double,
        "losses": point.losses,
        "least": point.least,
        "seconds": point.seconds,
        **way.options,
    }
    script = HERE / f"training_{way.script}.py"
    threads = {name: str(point.workload.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    paths = (
        {}
        if way.is_peer
        else {"PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    )
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [str(python), str(script), json.dumps(options)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=inherited | threads | paths,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {TIMEOUT:g} s"}
    if done.returncode:
        return {"error": done.stderr.strip()[-500:]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rounds(names: Sequence[str], workload: Workload, count: int, **options: Any) -> list[Point]:
    """Every way once in each round, so that a slow minute of the machine hits all."""
    return [Point(name, workload, number, **options) for number in range(count) for name in names]


def scaled() -> Iterator[Workload]:
    """The base with one axis at a time at other values."""
    for axis, values in AXES.items():
        for value in values:
            workload = replace(BASE, **{axis: value})  # type: ignore[arg-type]
            if workload != BASE:
                yield workload


def comparison_points(quick: bool) -> list[Point]:
    """All frameworks on the base and on its recurrent form, and at the extremes."""
    options: dict[str, Any] = {"least": 3, "seconds": 0.5} if quick else {}
    count = 1 if quick else 3
    points = rounds(ALL, BASE, count, **options) + rounds(ALL, RECURRENT, count, **options)
    points += [p for workload in EXTREMES for p in rounds(ALL, workload, min(count, 2), **options)]
    return points if quick else [*points, *(Point(way, BASE) for way in OTHERS)]


def scaling_points(best: Sequence[str]) -> list[Point]:
    """Ours and the best peers along the axes."""
    return [
        p
        for w in scaled()
        if w not in EXTREMES
        for p in rounds([OURS, *best], w, 2, least=3, seconds=1.0)
    ]


def loss_points(quick: bool) -> list[Point]:
    """Both of every pair with equal equations, in float32 and, where rounding is out of sight, in
    float64.
    """
    workload, steps = (
        (replace(BASE, batch=16, threads=1), 10) if quick else (replace(BASE, threads=1), 100)
    )
    names = [name for pair in LOSS_PAIRS for name in pair]
    return [
        Point(name, workload, losses=steps, double=double)
        for double in (False, True)
        for name in names
    ]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


class Training:
    """Results by way and workload, all rounds together."""

    def __init__(self, results: Mapping[Point, dict[str, Any]]) -> None:
        self.results = dict(results)

    def _of(self, way: str, workload: Workload) -> list[dict[str, Any]]:
        return [
            r
            for p, r in self.results.items()
            if (p.way, p.workload, p.losses) == (way, workload, 0) and "error" not in r
        ]

    def times(
        self, way: str, workload: Workload, part: str = "step", clock: str = "wall"
    ) -> list[float]:
        """Seconds of every timed step ("step") or pass without gradients ("forward")."""
        return [t for result in self._of(way, workload) for t in result[part][clock]]

    def memory(self, way: str, workload: Workload) -> float | None:
        """Bytes at the peak above the idle process, the median of the rounds;

        None where it is unknown.
        """
        found = [r["memory"] for r in self._of(way, workload) if r["memory"] is not None]
        return statistics.median(found) if found else None

    def first_seconds(self, way: str, workload: Workload) -> float | None:
        """Of the first step."""
        return next((r["first_seconds"] for r in self._of(way, workload)), None)

    def ratio(self, way: str, workload: Workload, part: str = "step") -> float | None:
        """How many times longer a way takes than ours; None where one of them was not measured."""
        theirs, ours = self.times(way, workload, part), self.times(OURS, workload, part)
        return statistics.median(theirs) / statistics.median(ours) if theirs and ours else None

    def best_peers(self, workload: Workload, count: int = 1) -> list[str]:
        """The fastest peers of a workload."""
        done = [
            (statistics.median(times), name)
            for name in PEERS
            if (times := self.times(name, workload))
        ]
        return [name for _, name in sorted(done)[:count]]

    def losses(self, way: str, double: bool) -> list[float]:
        """The curve, empty where it is missing."""
        found = (
            r for p, r in self.results.items() if p.way == way and p.losses and p.double == double
        )
        return next((list(r["losses"]) for r in found if "losses" in r), [])

    def others(self) -> float | None:
        """The most processors that other processes took while something was timed;

        None where it is unknown.
        """
        return max(
            (r["others"] for r in self.results.values() if r.get("others") is not None),
            default=None,
        )

    def errors(self) -> dict[str, str]:
        """What failed, by way."""
        return {p.way: r["error"] for p, r in self.results.items() if "error" in r}

    def versions(self) -> dict[str, str]:
        """Of every package that took part."""
        found: dict[str, str] = {}
        for result in self.results.values():
            found |= result.get("versions", {})
        return found


def difference(
    a: Sequence[float], b: Sequence[float], begins: float = 1e-6
) -> tuple[float, int | None]:
    """The largest relative difference of two curves, and the first step, from 1, where it is above
    `begins`, or None.
    """
    relative = [abs(x - y) / max(abs(x), abs(y), 1e-30) for x, y in zip(a, b, strict=True)]
    return max(relative), next((i + 1 for i, d in enumerate(relative) if d > begins), None)
