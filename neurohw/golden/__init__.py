# SPDX-License-Identifier: Apache-2.0
"""The integer model: the specification, the same in C++, decisions without a trace, and what
integers change.
"""

from neurohw.golden.calibration import Calibration, calibrated, calibration_differences
from neurohw.golden.inference import infer
from neurohw.golden.specification import run_golden

__all__ = ["Calibration", "calibrated", "calibration_differences", "infer", "run_golden"]
