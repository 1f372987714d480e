"""The RTL against the golden model, on whole test sets."""

from neurohw.verify.verify import VerifyResult, verify

__all__ = ["VerifyResult", "verify"]
