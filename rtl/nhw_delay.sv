// SPDX-License-Identifier: Apache-2.0
// A value, CLOCKS clocks later. Only for data: there is no reset.
module nhw_delay #(
  parameter int unsigned BITS = 1,
  parameter int unsigned CLOCKS = 1
) (
  input  logic            clk_i,
  input  logic [BITS-1:0] data_i,
  output logic [BITS-1:0] data_o
);
  if (CLOCKS == 0) begin : gen_wire
    logic unused_clock;
    assign unused_clock = clk_i;
    assign data_o = data_i;
  end else begin : gen_pipeline
    logic [CLOCKS*BITS-1:0] pipeline_q;
    always_ff @(posedge clk_i) pipeline_q <= (CLOCKS * BITS)'({pipeline_q, data_i});
    assign data_o = pipeline_q[(CLOCKS-1)*BITS+:BITS];
  end
endmodule
