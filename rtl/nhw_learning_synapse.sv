// SPDX-License-Identifier: Apache-2.0
// One synapse a clock: two changes of its weight, each clipped, and what its neuron sees of the result.
//
//   w1 = clip(weight + first)     w2 = clip(w1 + second)     delivered = (w2 + 2^(HIDDEN_BITS - 1)) >>> HIDDEN_BITS
//
// The rounding of `delivered` is split: `seen_o + carry_o`, so that the half goes into the carry of the adder that follows.
// Latency: `weight_o` and `seen_o` follow `weight_i`, `first_i`, `low_i` and `high_i` by 4 clocks; `second_i` comes 2 clocks later than they. Limits enclose 0.
module nhw_learning_synapse #(
  parameter int unsigned WEIGHT_BITS = 12,
  parameter int unsigned HIDDEN_BITS = 4,
  localparam int unsigned ChangeBits = WEIGHT_BITS + 2
) (
  input  logic                                      clk_i,
  input  logic signed [WEIGHT_BITS-1:0]             weight_i,
  input  logic signed [ChangeBits-1:0]              first_i,
  input  logic signed [ChangeBits-1:0]              second_i,
  input  logic signed [WEIGHT_BITS-1:0]             low_i,
  input  logic signed [WEIGHT_BITS-1:0]             high_i,
  output logic signed [WEIGHT_BITS-1:0]             weight_o,
  output logic signed [WEIGHT_BITS-HIDDEN_BITS-1:0] seen_o,
  output logic                                      carry_o
);
  localparam int unsigned SumBits = WEIGHT_BITS + 3;

  if (HIDDEN_BITS >= WEIGHT_BITS) begin : gen_bad_hidden_bits
    $error("nhw_learning_synapse: HIDDEN_BITS must be below WEIGHT_BITS");
  end

  // the limits wait for their clock
  logic signed [2:0][WEIGHT_BITS-1:0] low_q, high_q;
  always_ff @(posedge clk_i) begin
    low_q <= {low_q[1:0], low_i};
    high_q <= {high_q[1:0], high_i};
  end

  logic signed [SumBits-1:0] sum1_q, sum2_q;
  logic signed [WEIGHT_BITS-1:0] weight1_q, low1, high1, low2, high2;
  assign low1 = low_q[0];
  assign high1 = high_q[0];
  assign low2 = low_q[2];
  assign high2 = high_q[2];

  always_ff @(posedge clk_i) begin
    sum1_q <= SumBits'(weight_i) + SumBits'(first_i);
    weight1_q <= (sum1_q < SumBits'(low1)) ? low1 : (sum1_q > SumBits'(high1)) ? high1 : sum1_q[WEIGHT_BITS-1:0];
    sum2_q <= SumBits'(weight1_q) + SumBits'(second_i);
    weight_o <= (sum2_q < SumBits'(low2)) ? low2 : (sum2_q > SumBits'(high2)) ? high2 : sum2_q[WEIGHT_BITS-1:0];
  end

  assign seen_o = weight_o[WEIGHT_BITS-1:HIDDEN_BITS];
  if (HIDDEN_BITS == 0) begin : gen_exact
    assign carry_o = 1'b0;
  end else begin : gen_round
    assign carry_o = weight_o[HIDDEN_BITS-1];
  end
endmodule
