// SPDX-License-Identifier: Apache-2.0
// Rows of LANES synapses: their weights, which change, and where they lead, which does not.
//
// WEIGHT_FILE: the weights at the start, one row a line, lane l in bits `[l*WEIGHT_BITS +: WEIGHT_BITS]`. TARGET_FILE: beside them, for each lane {there is a synapse,
// group of its target}; the target of lane l in group g is slot g*LANES + l. Both lie in block RAM.
//
// Latency: a row leaves 2 clocks after its address. Reading a row in the clock in which it is written gives an undefined value. One row a clock, no stall.
// `snapshot_i` is looked at by the probe only: where `nhw_probe_wanted()` says so, every weight is reported.
module nhw_learning_memory #(
  parameter int unsigned ROWS = 32,
  parameter int unsigned LANES = 8,
  parameter int unsigned WEIGHT_BITS = 12,
  parameter int unsigned GROUPS = 2,
  parameter WEIGHT_FILE = "",
  parameter TARGET_FILE = "",
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1
) (
  input  logic clk_i,

  input  logic [RowBits-1:0]                row_i,
  output logic [LANES-1:0][WEIGHT_BITS-1:0] weights_o,
  output logic [LANES-1:0]                  there_o,
  output logic [LANES-1:0][GroupBits-1:0]   groups_o,

  input  logic                              write_enable_i,
  input  logic [RowBits-1:0]                write_row_i,
  input  logic [LANES-1:0][WEIGHT_BITS-1:0] write_weights_i,

  input  logic                              snapshot_i
);
  localparam int unsigned Depth = (ROWS > 1) ? ROWS : 2;
  localparam int unsigned TargetBits = GroupBits + 1;

  (* no_rw_check, ram_style = "block" *)
  logic [LANES*WEIGHT_BITS-1:0] weights [Depth];
  /* verilator lint_off UNDRIVEN */
  (* rom_style = "block" *)
  logic [LANES*TargetBits-1:0] targets [Depth];
  /* verilator lint_on UNDRIVEN */
  if (WEIGHT_FILE != "") begin : gen_weights
    initial $readmemh(WEIGHT_FILE, weights, 0, ROWS - 1);
  end
  if (TARGET_FILE != "") begin : gen_targets
    initial $readmemh(TARGET_FILE, targets, 0, ROWS - 1);
  end

  logic [LANES*WEIGHT_BITS-1:0] weights_q;
  logic [LANES-1:0][TargetBits-1:0] targets_q, targets_late_q;

  always_ff @(posedge clk_i) begin
    if (write_enable_i) weights[write_row_i] <= write_weights_i;
  end
  always_ff @(posedge clk_i) begin
    weights_q <= weights[row_i];
    targets_q <= targets[row_i];
  end
  // a block RAM of the ECP5 takes 5.8 ns to answer: a register follows it at once
  always_ff @(posedge clk_i) begin
    weights_o <= weights_q;
    targets_late_q <= targets_q;
  end
  for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
    assign {there_o[lane], groups_o[lane]} = targets_late_q[lane];
  end

`ifdef NHW_PROBE
  import "DPI-C" function int nhw_probe_wanted();
  import "DPI-C" function void nhw_probe_weight(input int row, input int lane, input int weight);
  always_ff @(posedge clk_i) begin
    if (snapshot_i && nhw_probe_wanted() != 0) begin
      for (int row = 0; row < ROWS; row++) begin
        for (int lane = 0; lane < LANES; lane++) begin
          nhw_probe_weight(row, lane, 32'($signed(weights[RowBits'(row)][lane*WEIGHT_BITS+:WEIGHT_BITS])));
        end
      end
    end
  end
`else
  logic unused_snapshot;
  assign unused_snapshot = snapshot_i;
`endif
endmodule
