# SPDX-License-Identifier: Apache-2.0
"""SystemVerilog text: a parameter package and a top of instances."""

from collections.abc import Sequence
from typing import Any

from neurohw.hardware.generate.modulation import PlannedModulation
from neurohw.hardware.generate.neuron import NEURON_FLAGS
from neurohw.hardware.generate.plan import PlannedPopulation, PlannedProjection
from neurohw.integers.quantized import GAIN_BITS

FLAGS = (
    *NEURON_FLAGS,
    "IN_ORDER",
    "FEEDBACK",
    "SHARED_DELAYS",
    "COMPRESSED",
    "MODULATES",
    "GAIN",
    "ADDITION",
    "LEFT",
    "SHARED",
)
STREAM = ("tvalid", "tready", "tdata", "tlast", "tuser")
AXIL_IN = {
    "awvalid": 1,
    "awaddr": 8,
    "wvalid": 1,
    "wdata": 32,
    "wstrb": 4,
    "bready": 1,
    "arvalid": 1,
    "araddr": 8,
    "rready": 1,
}
AXIL_OUT = {
    "awready": 1,
    "wready": 1,
    "bvalid": 1,
    "bresp": 2,
    "arready": 1,
    "rvalid": 1,
    "rdata": 32,
    "rresp": 2,
}
OPERATION = ("valid", "ready", "barrier", "sample_end", "row", "group")
INPUT, OUTPUT = "s_axis", "m_axis"


def literal(value: Any) -> str:
    """A SystemVerilog literal of an integer or text."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def instance(module: str, name: str, parameters: dict[str, str], ports: dict[str, str]) -> str:
    """One instance; parameters and ports in the given order."""
    lines = [f"  {module} #("]
    lines.append(",\n".join(f"    .{key}({value})" for key, value in parameters.items()))
    lines.append(f"  ) {name} (")
    lines.append(",\n".join(f"    .{key}({value})" for key, value in ports.items()))
    lines.append("  );")
    return "\n".join(lines)


def _constant(owner: str, key: str) -> str:
    """`owner` keeps its letters: two names that differ only in underscores or capitals are two
    constants.
    """
    return owner + "_" + "".join(word.capitalize() for word in key.split("_"))


def _groups(populations: Sequence[PlannedPopulation]) -> list[tuple[str, str, dict[str, Any]]]:
    """(prefix of the constants, comment, parameters) of every instance with parameters."""
    entries = []
    for population in populations:
        entries.append(
            (
                f"Population_{population.name}",
                f"population {population.name}",
                population.parameters,
            )
        )
        for projection in population.projections:
            text = f"projection {projection.name}"
            entries.append((f"Projection_{projection.name}", text, projection.parameters))
            entries.append(
                (f"Delay_{projection.name}", f"{text}, delay", projection.delay_parameters)
            )
        for modulation in population.modulations:
            entries.append(
                (
                    f"Modulation_{modulation.name}",
                    f"modulation {modulation.name}",
                    modulation.parameters,
                )
            )
    return entries


def package_text(populations: Sequence[PlannedPopulation], inputs: int, digest: str) -> str:
    """The parameter package `nhw_network_pkg`."""
    lines = [
        "// Generated from a quantized network; the cores are in the nhw_*.sv files beside it.",
        "package nhw_network_pkg;",
    ]
    lines.append(f"  localparam logic [255:0] Digest = 256'h{digest};")
    lines.append(
        f"  localparam int unsigned Projections = {sum(len(p.projections) for p in populations)};"
    )
    lines.append(f"  localparam int unsigned Populations = {len(populations)};")
    lines.append(f"  localparam int unsigned Inputs = {inputs};")
    for owner, comment, parameters in _groups(populations):
        if parameters:
            lines.append(f"  // {comment}")
        for key, value in parameters.items():
            if not isinstance(value, str):
                kind = "bit" if key in FLAGS else "int unsigned"
                lines.append(f"  localparam {kind} {_constant(owner, key)} = {value};")
    return "\n".join([*lines, "endpackage", ""])


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _parameters(
    owner: str, parameters: dict[str, Any], leave: tuple[str, ...] = ()
) -> dict[str, str]:
    return {
        key: literal(value)
        if isinstance(value, str)
        else f"nhw_network_pkg::{_constant(owner, key)}"
        for key, value in parameters.items()
        if key not in leave
    }


def _stream(prefix: str, name: str) -> dict[str, str]:
    return {f"{prefix}_{signal}": f"{name}_{signal}" for signal in STREAM}


def _declare_stream(name: str, bits: int = 16) -> list[str]:
    return [
        (
            "  /* verilator lint_off UNUSEDSIGNAL */  // an address needs the low bits only, and "
            "not every stream is read"
        ),
        f"  logic {name}_tvalid, {name}_tready, {name}_tlast, {name}_tuser;",
        f"  logic [{bits - 1}:0] {name}_tdata;",
        "  /* verilator lint_on UNUSEDSIGNAL */",
    ]


CLOCK = {"clk_i": "clk_i", "rst_ni": "rst_ni"}


class _Top:
    """The signals and the instances of the top; signals come first, because a feedback uses them
    before their source.
    """

    def __init__(self, populations: Sequence[PlannedPopulation], inputs: str, output: str) -> None:
        self.signals: list[str] = []
        self.lines: list[str] = []
        self.output = output
        self.every = [q for p in populations for q in p.projections]
        self.modulations = [m for p in populations for m in p.modulations]
        self.input = inputs

    def fork(self, source: str, stream: str) -> None:
        """Lead a stream of events to every projection of `source`, and to the output of the
        network.
        """
        consumers = [q for q in self.every if q.source == source]
        targets = [_projection_stream(q) for q in consumers] + [OUTPUT] * (source == self.output)
        for name in targets:
            if name != OUTPUT:
                self.signals += _declare_stream(name)
        if not targets:  # nobody reads its spikes
            self.lines.append(f"  assign {stream}_tready = 1'b1;")
            return
        if len(targets) == 1:
            for signal in ("tvalid", "tdata", "tlast", "tuser"):
                low = (
                    "[15:0]"
                    if signal == "tdata" and targets[0] != OUTPUT and source != self.input
                    else ""
                )
                self.lines.append(f"  assign {targets[0]}_{signal} = {stream}_{signal}{low};")
            self.lines.append(f"  assign {stream}_tready = {targets[0]}_tready;")
            return
        bits = 32 if OUTPUT in targets else 16
        fork = f"fork_{source}"
        self.signals += [
            f"  logic [{len(targets) - 1}:0] {fork}_tvalid, {fork}_tready;",
            f"  logic {fork}_tlast, {fork}_tuser;",
            f"  logic [{bits - 1}:0] {fork}_tdata;",
        ]
        for number, name in enumerate(targets):
            low = "[15:0]" if name != OUTPUT and bits > 16 else ""
            self.lines += [
                f"  assign {name}_tvalid = {fork}_tvalid[{number}];",
                f"  assign {fork}_tready[{number}] = {name}_tready;",
                f"  assign {name}_tdata = {fork}_tdata{low};",
                f"  assign {name}_tlast = {fork}_tlast;",
                f"  assign {name}_tuser = {fork}_tuser;",
            ]
        self.lines.append(
            instance(
                "nhw_stream_fork",
                f"u_{fork}",
                {"OUTPUTS": str(len(targets)), "BITS": str(bits)},
                {
                    **CLOCK,
                    **_stream("s_axis", stream),
                    **(
                        {}
                        if source == self.input or bits == 32
                        else {"s_axis_tdata": f"{stream}_tdata[15:0]"}
                    ),
                    **_stream("m_axis", fork),
                },
            )
        )

    def projection(self, projection: PlannedProjection, group_bits: int) -> None:
        """Delay line and address generator of one projection."""
        name, number = projection.name, self.every.index(projection)
        stream = _projection_stream(projection)
        if projection.delay_parameters:
            delayed = f"delayed_{name}"
            self.signals += _declare_stream(delayed)
            self.lines.append(
                instance(
                    "nhw_step_delay",
                    f"u_{delayed}",
                    _parameters(f"Delay_{name}", projection.delay_parameters),
                    {**CLOCK, **_stream("s_axis", stream), **_stream("m_axis", delayed)},
                )
            )
            stream = delayed
        operation = f"op_{name}"
        row_bits = projection.parameters["ROW_BITS"]
        self.signals += [
            (
                f"  logic {operation}_valid, {operation}_ready, {operation}_barrier, "
                f"{operation}_sample_end;"
            ),
            f"  logic [{row_bits - 1}:0] {operation}_row;",
            f"  logic [{group_bits - 1}:0] {operation}_group;",
        ]
        ports = {**CLOCK, **_stream("s_axis", stream)}
        ports |= {f"op_{s}_{'i' if s == 'ready' else 'o'}": f"{operation}_{s}" for s in OPERATION}
        ports |= {
            "event_o": f"projection_event[{number}]",
            "waiting_o": f"projection_waiting[{number}]",
        }
        self.lines.append(
            instance(
                projection.core,
                f"u_rows_{name}",
                _parameters(f"Projection_{name}", projection.parameters),
                ports,
            )
        )

    def population(self, population: PlannedPopulation) -> None:
        """The projections of a population, their merge, and the population itself."""
        name, projections = population.name, population.projections
        group_bits = population.group_bits
        for projection in projections:
            self.projection(projection, group_bits)
        operation = f"op_{projections[0].name}"
        if len(projections) > 1:
            operation = f"merged_{name}"
            row_bits = projections[0].parameters["ROW_BITS"]
            self.signals += [
                (
                    f"  logic {operation}_valid, {operation}_ready, {operation}_barrier, "
                    f"{operation}_sample_end;"
                ),
                f"  logic [{row_bits - 1}:0] {operation}_row;",
                f"  logic [{group_bits - 1}:0] {operation}_group;",
            ]
            joined = {
                s: ", ".join(f"op_{q.name}_{s}" for q in reversed(projections)) for s in OPERATION
            }
            bases = ", ".join(f"32'd{q.row_base}" for q in reversed(projections))
            ports = {
                **CLOCK,
                **{f"in_{s}_{'o' if s == 'ready' else 'i'}": f"{{{joined[s]}}}" for s in OPERATION},
            }
            ports |= {
                f"op_{s}_{'i' if s == 'ready' else 'o'}": f"{operation}_{s}" for s in OPERATION
            }
            self.lines.append(
                instance(
                    "nhw_operation_merge",
                    f"u_{operation}",
                    {
                        "INPUTS": str(len(projections)),
                        "ROW_BITS": str(row_bits),
                        "GROUP_BITS": str(group_bits),
                        "ROW_BASES": f"{{{bases}}}",
                    },
                    ports,
                )
            )
        stream = f"out_{name}"
        ports = {
            **CLOCK,
            **{f"in_{s}_{'o' if s == 'ready' else 'i'}": f"{operation}_{s}" for s in OPERATION},
        }
        ports |= self.modulation_ports(population) | {"saturated_o": f"saturated_{name}"}
        self.signals.append(
            f"  logic {_range(saturated_bits(population.parameters))}saturated_{name};"
        )
        if name == self.output and not population.parameters["SPIKING"]:
            ports |= _stream("m_axis", OUTPUT)
        else:
            self.signals += _declare_stream(stream, 32)
            ports |= _stream("m_axis", stream)
        self.lines.append(
            instance(
                "nhw_population",
                f"u_population_{name}",
                _parameters(f"Population_{name}", population.parameters),
                ports,
            )
        )
        if population.parameters["SPIKING"] or name != self.output:
            self.fork(name, stream)
        for modulation in population.modulations:
            self.modulation(modulation)

    def modulation_ports(self, population: PlannedPopulation) -> dict[str, str]:
        """What a population tells and is told of modulations; its step waits for the levels, and an
        astrocyte's for room for new ones.
        """
        name, p = population.name, population.parameters
        lanes = p["UPDATE_LANES"]
        values = {
            "gain": (lanes * GAIN_BITS, p["GAIN"]),
            "addition": (lanes * p["ADDITION_BITS"], p["ADDITION"]),
        }
        waits = [f"room_{m.name}" for m in self.modulations if m.source == name]
        waits += [f"levels_{m.name}" for m in population.modulations]
        self.signals += [
            (
                "  /* verilator lint_off UNUSEDSIGNAL */  // not every population modulates, or "
                "is modulated"
            ),
            f"  logic step_{name}, word_valid_{name}, word_last_{name};",
            f"  logic [{lanes * p['MEMBRANE_BITS'] - 1}:0] membranes_{name};",
            (
                f"  logic gain_read_{name}, gain_last_{name}, addition_read_{name}, "
                f"addition_last_{name};"
            ),
            "  /* verilator lint_on UNUSEDSIGNAL */",
        ]
        ports = {"allowed_i": " && ".join(waits) or "1'b1"}
        ports |= {f"{s}_o": f"{s}_{name}" for s in ("step", "word_valid", "word_last", "membranes")}
        for value, (bits, there) in values.items():
            if there:
                self.signals.append(f"  logic [{bits - 1}:0] {value}s_{name};")
            ports |= {f"{value}_{s}_o": f"{value}_{s}_{name}" for s in ("read", "last")}
            ports[f"{value}_i"] = f"{value}s_{name}" if there else f"{bits}'d0"
        return ports

    def modulation(self, modulation: PlannedModulation) -> None:
        """The core between an astrocyte and a population."""
        name, source, target = modulation.name, modulation.source, modulation.target
        value = "gain" if modulation.parameters["GAIN"] else "addition"
        self.signals.append(f"  logic room_{name}, levels_{name};")
        ports = {
            f"{s}_i": f"{s}_{source}" for s in ("word_valid", "word_last", "membranes", "step")
        }
        ports |= {f"{s}_o": f"{s}_{name}" for s in ("room", "levels")}
        ports |= {"target_step_i": f"step_{target}", "values_o": f"{value}s_{target}"}
        ports |= {"read_i": f"{value}_read_{target}", "read_last_i": f"{value}_last_{target}"}
        self.lines.append(
            instance(
                "nhw_modulation",
                f"u_modulation_{name}",
                _parameters(f"Modulation_{name}", modulation.parameters),
                {**CLOCK, **ports},
            )
        )


def saturated_bits(parameters: dict[str, Any]) -> int:
    """Bits of the number of neurons of one word of which a state has saturated."""
    return int(parameters["UPDATE_LANES"]).bit_length()


def _projection_stream(projection: PlannedProjection) -> str:
    return f"to_{projection.name}"


def network_text(populations: Sequence[PlannedPopulation], network_input: str, output: str) -> str:
    """The top `nhw_network`: streams, projections and populations, and the registers."""
    ports = ["  input  logic clk_i", "  input  logic rst_ni"]
    widths = {"tvalid": 1, "tready": 1, "tdata": 0, "tlast": 1, "tuser": 1}
    for prefix, data_width, forward, backward in (
        (INPUT, 16, "input ", "output"),
        (OUTPUT, 32, "output", "input "),
    ):
        for signal in STREAM:
            direction = backward if signal == "tready" else forward
            ports.append(
                f"  {direction} logic {_range(widths[signal] or data_width)}{prefix}_{signal}"
            )
    ports += [f"  input  logic {_range(width)}s_axil_{name}" for name, width in AXIL_IN.items()]
    ports += [f"  output logic {_range(width)}s_axil_{name}" for name, width in AXIL_OUT.items()]
    top = _Top(populations, network_input, output)
    last = next(p for p in populations if p.name == output)
    most = max(populations, key=lambda p: saturated_bits(p.parameters)).parameters
    head = ["// Generated: instances only.", "module nhw_network (", ",\n".join(ports), ");"]
    top.signals.append(f"  logic [{len(top.every) - 1}:0] projection_event, projection_waiting;")
    top.fork(network_input, INPUT)
    for population in populations:
        top.population(population)
    parameters = {
        "PROJECTIONS": "nhw_network_pkg::Projections",
        "POPULATIONS": "nhw_network_pkg::Populations",
        "UPDATE_LANES": str(most["UPDATE_LANES"]),
        "INPUTS": "nhw_network_pkg::Inputs",
        "OUTPUTS": str(sum(n >= 0 for n in last.layout.slots)),
        "OUTPUT_MEMBRANES": f"1'b{1 - last.parameters['SPIKING']}",
        "DIGEST": "nhw_network_pkg::Digest",
    }
    connections = dict(CLOCK)
    connections |= {f"s_axil_{name}": f"s_axil_{name}" for name in (*AXIL_IN, *AXIL_OUT)}
    for side, prefix in (("input", INPUT), ("output", OUTPUT)):
        connections |= {f"{side}_{s}_i": f"{prefix}_{s}" for s in STREAM if s != "tdata"}
    connections |= {"input_tdata_i": f"{INPUT}_tdata"}
    connections |= {
        "projection_event_i": "projection_event",
        "projection_waiting_i": "projection_waiting",
    }
    saturated = ", ".join(
        f"{saturated_bits(most)}'(saturated_{p.name})" for p in reversed(populations)
    )
    connections["population_saturated_i"] = f"{{{saturated}}}"
    top.lines.append(instance("nhw_registers", "u_registers", parameters, connections))
    return "\n".join([*head, *top.signals, *top.lines, "endmodule", ""])
