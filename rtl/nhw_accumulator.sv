// SPDX-License-Identifier: Apache-2.0
// LANES sums of weights for each of GROUPS groups of neurons, over one step.
//
// A row operation adds `weights_i` to the sums of its group; with `op_first_i` the sums count as 0 before. A drain hands part
// `op_part_i` (UPDATE_LANES neurons) of its group to the neuron update. The sums never saturate: their width is proved.
//
// Latency: `weights_i` belongs to the operation of the clock before; `sums_o` follows a drain by 2 clocks. One operation a clock,
// no stall. With GROUPS >= 2 the sums lie in a memory: one clock to read, one to add and write. A row of the same
// group never follows at once (the groups of an event come in order), so no read meets its own write.
// With one group the sums are plain registers, and one event a clock can be added.
module nhw_accumulator #(
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned WEIGHT_BITS = 4,
  parameter int unsigned ACCUMULATOR_BITS = 12,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned Parts = LANES / UPDATE_LANES,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1,
  localparam int unsigned PartBits = (Parts > 1) ? $clog2(Parts) : 1
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic                 op_valid_i,
  input  logic                 op_drain_i,
  input  logic                 op_first_i,
  input  logic                 op_last_i,
  input  logic                 op_sample_end_i,
  input  logic                 op_initialise_i,
  input  logic [GroupBits-1:0] op_group_i,
  input  logic [PartBits-1:0]  op_part_i,
  input  logic [LANES*WEIGHT_BITS-1:0] weights_i,

  output logic                 sums_valid_o,
  output logic                 sums_last_o,
  output logic                 sums_sample_end_o,
  output logic                 sums_initialise_o,
  output logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_o
);
  if (UPDATE_LANES < 1 || LANES % UPDATE_LANES != 0) begin : gen_bad_update_lanes
    $error("nhw_accumulator: UPDATE_LANES must divide LANES");
  end
  if (ACCUMULATOR_BITS < WEIGHT_BITS) begin : gen_bad_accumulator_bits
    $error("nhw_accumulator: ACCUMULATOR_BITS must not be below WEIGHT_BITS");
  end

  logic add_q, drain_q, last_q, sample_end_q, initialise_q;
  logic [PartBits-1:0] part_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      add_q <= 1'b0;
      drain_q <= 1'b0;
    end else begin
      add_q <= op_valid_i && !op_drain_i;
      drain_q <= op_valid_i && op_drain_i;
    end
    last_q <= op_last_i;
    sample_end_q <= op_sample_end_i;
    initialise_q <= op_initialise_i;
    part_q <= op_part_i;
  end

  logic [LANES-1:0][ACCUMULATOR_BITS-1:0] sums, sums_next;
  logic [Parts-1:0][UPDATE_LANES*ACCUMULATOR_BITS-1:0] parts;
  assign parts = sums;

  for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
    logic signed [WEIGHT_BITS-1:0] weight;
    assign weight = weights_i[lane*WEIGHT_BITS+:WEIGHT_BITS];
    assign sums_next[lane] = sums[lane] + ACCUMULATOR_BITS'(weight);
  end

  if (GROUPS == 1) begin : gen_registers
    // the last drain clears, so that the add needs no multiplexer
    logic unused_operation;
    assign unused_operation = &{1'b0, op_first_i, op_group_i};
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (drain_q && last_q)) sums <= '0;
      else if (add_q) sums <= sums_next;
    end
  end else begin : gen_memory
    logic [GroupBits-1:0] group_q;
    always_ff @(posedge clk_i) group_q <= op_group_i;

    nhw_memory #(
      .WORDS(GROUPS),
      .BITS(LANES * ACCUMULATOR_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_sums (
      .clk_i,
      .write_enable_i(add_q),
      .write_address_i(group_q),
      .write_data_i(sums_next),
      .read_enable_i(1'b1),
      .read_clear_i(op_first_i),
      .read_address_i(op_group_i),
      .read_data_o(sums)
    );
  end

  always_ff @(posedge clk_i) begin
    sums_valid_o <= rst_ni && drain_q;
    sums_last_o <= last_q;
    sums_sample_end_o <= sample_end_q;
    sums_initialise_o <= initialise_q;
  end

  if (Parts == 1) begin : gen_whole
    logic unused_part;
    assign unused_part = &{1'b0, part_q};
    always_ff @(posedge clk_i) sums_o <= parts;
  end else begin : gen_part
    always_ff @(posedge clk_i) sums_o <= parts[part_q];
  end
endmodule
