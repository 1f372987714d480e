// SPDX-License-Identifier: Apache-2.0
// Events of a dense projection as operations on the weight rows of the target, one a clock.
//
// An event of source neuron j becomes GROUPS operations (row j*GROUPS + g, group g); a step barrier becomes one barrier operation.
// An event of a source neuron >= INPUTS is accepted and dropped.
//
// Handshake: AXI-Stream slave, `s_axis_tready` depends on `op_ready_i`; operations have valid and ready, and are stable while they wait.
// Latency: 3 clocks from an accepted event to its first operation; then one a clock, without a gap between events.
module nhw_dense_rows #(
  parameter int unsigned INPUTS = 16,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned ROW_BITS = 5,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [15:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  input  logic        s_axis_tuser,

  output logic                 op_valid_o,
  input  logic                 op_ready_i,
  output logic                 op_barrier_o,
  output logic                 op_sample_end_o,
  output logic [ROW_BITS-1:0]  op_row_o,
  output logic [GroupBits-1:0] op_group_o,

  output logic        event_o,    // an event is accepted in this clock
  output logic        waiting_o   // an event is in hand or waiting
);
  if (INPUTS < 1 || INPUTS > 65536) begin : gen_bad_inputs
    $error("nhw_dense_rows: INPUTS must be 1 to 65536");
  end

  localparam logic [GroupBits-1:0] BeforeLastGroup = (GROUPS > 1) ? GroupBits'(GROUPS - 2) : '0;

  // --- accept: one beat in hand --------------------------------------------------------------------------------------
  logic accept_valid_q, accept_last_q, accept_user_q;
  logic [15:0] accept_data_q;
  logic base_valid_q, base_barrier_q, base_user_q, base_ready, advance, more_rows_q;

  assign s_axis_tready = !accept_valid_q || base_ready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) accept_valid_q <= 1'b0;
    else if (s_axis_tready) accept_valid_q <= s_axis_tvalid;
    if (s_axis_tready) begin
      accept_data_q <= s_axis_tdata;
      accept_last_q <= s_axis_tlast;
      accept_user_q <= s_axis_tuser;
    end
  end

  // --- base: first row of the event, in a stage of its own -----------------------------------------------------------
  logic [ROW_BITS-1:0] base_row_q, base_row;
  logic in_range;

  assign base_ready = !base_valid_q || (advance && !more_rows_q);
  assign in_range = {1'b0, accept_data_q} < 17'(INPUTS);

  // shifted sums instead of `*`: no multiplier block for a small constant
  always_comb begin
    base_row = '0;
    for (int unsigned b = 0; b < 32; b++) begin
      if (GROUPS[b]) base_row = base_row + (ROW_BITS'(accept_data_q) << b);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) base_valid_q <= 1'b0;
    else if (base_ready) base_valid_q <= accept_valid_q && (accept_last_q || in_range);
    if (base_ready) begin
      base_row_q <= base_row;
      base_barrier_q <= accept_last_q;
      base_user_q <= accept_user_q;
    end
  end

  // --- rows of the event in hand -------------------------------------------------------------------------------------
  assign advance = !op_valid_o || op_ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      op_valid_o <= 1'b0;
      more_rows_q <= 1'b0;
    end else if (advance) begin
      if (more_rows_q) begin
        more_rows_q <= op_group_o != BeforeLastGroup;
      end else begin
        op_valid_o <= base_valid_q;
        more_rows_q <= base_valid_q && !base_barrier_q && GROUPS > 1;
      end
    end
    if (advance) begin
      op_row_o <= more_rows_q ? op_row_o + 1'b1 : base_row_q;
      op_group_o <= more_rows_q ? op_group_o + 1'b1 : '0;
      if (!more_rows_q) op_barrier_o <= base_barrier_q;
      if (!more_rows_q) op_sample_end_o <= base_user_q;
    end
  end

  assign event_o = s_axis_tvalid && s_axis_tready && !s_axis_tlast;
  assign waiting_o = (s_axis_tvalid && !s_axis_tlast) || (accept_valid_q && !accept_last_q)
                     || (base_valid_q && !base_barrier_q) || (op_valid_o && !op_barrier_o);
endmodule
