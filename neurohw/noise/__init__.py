# SPDX-License-Identifier: Apache-2.0
"""What resistive memory does to a network: a Monte Carlo over chips and times.

experiment = Experiment(trained, Scenario(device_named("pcm")), times=(25.0, 86400.0),
spikes=spikes, labels=labels)
study = monte_carlo({"pcm": experiment}, seeds=range(20), executor=processes(4),
folder=Path("noise"))
study.accuracy("pcm")                        [chip, time]

A chip is one job: programmed from its seed, read and judged at every time. It shares nothing with
other chips, so that it is the same whoever computes it.
"""

from neurohw.noise.cluster import dask
from neurohw.noise.executors import Executor, processes, serial
from neurohw.noise.experiment import Experiment, Scenario, device_from_text
from neurohw.noise.judge import judge_chip, judge_ideal
from neurohw.noise.montecarlo import Study, monte_carlo
from neurohw.noise.outcome import Outcome
from neurohw.noise.store import Store
from neurohw.noise.summary import Statistics, statistics
from neurohw.noise.times import parse_time, time_text

__all__ = [
    "Executor",
    "Experiment",
    "Outcome",
    "Scenario",
    "Statistics",
    "Store",
    "Study",
    "dask",
    "device_from_text",
    "judge_chip",
    "judge_ideal",
    "monte_carlo",
    "parse_time",
    "processes",
    "serial",
    "statistics",
    "time_text",
]
