"""From an RTL package to bitstreams: boards, plans, tools, reports."""

from neurohw.synth.board import Board, load_board
from neurohw.synth.build import build, place_and_route_network
from neurohw.synth.report import BoardResult, BuildReport
from neurohw.synth.tools import tool_versions

__all__ = ["Board", "BoardResult", "BuildReport", "build", "load_board", "place_and_route_network", "tool_versions"]
