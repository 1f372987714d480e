# SPDX-License-Identifier: Apache-2.0
"""Datasets and spike encoders."""

from neurohw.data.cochlea import Cochlea
from neurohw.data.dataset import Dataset
from neurohw.data.encode import Encoder
from neurohw.data.images import digits, load
from neurohw.data.spikes import Recordings, read_counts, shd, spike_file, spoken_digits, ssc
from neurohw.data.synthetic import coincidences, delayed_recall

__all__ = [
    "Cochlea",
    "Dataset",
    "Encoder",
    "Recordings",
    "coincidences",
    "delayed_recall",
    "digits",
    "load",
    "read_counts",
    "shd",
    "spike_file",
    "spoken_digits",
    "ssc",
]
