# SPDX-License-Identifier: Apache-2.0
"""Networks on resistive memory: what devices, wires and converters make of weights.

chip = program(trained, device_named("pcm"), seed=0)
chip.network(86400.0)            the network as it is after a day
chip.run(spikes, 86400.0)        the same with read noise at every step
"""

from neurohw.memristor.calibration import calibrate_columns, calibrate_thresholds
from neurohw.memristor.chip import Chip, load_chip, program
from neurohw.memristor.converters import Converter
from neurohw.memristor.crossbar import Crossbar, program_crossbar, sample_weights
from neurohw.memristor.devices import KINDS, Device, device_from_json, device_named, without_noise
from neurohw.memristor.faults import Faults
from neurohw.memristor.mapping import CrossbarMapping, Layout, layout_of
from neurohw.memristor.wires import Wires

__all__ = [
    "KINDS",
    "Chip",
    "Converter",
    "Crossbar",
    "CrossbarMapping",
    "Device",
    "Faults",
    "Layout",
    "Wires",
    "calibrate_columns",
    "calibrate_thresholds",
    "device_from_json",
    "device_named",
    "layout_of",
    "load_chip",
    "program",
    "program_crossbar",
    "sample_weights",
    "without_noise",
]
