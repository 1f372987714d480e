# SPDX-License-Identifier: Apache-2.0
"""The RTL against the golden model, on whole test sets."""

from neurohw.hardware.verify.comparison import VerifyResult, verify

__all__ = ["VerifyResult", "verify"]
