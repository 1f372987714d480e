# SPDX-License-Identifier: Apache-2.0
"""The stages of a run: train, quantize, crosscheck, emit, verify, build, report.

Each can be repeated and resumed, and is skipped when it is up to date.
"""

from neurohw.flow.config import RunConfig
from neurohw.flow.run_folder import RunFolder
from neurohw.flow.stages import STAGES, run_stages

__all__ = ["STAGES", "RunConfig", "RunFolder", "run_stages"]
