"""The stages of a run: train, quantize, emit, verify, build, report — each repeatable, resumable and skipped when up to date."""

from neurohw.flow.config import RunConfig
from neurohw.flow.run_folder import RunFolder
from neurohw.flow.stages import STAGES, run_stages

__all__ = ["STAGES", "RunConfig", "RunFolder", "run_stages"]
