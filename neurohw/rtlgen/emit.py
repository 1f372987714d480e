"""SystemVerilog text: a parameter package and a top of instances."""

from typing import Any

from neurohw.rtlgen.plan import Layer

FLAGS = ("HARD_RESET", "SPIKING")
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
AXIL_OUT = {"awready": 1, "wready": 1, "bvalid": 1, "bresp": 2, "arready": 1, "rvalid": 1, "rdata": 32, "rresp": 2}


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


def package_text(layers: tuple[Layer, ...], digest: str) -> str:
    """The parameter package `nhw_network_pkg`."""
    lines = [
        "// Generated from a quantized network; the cores are in the nhw_*.sv files beside it.",
        "package nhw_network_pkg;",
    ]
    lines.append(f"  localparam logic [255:0] Digest = 256'h{digest};")
    lines.append(f"  localparam int unsigned Layers = {len(layers)};")
    for layer in layers:
        lines.append(f"  // population {layer.population}, projection {layer.projection}")
        for key, value in layer.parameters.items():
            if not isinstance(value, str):
                kind = "bit" if key in FLAGS else "int unsigned"
                lines.append(f"  localparam {kind} {_constant(layer, key)} = {value};")
    return "\n".join([*lines, "endpackage", ""])


def _constant(layer: Layer, key: str) -> str:
    return f"Layer{layer.parameters['LAYER_ID']}" + "".join(word.capitalize() for word in key.split("_"))


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def network_text(layers: tuple[Layer, ...]) -> str:
    """The top `nhw_network`: layers in a chain, and the registers."""
    last = len(layers) - 1
    ports = ["  input  logic clk_i", "  input  logic rst_ni"]
    widths = {"tvalid": 1, "tready": 1, "tdata": 0, "tlast": 1, "tuser": 1}
    for prefix, data_width, forward, backward in (
        ("s_axis", 16, "input ", "output"),
        ("m_axis", 32, "output", "input "),
    ):
        for signal in STREAM:
            direction = backward if signal == "tready" else forward
            ports.append(f"  {direction} logic {_range(widths[signal] or data_width)}{prefix}_{signal}")
    ports += [f"  input  logic {_range(width)}s_axil_{name}" for name, width in AXIL_IN.items()]
    ports += [f"  output logic {_range(width)}s_axil_{name}" for name, width in AXIL_OUT.items()]
    lines = ["// Generated: instances only.", "module nhw_network (", ",\n".join(ports), ");"]
    for number in range(last):
        lines.append(f"  logic link{number}_tvalid, link{number}_tready, link{number}_tlast, link{number}_tuser;")
        lines.append("  /* verilator lint_off UNUSEDSIGNAL */")
        lines.append(f"  logic [31:0] link{number}_tdata;  // an address needs the low 16 bits")
        lines.append("  /* verilator lint_on UNUSEDSIGNAL */")
    lines.append(f"  logic [{last}:0] layer_event, layer_waiting;")
    for number, layer in enumerate(layers):
        parameters = {
            key: literal(value) if isinstance(value, str) else f"nhw_network_pkg::{_constant(layer, key)}"
            for key, value in layer.parameters.items()
        }
        source = "s_axis" if number == 0 else f"link{number - 1}"
        target = "m_axis" if number == last else f"link{number}"
        connections = {"clk_i": "clk_i", "rst_ni": "rst_ni"}
        connections |= {f"s_axis_{s}": f"{source}_{s}" for s in STREAM}
        if number:
            connections["s_axis_tdata"] += "[15:0]"
        connections |= {f"m_axis_{s}": f"{target}_{s}" for s in STREAM}
        connections |= {"event_o": f"layer_event[{number}]", "waiting_o": f"layer_waiting[{number}]"}
        lines.append(instance("nhw_layer", f"u_{layer.population}", parameters, connections))
    final = layers[-1].parameters
    parameters = {
        "LAYERS": "nhw_network_pkg::Layers",
        "INPUTS": "nhw_network_pkg::Layer0Inputs",
        "OUTPUTS": f"nhw_network_pkg::Layer{last}Neurons",
        "OUTPUT_MEMBRANES": f"1'b{1 - final['SPIKING']}",
        "DIGEST": "nhw_network_pkg::Digest",
    }
    connections = {"clk_i": "clk_i", "rst_ni": "rst_ni"}
    connections |= {f"s_axil_{name}": f"s_axil_{name}" for name in (*AXIL_IN, *AXIL_OUT)}
    for side, prefix in (("input", "s_axis"), ("output", "m_axis")):
        connections |= {f"{side}_{s}_i": f"{prefix}_{s}" for s in STREAM if s != "tdata"}
    connections |= {"layer_event_i": "layer_event", "layer_waiting_i": "layer_waiting"}
    lines.append(instance("nhw_registers", "u_registers", parameters, connections))
    return "\n".join([*lines, "endmodule", ""])
