// SPDX-License-Identifier: Apache-2.0
// Decay of one state variable, exact in integers.
//
//   KIND 0, 3: value                                  latency 0
//   KIND 1: value - (value >>> VALUE)                 latency 1 (floors)
//   KIND 2: value * (4096 - VALUE) / 4096             latency 2 (truncates toward zero)
//   KIND 4: value * factor_i / 4096                   latency 2 (truncates toward zero); factor_i is 0 to 4096
//
// The result is `value_o + increment_o`: the shift of a product floors, and the 1 that a negative product with a remainder needs
// is left to the carry input of the adder that follows. `factor_i` comes with `value_i`. No stall.
// (0 and 3 differ for nhw_neuron_update only: whether a current or an adaptation is there at all.)
module nhw_decay #(
  parameter int unsigned BITS = 16,
  parameter int unsigned KIND = 1,
  parameter int unsigned VALUE = 4
) (
  input  logic                   clk_i,
  input  logic signed [BITS-1:0] value_i,
  input  logic [12:0]            factor_i,
  output logic signed [BITS-1:0] value_o,
  output logic                   increment_o
);
  if (KIND > 4) begin : gen_bad_kind
    $error("nhw_decay: KIND must be 0 or 3 (none), 1 (shift), 2 (multiply) or 4 (multiply by factor_i)");
  end
  if (KIND == 2 && VALUE > 4096) begin : gen_bad_value
    $error("nhw_decay: VALUE must be 0 to 4096");
  end

  if (KIND == 1) begin : gen_shift
    always_ff @(posedge clk_i) value_o <= value_i - (value_i >>> VALUE);
    assign increment_o = 1'b0;
  end else if (KIND == 2 || KIND == 4) begin : gen_multiply
    localparam int unsigned ProductBits = BITS + 14;
    logic signed [13:0] factor;
    logic signed [ProductBits-1:0] product_q;
    assign factor = (KIND == 4) ? $signed({1'b0, factor_i}) : 14'(4096 - VALUE);
    always_ff @(posedge clk_i) begin
      product_q <= ProductBits'(value_i) * ProductBits'(factor);
      value_o <= product_q[12+:BITS];
      increment_o <= product_q[ProductBits-1] && product_q[11:0] != '0;
    end
    // |factor| <= 4096: the bits between result and sign repeat the sign
    logic unused_product;
    assign unused_product = &{1'b0, product_q[ProductBits-2:12+BITS]};
  end else begin : gen_none
    logic unused_clock;
    assign unused_clock = clk_i;
    assign value_o = value_i;
    assign increment_o = 1'b0;
  end

  logic unused_factor;
  assign unused_factor = &{1'b0, factor_i};
endmodule
