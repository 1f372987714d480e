"""The integer reference."""

from neurohw.golden.specification import run_golden

__all__ = ["run_golden"]
