// SPDX-License-Identifier: Apache-2.0
// The astrocyte: the leaky integrator whose state S sets the amplitude of depression.
//
//   S <- S + ((GAIN * surplus + BIAS - S) >>> LEAK)     at `update_i`, INITIAL instead where the sample ends;     amplitude = S >>> GUARD
//
// `surplus_i`: spikes of the population less those of the input, in the step. S never leaves the interval of INITIAL and all its targets, which STATE_BITS holds.
// Latency: 4 clocks from `update_i` to the new state; updates come at least 4 clocks apart.
module nhw_learning_depression #(
  parameter int unsigned STATE_BITS = 24,
  parameter int unsigned SURPLUS_BITS = 9,
  parameter int unsigned AMPLITUDE_BITS = 17,
  parameter int unsigned GUARD = 7,
  parameter int unsigned LEAK = 7,
  parameter int GAIN = 1000,
  parameter int BIAS = 80000,
  parameter int INITIAL = 80000
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                             update_i,
  input  logic                             sample_end_i,
  input  logic signed [SURPLUS_BITS-1:0]   surplus_i,
  output logic signed [STATE_BITS-1:0]     state_o,
  output logic signed [AMPLITUDE_BITS-1:0] amplitude_o
);
`ifdef NHW_PROBE
  import "DPI-C" function void nhw_probe_astrocyte(input int state);
`endif

  localparam int unsigned WideBits = STATE_BITS + 1;

  if (STATE_BITS > 31) begin : gen_bad_state_bits
    $error("nhw_learning_depression: STATE_BITS must be at most 31");
  end
  if (AMPLITUDE_BITS + GUARD < STATE_BITS) begin : gen_bad_amplitude_bits
    $error("nhw_learning_depression: AMPLITUDE_BITS + GUARD must not be below STATE_BITS");
  end

  logic [2:0] update_q, sample_end_q;
  logic signed [STATE_BITS-1:0] product_q, target_q;
  logic signed [WideBits-1:0] difference_q, next;

  assign next = WideBits'(state_o) + (difference_q >>> LEAK);
  assign amplitude_o = AMPLITUDE_BITS'(state_o >>> GUARD);

  always_ff @(posedge clk_i) begin
    update_q <= rst_ni ? {update_q[1:0], update_i} : '0;
    sample_end_q <= {sample_end_q[1:0], sample_end_i};
    // GAIN times a surplus may lie beyond the interval that holds the targets, but its sum with BIAS does not
    product_q <= STATE_BITS'(GAIN) * STATE_BITS'(surplus_i);
    target_q <= product_q + STATE_BITS'(BIAS);
    difference_q <= WideBits'(target_q) - WideBits'(state_o);
    if (!rst_ni || (update_q[2] && sample_end_q[2])) state_o <= STATE_BITS'(INITIAL);
    else if (update_q[2]) state_o <= next[STATE_BITS-1:0];
  end
  logic unused_next;
  assign unused_next = next[WideBits-1];

`ifdef NHW_PROBE
  always_ff @(posedge clk_i) if (rst_ni && update_q[2]) nhw_probe_astrocyte(32'($signed(next[STATE_BITS-1:0])));
`endif
endmodule
