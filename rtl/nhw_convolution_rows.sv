// SPDX-License-Identifier: Apache-2.0
// Events of a convolution as operations on shared weight rows.
//
// Source neuron (c*HEIGHT + y)*WIDTH + x reaches a block of output positions, and at each of them the channel groups of its part of the
// channels. The target's group of position p is p*GROUPS_PER_POSITION + channel group. The weight row of input channel c, kernel row ky and
// column kx is ((c*KERNEL_HEIGHT + ky)*KERNEL_WIDTH + kx)*CHANNEL_GROUPS + channel group within its part. From one output row to the next the
// kernel row falls by the stride, and so does the column: both walks are additions of constants.
//
// Three images give where the walks begin, one word each per input row y, column x and channel c:
//   ROW_FILE      {output rows (0: none), group of the first, weight row of its kernel row}
//   COLUMN_FILE   {output columns, group, weight row}
//   CHANNEL_FILE  {first channel group, weight row}
//
// An event costs output rows * output columns * CHANNEL_GROUPS clocks, at least one. An event of a source neuron beyond the input adds nothing.
// Handshake: AXI-Stream slave, operations with valid and ready. Latency: 7 clocks from an accepted event to its first operation; then one a clock,
// without a gap between events.
module nhw_convolution_rows #(
  parameter int unsigned CHANNELS = 1,
  parameter int unsigned HEIGHT = 8,
  parameter int unsigned WIDTH = 8,
  parameter int unsigned GROUPS = 64,
  parameter int unsigned ROW_BITS = 5,
  parameter int unsigned COUNT_BITS = 2,        // of the counts in the images
  parameter int unsigned CHANNEL_GROUPS = 1,    // visited at each position
  parameter int unsigned COLUMN_GROUP_STEP = 1, // from one output column to the next
  parameter int unsigned COLUMN_ROW_STEP = 1,   // the weight row falls by it
  parameter int unsigned ROW_GROUP_STEP = 8,
  parameter int unsigned ROW_ROW_STEP = 3,
  parameter ROW_FILE = "",
  parameter COLUMN_FILE = "",
  parameter CHANNEL_FILE = "",
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
  if (CHANNELS * HEIGHT * WIDTH > 65536) begin : gen_bad_inputs
    $error("nhw_convolution_rows: at most 65536 source neurons");
  end

  // index / WIDTH and that / HEIGHT as products with constants, exact for 16-bit numerators
  localparam int unsigned WidthShift = 16 + $clog2(WIDTH);
  localparam int unsigned HeightShift = 16 + $clog2(HEIGHT);
  localparam logic [16:0] WidthFactor = 17'((64'd1 << WidthShift) / 64'(WIDTH) + 64'd1);
  localparam logic [16:0] HeightFactor = 17'((64'd1 << HeightShift) / 64'(HEIGHT) + 64'd1);
  localparam int unsigned RowWord = COUNT_BITS + GroupBits + ROW_BITS;
  localparam int unsigned ChannelWord = GroupBits + ROW_BITS;
  localparam int unsigned RowDepth = (HEIGHT > 1) ? HEIGHT : 2;
  localparam int unsigned ColumnDepth = (WIDTH > 1) ? WIDTH : 2;
  localparam int unsigned ChannelDepth = (CHANNELS > 1) ? CHANNELS : 2;
  localparam int unsigned YBits = $clog2(RowDepth);
  localparam int unsigned XBits = $clog2(ColumnDepth);
  localparam int unsigned CBits = $clog2(ChannelDepth);
  localparam int unsigned VisitBits = (CHANNEL_GROUPS > 1) ? $clog2(CHANNEL_GROUPS) : 1;
  localparam logic [VisitBits-1:0] LastVisit = VisitBits'(CHANNEL_GROUPS - 1);

  /* verilator lint_off UNDRIVEN */
  logic [RowWord-1:0] rows [RowDepth];
  logic [RowWord-1:0] columns [ColumnDepth];
  logic [ChannelWord-1:0] channels [ChannelDepth];
  /* verilator lint_on UNDRIVEN */
  if (ROW_FILE != "") begin : gen_images
    initial $readmemh(ROW_FILE, rows, 0, HEIGHT - 1);
    initial $readmemh(COLUMN_FILE, columns, 0, WIDTH - 1);
    initial $readmemh(CHANNEL_FILE, channels, 0, CHANNELS - 1);
  end

  // --- a pipeline that moves as a whole: index, division by WIDTH, division by HEIGHT, images, start -----------------
  localparam int unsigned Stages = 5;
  logic [Stages-1:0] valid_q, last_q, user_q;
  logic move;
  logic [15:0] index0_q, index1_q, line1_q;
  logic [15:0] line2_q;
  logic [XBits-1:0] x2_q, x3_q;
  logic [YBits-1:0] y3_q;
  logic [CBits-1:0] c3_q;
  logic known0_q, known1_q, known2_q, known3_q, known4_q;
  logic [RowWord-1:0] row4_q, column4_q;
  logic [ChannelWord-1:0] channel4_q;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [32:0] line_product, channel_product;
  logic [15:0] channel2;
  logic [15:0] x1, y2;
  /* verilator lint_on UNUSEDSIGNAL */

  assign line_product = index0_q * WidthFactor;
  assign channel_product = line2_q * HeightFactor;
  assign channel2 = 16'(channel_product >> HeightShift);
  assign x1 = index1_q - times(line1_q, WIDTH);
  assign y2 = line2_q - times(channel2, HEIGHT);

  // shifted sums: the constant is small
  function automatic logic [15:0] times(input logic [15:0] value, input int unsigned constant);
    times = '0;
    for (int unsigned b = 0; b < 16; b++) begin
      if (constant[b]) times = times + (value << b);
    end
  endfunction

  assign s_axis_tready = move;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (move) valid_q <= {valid_q[Stages-2:0], s_axis_tvalid};
    if (move) begin
      last_q <= {last_q[Stages-2:0], s_axis_tlast};
      user_q <= {user_q[Stages-2:0], s_axis_tuser};
      index0_q <= s_axis_tdata;
      known0_q <= {1'b0, s_axis_tdata} < 17'(CHANNELS * HEIGHT * WIDTH);
      index1_q <= index0_q;
      line1_q <= 16'(line_product >> WidthShift);
      known1_q <= known0_q;
      line2_q <= line1_q;
      x2_q <= XBits'(x1);
      known2_q <= known1_q;
      x3_q <= x2_q;
      y3_q <= YBits'(y2);
      c3_q <= CBits'(channel2);
      known3_q <= known2_q;
      row4_q <= rows[y3_q];
      column4_q <= columns[x3_q];
      channel4_q <= channels[c3_q];
      known4_q <= known3_q;
    end
  end

  // --- the event in hand: where it stands ----------------------------------------------------------------------------
  logic [COUNT_BITS-1:0] rows4, columns4, rows_left_q, columns_q, columns_left_q;
  logic [GroupBits-1:0] row_group4, column_group4, channel_group4, line_group_q, place_group_q;
  logic [ROW_BITS-1:0] row_row4, column_row4, channel_row4, line_row_q, place_row_q;
  logic [VisitBits-1:0] visit_q;
  logic more_q, advance, load, useful;
  logic next_visit, next_column;

  assign {rows4, row_group4, row_row4} = row4_q;
  assign {columns4, column_group4, column_row4} = column4_q;
  assign {channel_group4, channel_row4} = channel4_q;
  assign useful = last_q[Stages-1] || (known4_q && rows4 != '0 && columns4 != '0);
  assign advance = !op_valid_o || op_ready_i;
  assign load = advance && !more_q;
  assign move = !valid_q[Stages-1] || load;
  assign next_visit = visit_q != LastVisit;
  assign next_column = columns_left_q != '0;

  logic [GroupBits-1:0] start_group, column_group, line_group;
  logic [ROW_BITS-1:0] start_row, column_row, line_row;
  assign start_group = row_group4 + column_group4 + channel_group4;
  assign start_row = row_row4 + column_row4 + channel_row4;
  assign column_group = place_group_q + GroupBits'(COLUMN_GROUP_STEP);
  assign column_row = place_row_q - ROW_BITS'(COLUMN_ROW_STEP);
  assign line_group = line_group_q + GroupBits'(ROW_GROUP_STEP);
  assign line_row = line_row_q - ROW_BITS'(ROW_ROW_STEP);

  // operations still to come after the one at the output
  assign more_q = op_valid_o && !op_barrier_o && (next_visit || next_column || rows_left_q != '0);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) op_valid_o <= 1'b0;
    else if (load) op_valid_o <= valid_q[Stages-1] && useful;
    if (load) begin
      op_barrier_o <= last_q[Stages-1];
      op_sample_end_o <= user_q[Stages-1];
      op_row_o <= start_row;
      op_group_o <= start_group;
      place_row_q <= start_row;
      place_group_q <= start_group;
      line_row_q <= start_row;
      line_group_q <= start_group;
      visit_q <= '0;
      columns_q <= columns4 - 1'b1;
      columns_left_q <= columns4 - 1'b1;
      rows_left_q <= rows4 - 1'b1;
    end else if (advance) begin
      if (next_visit) begin
        visit_q <= visit_q + 1'b1;
        op_row_o <= op_row_o + 1'b1;
        op_group_o <= op_group_o + 1'b1;
      end else begin
        visit_q <= '0;
        if (next_column) begin
          columns_left_q <= columns_left_q - 1'b1;
          op_row_o <= column_row;
          op_group_o <= column_group;
          place_row_q <= column_row;
          place_group_q <= column_group;
        end else begin
          columns_left_q <= columns_q;
          rows_left_q <= rows_left_q - 1'b1;
          op_row_o <= line_row;
          op_group_o <= line_group;
          place_row_q <= line_row;
          place_group_q <= line_group;
          line_row_q <= line_row;
          line_group_q <= line_group;
        end
      end
    end
  end

  assign event_o = s_axis_tvalid && s_axis_tready && !s_axis_tlast;
  assign waiting_o = (s_axis_tvalid && !s_axis_tlast) || (valid_q & ~last_q) != '0 || (op_valid_o && !op_barrier_o);
endmodule
