# SPDX-License-Identifier: Apache-2.0
"""Tests; a package of its own name, because a library installs a top-level `tests`, too."""
