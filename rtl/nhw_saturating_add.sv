// SPDX-License-Identifier: Apache-2.0
// Sum of a decayed state (with its rounding increment, see nhw_decay) and an input, clipped to the signed range of BITS bits.
//
// `saturated_o` comes with `sum_o` and tells that the clipping changed it.
// Latency: 2 clocks, one for the exact sum and one for the clipping. No stall.
module nhw_saturating_add #(
  parameter int unsigned BITS = 16,
  parameter int unsigned INPUT_BITS = 16
) (
  input  logic                         clk_i,
  input  logic signed [BITS-1:0]       state_i,
  input  logic                         increment_i,
  input  logic signed [INPUT_BITS-1:0] input_i,
  output logic signed [BITS-1:0]       sum_o,
  output logic                         saturated_o
);
  localparam int unsigned WideBits = ((BITS > INPUT_BITS) ? BITS : INPUT_BITS) + 1;

  // the increment enters below the least significant bit: one carry chain for three operands
  logic signed [WideBits:0] sum_q;
  logic overflow;

  assign overflow = sum_q[WideBits:BITS] != {(WideBits - BITS + 1){sum_q[WideBits]}};

  always_ff @(posedge clk_i) begin
    sum_q <= {WideBits'(state_i), 1'b1} + {WideBits'(input_i), increment_i};
    sum_o <= overflow ? {sum_q[WideBits], {(BITS - 1){!sum_q[WideBits]}}} : sum_q[BITS:1];
    saturated_o <= overflow;
  end

  logic unused_half;
  assign unused_half = sum_q[0];
endmodule
