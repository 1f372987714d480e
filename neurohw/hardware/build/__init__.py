# SPDX-License-Identifier: Apache-2.0
"""From an RTL package to bitstreams: boards, plans, tools, reports."""

from neurohw.hardware.build.bitstream import build, place_and_route_network
from neurohw.hardware.build.board import Board, load_board
from neurohw.hardware.build.report import BoardResult, BuildReport
from neurohw.hardware.build.tools import tool_versions

__all__ = [
    "Board",
    "BoardResult",
    "BuildReport",
    "build",
    "load_board",
    "place_and_route_network",
    "tool_versions",
]
