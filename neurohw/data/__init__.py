"""Datasets and spike encoders."""

from neurohw.data.dataset import Dataset
from neurohw.data.encode import Encoder
from neurohw.data.load import digits, load

__all__ = ["Dataset", "Encoder", "digits", "load"]
