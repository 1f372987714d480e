# SPDX-License-Identifier: Apache-2.0
"""From a quantized network to an RTL package: plan, images, text.

The generator computes no behaviour.
"""

from neurohw.hardware.generate.package import RtlPackage, emit

__all__ = ["RtlPackage", "emit"]
