// SPDX-License-Identifier: Apache-2.0
// Operations of several projections into one population, in one stream.
//
// Operations of the current step pass in any order; an input that has reached its barrier waits until all have, and then one barrier
// goes on. It ends the sample if any of them does. The rows of input p start at ROW_BASES[p*32 +: 32] of the common weight memory.
//
// Inputs are served in turn: after a pass the next higher one has precedence. Handshake: valid and ready on both sides. Latency: 1 clock,
// one operation a clock.
module nhw_operation_merge #(
  parameter int unsigned INPUTS = 2,
  parameter int unsigned ROW_BITS = 5,
  parameter int unsigned GROUP_BITS = 1,
  parameter logic [INPUTS*32-1:0] ROW_BASES = '0
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic [INPUTS-1:0]            in_valid_i,
  output logic [INPUTS-1:0]            in_ready_o,
  input  logic [INPUTS-1:0]            in_barrier_i,
  input  logic [INPUTS-1:0]            in_sample_end_i,
  input  logic [INPUTS*ROW_BITS-1:0]   in_row_i,
  input  logic [INPUTS*GROUP_BITS-1:0] in_group_i,

  output logic                  op_valid_o,
  input  logic                  op_ready_i,
  output logic                  op_barrier_o,
  output logic                  op_sample_end_o,
  output logic [ROW_BITS-1:0]   op_row_o,
  output logic [GROUP_BITS-1:0] op_group_o
);
  logic advance, all_barriers;
  logic [INPUTS-1:0] request, grant, above_q, favoured;
  logic [ROW_BITS-1:0] row;
  logic [GROUP_BITS-1:0] group;

  assign advance = !op_valid_o || op_ready_i;
  assign all_barriers = &(in_valid_i & in_barrier_i);
  assign request = in_valid_i & ~in_barrier_i;
  assign favoured = request & above_q;
  // the lowest set bit
  assign grant = (favoured != '0) ? favoured & (~favoured + 1'b1) : request & (~request + 1'b1);
  assign in_ready_o = advance ? (all_barriers ? '1 : grant) : '0;

  always_comb begin
    row = '0;
    group = '0;
    for (int unsigned p = 0; p < INPUTS; p++) begin
      if (grant[p]) begin
        row = row | (in_row_i[p*ROW_BITS+:ROW_BITS] + ROW_BITS'(ROW_BASES[p*32+:32]));
        group = group | in_group_i[p*GROUP_BITS+:GROUP_BITS];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      op_valid_o <= 1'b0;
      above_q <= '0;
    end else if (advance) begin
      op_valid_o <= all_barriers || request != '0;
      if (request != '0) above_q <= ~(grant | (grant - 1'b1));
    end
    if (advance) begin
      op_barrier_o <= all_barriers;
      op_sample_end_o <= (in_sample_end_i & in_barrier_i) != '0;
      op_row_o <= row;
      op_group_o <= group;
    end
  end
endmodule
