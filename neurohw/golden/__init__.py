"""The integer model: the specification, the same in C++, and decisions without a trace."""

from neurohw.golden.inference import infer
from neurohw.golden.specification import run_golden

__all__ = ["infer", "run_golden"]
