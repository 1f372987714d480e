# SPDX-License-Identifier: Apache-2.0
"""What tests of training share: a small dataset and network, comparison, interruption."""

import numpy as np

from neurohw import Integrator, Lif, TrainedNetwork, feed_forward
from neurohw.data import Dataset, Encoder, digits
from neurohw.train.fitting import Metrics

NETWORK = feed_forward([64, 16, 10], Lif(0.5), Integrator())
ENCODER = Encoder("phase", 3, offset=0.5)


def small_digits() -> Dataset:
    """The digits with 200 training samples."""
    full = digits()
    parts = [
        (full.x_train[:200], full.y_train[:200]),
        (full.x_validation, full.y_validation),
        (full.x_test, full.y_test),
    ]
    return Dataset("small", *[a for part in parts for a in part], 10, (8, 8))


def assert_equal(a: TrainedNetwork, b: TrainedNetwork) -> None:
    assert a.info == b.info
    assert set(a.parameters) == set(b.parameters)
    assert all(np.array_equal(a.parameters[n], b.parameters[n]) for n in a.parameters)


class StopAfter:
    """Progress callback that presses Ctrl-C after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, epoch: int, epochs: int, metrics: Metrics) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt
