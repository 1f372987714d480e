# SPDX-License-Identifier: Apache-2.0
"""The page that a run ends with."""

from neurohw.report.page import render_page

__all__ = ["render_page"]
