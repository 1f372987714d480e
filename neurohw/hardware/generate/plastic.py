# SPDX-License-Identifier: Apache-2.0
"""From learning in integers to an RTL package: the layout of synapses in rows, images, and a top of
instances. Computes no behaviour.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurohw.checks import at_least, choice, whole
from neurohw.connections import Sparse
from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntArray
from neurohw.formats import FORMATS
from neurohw.hardware.generate.neuron import NEURON_FLAGS, NEURONS, neuron_parameters
from neurohw.hardware.generate.pack import parameter_image, table_image, word_text
from neurohw.hardware.generate.package import MANIFEST, NOT_IN_PACKAGES, RtlPackage
from neurohw.hardware.generate.plan import MAX_INPUTS, MAX_STATE_BITS, MEMORY_STYLES
from neurohw.hardware.generate.text import (
    AXIL_IN,
    AXIL_OUT,
    CLOCK,
    INPUT,
    OUTPUT,
    STREAM,
    instance,
    literal,
    saturated_bits,
)
from neurohw.network import GRAPH
from neurohw.paths import rtl_folder
from neurohw.plasticity.integer import QuantizedPlasticity
from neurohw.storage import canonical_json, seal_json
from neurohw.support import Implements, attributes

IMPLEMENTS = Implements("the RTL of learning", NEURONS | GRAPH | {Sparse: attributes("synapses")})
CORE_PREFIX = "nhw_learning_"
SHARED_CORES = (
    "nhw_decay",
    "nhw_delay",
    "nhw_fifo",
    "nhw_lif_step",
    "nhw_memory",
    "nhw_neuron_update",
    "nhw_parameter_memory",
    "nhw_registers",
    "nhw_saturating_add",
    "nhw_spike_output",
)
FLAGS = (*NEURON_FLAGS, "INPUT_CROSSES", "POPULATION_CROSSES")
MAX_ROWS = 65535
MAX_LANES = 255
assert CORE_PREFIX in NOT_IN_PACKAGES


@dataclass(frozen=True)
class LearningLayout:
    """Where synapses lie: row and lane of each, by projection [synapse].

    first, count: first row and number of rows of every source [source]; sources are numbered by
        words of update_lanes, the population first, then the input.
    groups, weights: of every row and lane [row, lane], -1 and 0 where there is no synapse.
    """

    row: dict[str, IntArray]
    lane: dict[str, IntArray]
    first: IntArray
    count: IntArray
    groups: IntArray
    weights: IntArray


def source_numbers(quantized: QuantizedPlasticity, update_lanes: int) -> dict[str, IntArray]:
    """The number in hardware of every neuron, by population."""
    network = quantized.model.network
    population, inputs = network.output, network.input
    start = -(-population.size // update_lanes) * update_lanes
    return {
        population.name: np.arange(population.size),
        inputs.name: start + np.arange(inputs.size),
    }


def learning_layout(
    quantized: QuantizedPlasticity, lanes: int, update_lanes: int
) -> LearningLayout:
    """Synapses in rows: the target of a synapse decides its lane, and a source has as many rows as
    its busiest lane has synapses.
    """
    network, numbers = quantized.model.network, source_numbers(quantized, update_lanes)
    sources = -(-(int(numbers[network.input.name][-1]) + 1) // update_lanes) * update_lanes
    owner = np.concatenate([numbers[p.source][quantized.source(p)] for p in network.projections])
    target = np.concatenate([quantized.target(p) for p in network.projections])
    weight = np.concatenate([quantized.projections[p.name].weight for p in network.projections])
    lane, group = target % lanes, target // lanes
    # the place of a synapse among those of its source in its lane
    order = np.lexsort((target, lane, owner))
    same = owner * lanes + lane
    starts = np.r_[True, np.diff(same[order]) != 0]
    rank = np.zeros(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.maximum.accumulate(
        np.where(starts, np.arange(len(order)), 0)
    )
    count = np.zeros(sources, np.int64)
    np.maximum.at(count, owner, rank + 1)
    first = np.cumsum(count) - count
    row = first[owner] + rank
    groups, weights = (
        np.full((int(count.sum()), lanes), -1),
        np.zeros((int(count.sum()), lanes), np.int64),
    )
    groups[row, lane], weights[row, lane] = group, weight
    ends = np.cumsum([len(quantized.source(p)) for p in network.projections])[:-1]
    names = [p.name for p in network.projections]
    split = [dict(zip(names, np.split(a, ends), strict=True)) for a in (row, lane)]
    return LearningLayout(split[0], split[1], np.where(count > 0, first, 0), count, groups, weights)


def _limits(quantized: QuantizedPlasticity, source: str) -> tuple[int, bool]:
    """(largest |weight|, whether weights of both signs are allowed) of the sources of a
    population.
    """
    for projection in quantized.model.network.projections:
        own = quantized.projections[projection.name]
        if projection.source == source:
            crosses = bool(np.any((own.low < 0) & (own.high > 0)))
            limit = int(max(-own.low.min(), own.high.max()))
            expected = (
                np.where(crosses | own.inhibitory, -limit, 0),
                np.where(crosses | ~own.inhibitory, limit, 0),
            )
            if not np.array_equal(own.low, expected[0]) or not np.array_equal(
                own.high, expected[1]
            ):
                raise Unsupported(
                    f"projection {projection.name!r}: the RTL has one limit for all sources, "
                    "on the side of their sign or on both"
                )
            return limit, crosses
    return 0, False


def learning_parameters(
    quantized: QuantizedPlasticity,
    layout: LearningLayout,
    lanes: int,
    update_lanes: int,
    memory_style: str,
) -> dict[str, Any]:
    """Every parameter of `nhw_learning_core` by name."""
    model = quantized.model
    network, population = model.network, model.network.output
    format_ = model.populations[population.name]
    input_limit, input_crosses = _limits(quantized, network.input.name)
    own_limit, own_crosses = _limits(quantized, population.name)
    return {
        "LAYER_ID": 0,
        "INPUTS": network.input.size,
        "NEURONS": population.size,
        "LANES": lanes,
        "UPDATE_LANES": update_lanes,
        "ROWS": len(layout.weights),
        "COUNT_BITS": max(1, int(layout.count.max()).bit_length()),
        "WEIGHT_BITS": quantized.weight.bits,
        "HIDDEN_BITS": quantized.hidden,
        "INPUT_LIMIT": input_limit,
        "POPULATION_LIMIT": own_limit,
        "INPUT_CROSSES": int(input_crosses),
        "POPULATION_CROSSES": int(own_crosses),
        "TRACE_BITS": max(1, quantized.trace_bound.bit_length()),
        "TRACE_DECAY": quantized.trace_decay.delta,
        "TRACE_INCREMENT": quantized.trace_increment,
        "POTENTIATION": quantized.potentiation,
        "AMOUNT_SHIFT": quantized.shift,
        "ASTROCYTE_BITS": max(2, quantized.state.bits),
        "ASTROCYTE_GUARD": quantized.guard,
        "ASTROCYTE_LEAK": quantized.leak,
        "ASTROCYTE_GAIN": quantized.gain,
        "ASTROCYTE_BIAS": quantized.bias,
        "ASTROCYTE_INITIAL": quantized.depression,
        "WEIGHT_EXPONENT": model.projections[network.projections[0].name].exponent,
        "ACCUMULATOR_BITS": max(format_.accumulator.bits, quantized.weight.bits - quantized.hidden),
        "CURRENT_BITS": max(2, format_.current.bits),
        "MEMBRANE_BITS": max(2, format_.membrane.bits),
        **neuron_parameters(population, format_),
        "WEIGHT_FILE": "weights.hex",
        "TARGET_FILE": "targets.hex",
        "SOURCE_FILE": "sources.hex",
        "CLASS_FILE": "classes.hex",
        "REACH_FILE": "reach.hex",
        "PARAMETER_FILE": "parameters.hex",
        "MEMORY_STYLE": memory_style,
    }


def _check(quantized: QuantizedPlasticity, lanes: int, update_lanes: int) -> None:
    network = quantized.model.network
    IMPLEMENTS.check(network, quantized.model.populations)
    format_ = quantized.model.populations[network.output.name]
    if lanes > MAX_LANES or lanes % update_lanes:
        raise Unsupported(
            f"{lanes} lanes with {update_lanes} update lanes: at most {MAX_LANES} lanes, "
            "which the update lanes divide"
        )
    if network.input.size > MAX_INPUTS:
        raise Unsupported(
            f"population {network.input.name!r} has {network.input.size} neurons, at most "
            f"{MAX_INPUTS} have addresses"
        )
    if not any(p.source == network.input.name for p in network.projections):
        raise Unsupported(
            f"population {network.input.name!r} has no projection: the RTL needs it to make steps"
        )
    exponents = {p.name: quantized.model.projections[p.name].exponent for p in network.projections}
    if len(set(exponents.values())) > 1:
        raise Unsupported(
            f"projections have different weight exponents {exponents}, the RTL adds their "
            "weights directly"
        )
    for what, bits in (
        ("membrane", format_.membrane.bits),
        ("current", format_.current.bits),
        ("astrocyte", quantized.state.bits + 1),
    ):
        if bits > MAX_STATE_BITS:
            raise Unsupported(
                f"{what} of population {network.output.name!r} has {bits} bits, at most "
                f"{MAX_STATE_BITS} are supported"
            )


def _images(
    quantized: QuantizedPlasticity, layout: LearningLayout, parameters: dict[str, Any]
) -> dict[str, bytes]:
    lanes, update_lanes, bits = (
        parameters["LANES"],
        parameters["UPDATE_LANES"],
        parameters["WEIGHT_BITS"],
    )
    network = quantized.model.network
    group_bits = max(1, (-(-network.output.size // lanes) - 1).bit_length())
    row_bits = max(1, (len(layout.weights) - 1).bit_length())
    targets = np.where(layout.groups >= 0, (1 << group_bits) | layout.groups, 0)
    flags = np.zeros((2, len(layout.first)), np.int64)  # inhibitory, learns
    numbers = source_numbers(quantized, update_lanes)
    for projection in network.projections:
        own = quantized.projections[projection.name]
        flags[0, numbers[projection.source]] = own.inhibitory
        flags[1, numbers[projection.source]] = own.learns
    reach = np.zeros(
        (-(-network.output.size // update_lanes) * update_lanes, len(layout.first)), np.int64
    )
    for projection in network.projections:
        if quantized.projections[projection.name].learns:
            reach[
                quantized.target(projection),
                numbers[projection.source][quantized.source(projection)],
            ] = 1
    words = flags.reshape(2, -1, update_lanes).transpose(1, 0, 2).reshape(-1, 2 * update_lanes)

    def image(rows: IntArray, width: int) -> bytes:
        return (
            "\n".join(word_text(row, width, len(row) * width) for row in rows.tolist()) + "\n"
        ).encode()

    return {
        parameters["WEIGHT_FILE"]: image(layout.weights, bits),
        parameters["TARGET_FILE"]: image(targets, group_bits + 1),
        parameters["SOURCE_FILE"]: table_image((layout.count << row_bits | layout.first).tolist()),
        parameters["CLASS_FILE"]: image(words, 1),
        parameters["REACH_FILE"]: image(reach, 1),
        parameters["PARAMETER_FILE"]: parameter_image(
            quantized.model.populations[network.output.name], parameters
        ),
    }


def _package_text(parameters: dict[str, Any], digest: str) -> str:
    lines = [
        "// Generated from learning in integers; the cores are in the nhw_*.sv files beside it.",
        "package nhw_network_pkg;",
    ]
    lines.append(f"  localparam logic [255:0] Digest = 256'h{digest};")
    for key, value in parameters.items():
        if not isinstance(value, str):
            kind = (
                "bit" if key in FLAGS else "int" if key.startswith("ASTROCYTE") else "int unsigned"
            )
            lines.append(f"  localparam {kind} {_constant(key)} = {value};")
    return "\n".join([*lines, "endpackage", ""])


def _constant(key: str) -> str:
    return "Learning_" + "".join(word.capitalize() for word in key.split("_"))


def _network_text(parameters: dict[str, Any]) -> str:
    """The top `nhw_network`: the core, its registers, and those of every network."""
    widths = {"tvalid": 1, "tready": 1, "tdata": 0, "tlast": 1, "tuser": 1}

    def span(width: int) -> str:
        return f"[{width - 1}:0] " if width > 1 else ""

    ports = ["  input  logic clk_i", "  input  logic rst_ni"]
    for prefix, data, forward, backward in (
        (INPUT, 16, "input ", "output"),
        (OUTPUT, 32, "output", "input "),
    ):
        ports += [
            (
                f"  {backward if s == 'tready' else forward} logic "
                f"{span(widths[s] or data)}{prefix}_{s}"
            )
            for s in STREAM
        ]
    ports += [f"  input  logic {span(width)}s_axil_{name}" for name, width in AXIL_IN.items()]
    ports += [f"  output logic {span(width)}s_axil_{name}" for name, width in AXIL_OUT.items()]
    row_bits = max(1, (parameters["ROWS"] - 1).bit_length())
    row = span(row_bits)
    weights = f"[{parameters['LANES'] - 1}:0][{parameters['WEIGHT_BITS'] - 1}:0] "
    signals = [
        (
            "  logic learning, host_wants, host_may, host_write, event_seen, source_seen, "
            "row_seen, passing;"
        ),
        f"  logic signed [{parameters['ASTROCYTE_BITS'] - 1}:0] astrocyte;",
        f"  logic {span(saturated_bits(parameters))}saturated;",
        f"  logic {row}host_row;",
        f"  logic {weights}to_host, from_host;",
        *[
            f"  logic {span(width)}inner_{name};"
            for name, width in (*AXIL_IN.items(), *AXIL_OUT.items())
        ],
    ]
    own = {
        key: literal(v) if isinstance(v, str) else f"nhw_network_pkg::{_constant(key)}"
        for key, v in parameters.items()
    }
    host = {
        "host_wants": "host_wants",
        "host_may": "host_may",
        "host_row": "host_row",
        "host_write": "host_write",
    }
    core_ports = {
        **CLOCK,
        **{f"{prefix}_{s}": f"{prefix}_{s}" for prefix in (INPUT, OUTPUT) for s in STREAM},
    }
    core_ports |= {"learning_i": "learning", "astrocyte_o": "astrocyte"}
    core_ports |= {
        f"{port}_{'o' if port == 'host_may' else 'i'}": name for port, name in host.items()
    }
    core_ports |= {"host_weights_i": "from_host", "host_weights_o": "to_host"}
    core_ports |= {
        "event_o": "event_seen",
        "source_o": "source_seen",
        "row_o": "row_seen",
        "passing_o": "passing",
    }
    core_ports["saturated_o"] = "saturated"
    axil = {f"s_axil_{name}": f"s_axil_{name}" for name in (*AXIL_IN, *AXIL_OUT)}
    register_ports = {
        **CLOCK,
        **axil,
        **{f"m_axil_{name}": f"inner_{name}" for name in (*AXIL_IN, *AXIL_OUT)},
    }
    register_ports |= {"learning_o": "learning", "astrocyte_i": "astrocyte"}
    register_ports |= {
        f"{port}_{'i' if port == 'host_may' else 'o'}": name for port, name in host.items()
    }
    register_ports |= {"host_weights_o": "from_host", "host_weights_i": "to_host"}
    counter_ports = {
        **CLOCK,
        **{f"s_axil_{name}": f"inner_{name}" for name in (*AXIL_IN, *AXIL_OUT)},
    }
    counter_ports |= {
        f"{side}_{s}_i": f"{prefix}_{s}"
        for side, prefix in (("input", INPUT), ("output", OUTPUT))
        for s in STREAM
        if s != "tdata"
    }
    counter_ports |= {
        "projection_event_i": "{source_seen, event_seen}",
        "projection_waiting_i": "{row_seen, passing}",
    }
    counter_ports |= {"input_tdata_i": f"{INPUT}_tdata", "population_saturated_i": "saturated"}
    kept = ("ROWS", "LANES", "WEIGHT_BITS")
    register_parameters = {key: own[key] for key in kept} | {"STATE_BITS": own["ASTROCYTE_BITS"]}
    counter_parameters = {
        "PROJECTIONS": "2",
        "POPULATIONS": "1",
        "UPDATE_LANES": own["UPDATE_LANES"],
        "INPUTS": own["INPUTS"],
        "OUTPUTS": own["NEURONS"],
        "DIGEST": "nhw_network_pkg::Digest",
    }
    return "\n".join(
        [
            "// Generated: instances only.",
            "module nhw_network (",
            ",\n".join(ports),
            ");",
            *signals,
            instance("nhw_learning_core", "u_core", own, core_ports),
            instance(
                "nhw_learning_registers",
                "u_learning_registers",
                register_parameters,
                register_ports,
            ),
            instance("nhw_registers", "u_registers", counter_parameters, counter_ports),
            "endmodule",
            "",
        ]
    )


def emit_plastic(
    quantized: QuantizedPlasticity,
    lanes: int = 16,
    update_lanes: int = 8,
    memory_style: str = "auto",
) -> RtlPackage:
    """The RTL package of a network that learns on chip; equal values give equal bytes.

    lanes: synapses per clock.
    update_lanes: neurons per clock, a divisor of lanes.
    Raises Unsupported, naming the node, for what the core cannot express.
    """
    lanes = whole("lanes", lanes, at_least(1), Unsupported)
    update_lanes = whole("update_lanes", update_lanes, at_least(1), Unsupported)
    choice("memory_style", memory_style, MEMORY_STYLES, Unsupported)
    _check(quantized, lanes, update_lanes)
    network, digest = quantized.model.network, quantized.digest()
    layout = learning_layout(quantized, lanes, update_lanes)
    if len(layout.weights) > MAX_ROWS:
        raise Unsupported(
            f"{len(layout.weights)} rows of weights, at most {MAX_ROWS} have addresses: use "
            "more lanes"
        )
    parameters = learning_parameters(quantized, layout, lanes, update_lanes, memory_style)
    cores = sorted(
        [
            *rtl_folder().glob(f"{CORE_PREFIX}*.sv"),
            *(rtl_folder() / f"{core}.sv" for core in SHARED_CORES),
        ]
    )
    files: dict[str, bytes] = {
        "nhw_network_pkg.sv": _package_text(parameters, digest).encode(),
        "nhw_network.sv": _network_text(parameters).encode(),
        **{core.name: core.read_bytes() for core in cores},
        **_images(quantized, layout, parameters),
    }
    manifest = {
        "format_version": FORMATS["rtl"].version,
        "kind": "rtl",
        "parent": digest,
        "top": "nhw_network",
        "inputs": network.input.size,
        "steps": quantized.model.steps,
        "max_count": quantized.model.max_count,
        "output": network.output.name,
        "learning": True,
        "sources": ["nhw_network_pkg.sv", *[core.name for core in cores], "nhw_network.sv"],
        "populations": [
            {
                "population": network.output.name,
                "parameters": {**parameters, "SLOTS": 1, "SHARED_DELAYS": 0, "COMPRESSED": 0},
                "slots": None,
                "adaptive": quantized.model.populations[network.output.name].adaptation_decay
                is not None,
                "capped": quantized.model.populations[network.output.name].capped,
            }
        ],
        "projections": [
            {
                "projection": p.name,
                "source": p.source,
                "target": p.target,
                "core": "nhw_learning_core",
                "delay": 1,
                "parameters": {},
            }
            for p in network.projections
        ],
        "files": {
            path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())
        },
    }
    return RtlPackage({**files, MANIFEST: canonical_json(seal_json(manifest))})
