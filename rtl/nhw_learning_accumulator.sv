// SPDX-License-Identifier: Apache-2.0
// The sums of the next step: each lane adds to a group of its own.
//
// An operation adds, in every lane with `add_i`, the weight `weights_i + carries_i` of the clock after to the sum of the lane's group. A drain hands part `drain_part_i`
// (UPDATE_LANES neurons) of one group to the neuron update and leaves 0. The sums never saturate: their width is proved.
//
// Latency: `sums_o` follows a drain by 2 clocks. One operation a clock, no stall: a sum that is needed again at once is forwarded. Drains and additions do not mix: between
// them lie at least 2 clocks.
module nhw_learning_accumulator #(
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 4,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned WEIGHT_BITS = 8,
  parameter int unsigned ACCUMULATOR_BITS = 14,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned Parts = LANES / UPDATE_LANES,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1,
  localparam int unsigned PartBits = (Parts > 1) ? $clog2(Parts) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic [LANES-1:0]                  add_i,
  input  logic [LANES-1:0][GroupBits-1:0]   groups_i,
  input  logic [LANES-1:0][WEIGHT_BITS-1:0] weights_i,
  input  logic [LANES-1:0]                  carries_i,

  input  logic                 drain_i,
  input  logic                 drain_last_i,
  input  logic                 drain_sample_end_i,
  input  logic                 drain_initialise_i,
  input  logic [GroupBits-1:0] drain_group_i,
  input  logic [PartBits-1:0]  drain_part_i,

  output logic                 sums_valid_o,
  output logic                 sums_last_o,
  output logic                 sums_sample_end_o,
  output logic                 sums_initialise_o,
  output logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_o
);
  if (UPDATE_LANES < 1 || LANES % UPDATE_LANES != 0) begin : gen_bad_update_lanes
    $error("nhw_learning_accumulator: UPDATE_LANES must divide LANES");
  end
  if (ACCUMULATOR_BITS < WEIGHT_BITS) begin : gen_bad_accumulator_bits
    $error("nhw_learning_accumulator: ACCUMULATOR_BITS must not be below WEIGHT_BITS");
  end

  logic drain_q, last_q, sample_end_q, initialise_q;
  logic [PartBits-1:0] part_q;
  logic [LANES-1:0][ACCUMULATOR_BITS-1:0] sums;
  logic [Parts-1:0][UPDATE_LANES*ACCUMULATOR_BITS-1:0] parts;
  assign parts = sums;

  always_ff @(posedge clk_i) begin
    drain_q <= rst_ni && drain_i;
    last_q <= drain_last_i;
    sample_end_q <= drain_sample_end_i;
    initialise_q <= drain_initialise_i;
    part_q <= drain_part_i;
    sums_valid_o <= rst_ni && drain_q;
    sums_last_o <= last_q;
    sums_sample_end_o <= sample_end_q;
    sums_initialise_o <= initialise_q;
    sums_o <= parts[part_q];
  end

  for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
    localparam int unsigned Part = lane / UPDATE_LANES;
    logic add_q, again_q;
    logic [GroupBits-1:0] group, group_q;
    logic signed [ACCUMULATOR_BITS-1:0] held, sum_q;
    logic signed [ACCUMULATOR_BITS:0] sum;  // the carry enters below the least significant bit
    logic signed [WEIGHT_BITS-1:0] weight;

    assign group = drain_i ? drain_group_i : groups_i[lane];
    assign weight = weights_i[lane];
    assign held = again_q ? sum_q : sums[lane];
    assign sum = {held, 1'b1} + {ACCUMULATOR_BITS'(weight), carries_i[lane]};

    always_ff @(posedge clk_i) begin
      add_q <= rst_ni && add_i[lane];
      group_q <= group;
      again_q <= add_i[lane] && add_q && groups_i[lane] == group_q;
      sum_q <= sum[ACCUMULATOR_BITS:1];
    end

    nhw_memory #(
      .WORDS(GROUPS),
      .BITS(ACCUMULATOR_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_sums (
      .clk_i,
      .write_enable_i(add_q || (drain_q && part_q == PartBits'(Part))),
      .write_address_i(group_q),
      .write_data_i(drain_q ? '0 : sum[ACCUMULATOR_BITS:1]),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(group),
      .read_data_o(sums[lane])
    );
    logic unused_half;
    assign unused_half = sum[0];
  end
endmodule
