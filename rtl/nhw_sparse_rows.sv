// SPDX-License-Identifier: Apache-2.0
// Events as operations on the stored weight rows of their source neuron, as many as it has.
//
// Two images say where they are. SOURCE_FILE, one word per source neuron: {number of rows, first row}. GROUP_FILE, one word per row: the group
// of target neurons that it belongs to; only groups with at least one synapse have a row, and a group may have several of one source neuron: they add
// up. With GROUPS = 1 there is no such image: so are compressed rows, whose entries name their targets. An event costs its number of rows, at least
// one clock; an event without rows, or of a source neuron >= INPUTS, adds nothing.
//
// Handshake: AXI-Stream slave whose ready depends on registers only, operations with valid and ready. Latency: 5 clocks from an accepted event to its first operation; then one a
// clock, without a gap between events that have rows.
module nhw_sparse_rows #(
  parameter int unsigned INPUTS = 16,
  parameter int unsigned ROWS = 8,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned COUNT_BITS = 2,  // of the largest number of rows of one source neuron
  parameter int unsigned ROW_BITS = 5,
  parameter SOURCE_FILE = "",
  parameter GROUP_FILE = "",
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

  output logic        event_o,
  output logic        waiting_o
);
  localparam int unsigned FirstBits = (ROWS > 1) ? $clog2(ROWS) : 1;
  localparam int unsigned SourceDepth = (INPUTS > 1) ? INPUTS : 2;
  localparam int unsigned SourceBits = $clog2(SourceDepth);

  /* verilator lint_off UNDRIVEN */
  logic [COUNT_BITS+FirstBits-1:0] sources [SourceDepth];
  /* verilator lint_on UNDRIVEN */
  if (SOURCE_FILE != "") begin : gen_sources
    initial $readmemh(SOURCE_FILE, sources, 0, INPUTS - 1);
  end

  // --- accept, with room for a beat that comes while the next stage is busy ----------------------------------------------
  localparam int unsigned BeatBits = SourceBits + 3;
  logic accept_valid_q, accept_last_q, accept_user_q, accept_known_q, spare_valid_q, accept_ready, found_ready;
  logic [SourceBits-1:0] accept_source_q;
  logic [BeatBits-1:0] beat, spare_q;

  assign s_axis_tready = !spare_valid_q;
  assign beat = {s_axis_tlast, s_axis_tuser, {1'b0, s_axis_tdata} < 17'(INPUTS), SourceBits'(s_axis_tdata)};
  assign accept_ready = !accept_valid_q || found_ready;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      accept_valid_q <= 1'b0;
      spare_valid_q <= 1'b0;
    end else if (accept_ready) begin
      accept_valid_q <= s_axis_tvalid || spare_valid_q;
      spare_valid_q <= 1'b0;
    end else if (s_axis_tvalid) begin
      spare_valid_q <= 1'b1;
    end
    if (s_axis_tready) spare_q <= beat;
    if (accept_ready) begin
      {accept_last_q, accept_user_q, accept_known_q, accept_source_q} <= spare_valid_q ? spare_q : beat;
    end
  end

  // --- look the source up: a clock for the memory, and one to take the word out of block RAM ------------------------------
  logic found_valid_q, found_last_q, found_user_q, found_known_q;
  logic start_valid_q, start_last_q, start_user_q, start_known_q, start_ready;
  logic [COUNT_BITS+FirstBits-1:0] found_q, start_q;
  logic row_valid_q, row_ready, more_q;

  assign found_ready = !found_valid_q || start_ready;
  assign start_ready = !start_valid_q || (row_ready && !more_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      found_valid_q <= 1'b0;
      start_valid_q <= 1'b0;
    end else begin
      if (found_ready) found_valid_q <= accept_valid_q;
      if (start_ready) start_valid_q <= found_valid_q;
    end
    if (found_ready) begin
      found_q <= sources[accept_source_q];
      {found_known_q, found_last_q, found_user_q} <= {accept_known_q, accept_last_q, accept_user_q};
    end
    if (start_ready) begin
      start_q <= found_q;
      {start_known_q, start_last_q, start_user_q} <= {found_known_q, found_last_q, found_user_q};
    end
  end

  // --- rows of the event in hand -------------------------------------------------------------------------------------
  logic [COUNT_BITS-1:0] count, left_q;
  logic [FirstBits-1:0] first, row_q;
  logic row_barrier_q, row_user_q, advance, useful;

  assign {count, first} = start_q;
  assign useful = start_last_q || (start_known_q && count != '0);
  assign advance = !op_valid_o || op_ready_i;
  assign row_ready = !row_valid_q || advance;
  assign more_q = row_valid_q && !row_barrier_q && left_q != '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) row_valid_q <= 1'b0;
    else if (row_ready && !more_q) row_valid_q <= start_valid_q && useful;
    if (row_ready) begin
      row_q <= more_q ? row_q + 1'b1 : first;
      left_q <= more_q ? left_q - 1'b1 : count - 1'b1;
      if (!more_q) row_barrier_q <= start_last_q;
      if (!more_q) row_user_q <= start_user_q;
    end
  end

  // --- the group of the row ------------------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    if (!rst_ni) op_valid_o <= 1'b0;
    else if (advance) op_valid_o <= row_valid_q;
    if (advance) begin
      op_row_o <= ROW_BITS'(row_q);
      op_barrier_o <= row_barrier_q;
      op_sample_end_o <= row_user_q;
    end
  end

  if (GROUPS == 1) begin : gen_one_group
    assign op_group_o = '0;
  end else begin : gen_groups
    localparam int unsigned RowDepth = (ROWS > 1) ? ROWS : 2;
    /* verilator lint_off UNDRIVEN */
    logic [GroupBits-1:0] groups [RowDepth];
    /* verilator lint_on UNDRIVEN */
    if (GROUP_FILE != "") begin : gen_image
      initial $readmemh(GROUP_FILE, groups, 0, ROWS - 1);
    end
    always_ff @(posedge clk_i) if (advance) op_group_o <= groups[row_q];
  end

  assign event_o = s_axis_tvalid && s_axis_tready && !s_axis_tlast;
  assign waiting_o = (s_axis_tvalid && !s_axis_tlast) || (spare_valid_q && !spare_q[BeatBits-1])
                     || (accept_valid_q && !accept_last_q) || (found_valid_q && !found_last_q)
                     || (start_valid_q && !start_last_q) || (row_valid_q && !row_barrier_q) || (op_valid_o && !op_barrier_o);
endmodule
