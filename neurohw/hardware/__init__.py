# SPDX-License-Identifier: Apache-2.0
"""From integers to a board: RTL packages, whole test sets through them, bitstreams."""
