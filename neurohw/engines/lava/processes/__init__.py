# SPDX-License-Identifier: Apache-2.0
"""Lava processes for what Lava's own lack; one file each, in a folder of their own because Lava's
compiler imports every file beside a process.
"""
