// SPDX-License-Identifier: Apache-2.0
// The sums of one lane over all neurons of a population: WORDS words of UPDATE_LANES sums in one memory.
//
// An addition adds `weight_i` to sum `lane_i` of word `address_i`. `empty_i` leaves 0 in the whole word. `word_o` is the word before the operation.
// Operations on one word may follow each other in any distance: what the memory does not give yet is forwarded. The sums never saturate: their width is proved.
//
// Latency: `word_o` and the write follow the operation by 2 clocks; one operation a clock, no stall. One clock reads, one takes the word out of block RAM, one
// adds and writes.
module nhw_lane_accumulator #(
  parameter int unsigned WORDS = 8,
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned WEIGHT_BITS = 4,
  parameter int unsigned LANE_BITS = 8,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned AddressBits = (WORDS > 1) ? $clog2(WORDS) : 1,
  localparam int unsigned LaneBits = (UPDATE_LANES > 1) ? $clog2(UPDATE_LANES) : 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   add_i,
  input  logic                   empty_i,
  input  logic [AddressBits-1:0] address_i,
  input  logic [LaneBits-1:0]    lane_i,
  input  logic [WEIGHT_BITS-1:0] weight_i,
  output logic [UPDATE_LANES*LANE_BITS-1:0] word_o
);
  if (LANE_BITS < WEIGHT_BITS) begin : gen_bad_lane_bits
    $error("nhw_lane_accumulator: LANE_BITS must not be below WEIGHT_BITS");
  end

  // the word of the memory (1), the addition (2); written before (3) and before that (4)
  logic write1_q, empty1_q, write2_q, empty2_q, write3_q, same3_q, same4_q;
  logic [AddressBits-1:0] address1_q, address2_q, address3_q;
  logic [LaneBits-1:0] lane1_q;
  logic [WEIGHT_BITS-1:0] weight1_q;
  logic [UPDATE_LANES-1:0][WEIGHT_BITS-1:0] weights2_q;
  logic [UPDATE_LANES-1:0][LANE_BITS-1:0] sum, sum3_q, sum4_q;
  logic [UPDATE_LANES*LANE_BITS-1:0] read, read2_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {write1_q, write2_q, write3_q} <= '0;
    else {write1_q, write2_q, write3_q} <= {add_i || empty_i, write1_q, write2_q};
    {empty1_q, empty2_q} <= {empty_i, empty1_q};
    {address1_q, address2_q, address3_q} <= {address_i, address1_q, address2_q};
    lane1_q <= lane_i;
    weight1_q <= weight_i;
    read2_q <= read;
    same3_q <= write2_q && address1_q == address2_q;
    same4_q <= write3_q && address1_q == address3_q;
    sum3_q <= sum;
    sum4_q <= sum3_q;
  end

  assign word_o = same3_q ? sum3_q : same4_q ? sum4_q : read2_q;

  for (genvar lane = 0; lane < UPDATE_LANES; lane++) begin : gen_lane
    logic signed [WEIGHT_BITS-1:0] weight;
    assign weight = weights2_q[lane];
    assign sum[lane] = empty2_q ? '0 : word_o[lane*LANE_BITS+:LANE_BITS] + LANE_BITS'(weight);
    always_ff @(posedge clk_i) weights2_q[lane] <= (lane1_q == LaneBits'(lane)) ? weight1_q : '0;
  end

  nhw_memory #(
    .WORDS(WORDS),
    .BITS(UPDATE_LANES * LANE_BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_words (
    .clk_i,
    .write_enable_i(write2_q),
    .write_address_i(address2_q),
    .write_data_i(sum),
    .read_enable_i(1'b1),
    .read_clear_i(1'b0),
    .read_address_i(address_i),
    .read_data_o(read)
  );
endmodule
