// SPDX-License-Identifier: Apache-2.0
// One modulation: the membranes of an astrocyte become gains of the input, or additions to the thresholds, of another population.
//
//   level    = membrane + offset                                              after every step of the astrocyte
//   gain     = table[clip(level >>> SHIFT, -64, 63) + 64]                     with GAIN: 10 bits, 8 of them fraction
//   addition = max(level, 0) >>> SHIFT, or <<< SHIFT with LEFT                without
//
// The values of a step (a set) lie in a double buffer. Set 0 comes from the initialisation of the astrocyte (membranes of 0), set t + 1 from its
// step t, and the population reads set t in its step t; so on over all samples, because a sample ends with membranes of 0.
// `levels_o`: a set is there of which no step has been begun yet; `target_step_i` tells that one has. `room_o`: there is room for a set that nobody
// has begun; `step_i` tells that the astrocyte has. A set is free again when its last word has been read.
//
// A set has WORDS words of LANES values, as the astrocyte writes them. Every `read_i` gives the values of the population's next update word. After
// REPEAT of them the next value follows (SHARED: one value for all TARGET_LANES lanes) or the next word (TARGET_LANES = LANES), and after PERIOD of
// them, or after the last word of the step (`read_last_i`), the first.
//
// OFFSET_FILE: WORDS words of LANES offsets. TABLE_FILE: 128 words.
// Latency: 5 clocks from a membrane to its place in the buffer, 2 from `read_i` to `values_o`. One word a clock on both sides, no stall.
module nhw_modulation #(
  parameter int unsigned LANES = 2,
  parameter int unsigned WORDS = 4,
  parameter int unsigned MEMBRANE_BITS = 16,
  parameter int unsigned OFFSET_BITS = 16,
  parameter bit GAIN = 1'b1,
  parameter int unsigned SHIFT = 4,
  parameter bit LEFT = 1'b0,
  parameter int unsigned VALUE_BITS = 10,
  parameter int unsigned TARGET_LANES = 2,
  parameter bit SHARED = 1'b0,
  parameter int unsigned REPEAT = 1,
  parameter int unsigned PERIOD = 4,
  parameter OFFSET_FILE = "",
  parameter TABLE_FILE = "",
  parameter MEMORY_STYLE = "auto"
) (
  input  logic clk_i,
  input  logic rst_ni,

  // the astrocyte
  input  logic word_valid_i,
  input  logic word_last_i,
  input  logic [LANES*MEMBRANE_BITS-1:0] membranes_i,
  input  logic step_i,
  output logic room_o,

  // the population that it modulates
  output logic levels_o,
  input  logic target_step_i,
  input  logic read_i,
  input  logic read_last_i,
  output logic [TARGET_LANES*VALUE_BITS-1:0] values_o
);
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1;
  localparam int unsigned LevelBits = ((MEMBRANE_BITS > OFFSET_BITS) ? MEMBRANE_BITS : OFFSET_BITS) + 1;
  localparam int unsigned BufferBits = (WORDS > 1) ? WordBits + 1 : 1;

  if (GAIN && (LEFT || VALUE_BITS != 10)) begin : gen_bad_gain
    $error("nhw_modulation: a gain has VALUE_BITS = 10, and its levels are shifted to the right");
  end
  if (!SHARED && TARGET_LANES != LANES) begin : gen_bad_lanes
    $error("nhw_modulation: TARGET_LANES must be LANES unless the lanes are SHARED");
  end

  // --- sets: promised, complete, begun, read -----------------------------------------------------------------------------
  logic set_written, set_read, write_set_q, read_set_q;
  logic [1:0] free_q, complete_q;

  assign room_o = free_q != '0;
  assign levels_o = complete_q != '0;
  assign set_read = read_i && read_last_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      free_q <= 2'd1;  // the other one is for the initialisation
      complete_q <= '0;
      write_set_q <= 1'b0;
      read_set_q <= 1'b0;
    end else begin
      if (step_i && !set_read) free_q <= free_q - 1'b1;
      if (set_read && !step_i) free_q <= free_q + 1'b1;
      if (set_written && !target_step_i) complete_q <= complete_q + 1'b1;
      if (target_step_i && !set_written) complete_q <= complete_q - 1'b1;
      if (set_written) write_set_q <= !write_set_q;
      if (set_read) read_set_q <= !read_set_q;
    end
  end

  // --- membrane + offset (1), shift and limits (2), table (3), buffer (4) --------------------------------------------------
  logic [WordBits-1:0] word_q, write_word_q;
  logic [3:0] valid_q, last_q;
  logic [LANES-1:0][MEMBRANE_BITS-1:0] membranes_q;
  logic [LANES-1:0][OFFSET_BITS-1:0] offsets;
  logic [LANES-1:0][VALUE_BITS-1:0] values;

  nhw_parameter_memory #(
    .WORDS(WORDS),
    .WORD_BITS(LANES * OFFSET_BITS),
    .FIRST(0),
    .BITS(LANES * OFFSET_BITS),
    .PARAMETER_FILE(OFFSET_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_offsets (
    .clk_i,
    .address_i(word_q),
    .data_o(offsets)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      word_q <= '0;
      write_word_q <= '0;
    end else begin
      valid_q <= {valid_q[2:0], word_valid_i};
      if (word_valid_i) word_q <= word_last_i ? '0 : word_q + 1'b1;
      if (valid_q[3]) write_word_q <= last_q[3] ? '0 : write_word_q + 1'b1;
    end
    last_q <= {last_q[2:0], word_last_i};
    membranes_q <= membranes_i;
  end
  assign set_written = valid_q[3] && last_q[3];

  for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
    logic signed [LevelBits-1:0] level_q, shifted;
    always_ff @(posedge clk_i) level_q <= LevelBits'($signed(membranes_q[lane])) + LevelBits'($signed(offsets[lane]));
    assign shifted = level_q >>> (LEFT ? 0 : SHIFT);

    if (GAIN) begin : gen_gain
      logic [6:0] index_q;
      if (LevelBits > 7) begin : gen_clip
        logic in_range;
        assign in_range = shifted[LevelBits-1:6] == '0 || shifted[LevelBits-1:6] == '1;
        // + 64 turns the sign over
        always_ff @(posedge clk_i) begin
          index_q <= {!shifted[LevelBits-1], in_range ? shifted[5:0] : {6{!shifted[LevelBits-1]}}};
        end
      end else begin : gen_all
        always_ff @(posedge clk_i) index_q <= 7'(shifted) ^ 7'h40;
      end
      nhw_parameter_memory #(
        .WORDS(128),
        .WORD_BITS(10),
        .FIRST(0),
        .BITS(10),
        .PARAMETER_FILE(TABLE_FILE),
        .MEMORY_STYLE(MEMORY_STYLE)
      ) u_table (
        .clk_i,
        .address_i(index_q),
        .data_o(values[lane])
      );
    end else begin : gen_addition
      localparam int unsigned WideBits = LevelBits + (LEFT ? SHIFT : 0);
      logic [WideBits-1:0] positive;
      logic [VALUE_BITS-1:0] addition_q, value_q;
      assign positive = shifted[LevelBits-1] ? '0 : WideBits'(shifted) << (LEFT ? SHIFT : 0);
      always_ff @(posedge clk_i) begin
        addition_q <= VALUE_BITS'(positive);
        value_q <= addition_q;
      end
      assign values[lane] = value_q;
      if (WideBits > VALUE_BITS) begin : gen_unused
        logic unused_top;  // 0: VALUE_BITS are enough for the largest level
        assign unused_top = &{1'b0, positive[WideBits-1:VALUE_BITS]};
      end
    end
  end

  // --- the double buffer -----------------------------------------------------------------------------------------------------
  logic [WordBits-1:0] read_word_q;
  logic [LANES-1:0][VALUE_BITS-1:0] read_values;
  logic [BufferBits-1:0] write_address, read_address;
  logic advance, restart;

  if (WORDS > 1) begin : gen_addresses
    assign write_address = {write_set_q, write_word_q};
    assign read_address = {read_set_q, read_word_q};
  end else begin : gen_one_word
    assign write_address = write_set_q;
    assign read_address = read_set_q;
    logic unused_words;
    assign unused_words = &{1'b0, write_word_q, read_word_q};
  end

  nhw_memory #(
    .WORDS((WORDS > 1) ? 2 << WordBits : 2),
    .BITS(LANES * VALUE_BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_buffer (
    .clk_i,
    .write_enable_i(valid_q[3]),
    .write_address_i(write_address),
    .write_data_i(values),
    .read_enable_i(1'b1),
    .read_clear_i(1'b0),
    .read_address_i(read_address),
    .read_data_o(read_values)
  );

  // --- which values the next update word takes ---------------------------------------------------------------------------------
  if (REPEAT > 1) begin : gen_repeat
    localparam int unsigned RepeatBits = $clog2(REPEAT);
    logic [RepeatBits-1:0] repeat_q;
    assign advance = repeat_q == RepeatBits'(REPEAT - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) repeat_q <= '0;
      else if (read_i) repeat_q <= (advance || restart) ? '0 : repeat_q + 1'b1;
    end
  end else begin : gen_no_repeat
    assign advance = 1'b1;
  end

  if (PERIOD > 1) begin : gen_period
    localparam int unsigned PeriodBits = $clog2(PERIOD);
    logic [PeriodBits-1:0] period_q;
    assign restart = read_last_i || period_q == PeriodBits'(PERIOD - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) period_q <= '0;
      else if (read_i) period_q <= restart ? '0 : period_q + 1'b1;
    end
  end else begin : gen_no_period
    assign restart = 1'b1;
  end

  if (SHARED && LANES > 1) begin : gen_shared
    localparam int unsigned LaneBits = $clog2(LANES);
    logic [LaneBits-1:0] lane_q, late_lane_q;
    logic last_lane;
    logic [VALUE_BITS-1:0] value_q;
    assign last_lane = lane_q == LaneBits'(LANES - 1);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        lane_q <= '0;
        read_word_q <= '0;
      end else if (read_i && restart) begin
        lane_q <= '0;
        read_word_q <= '0;
      end else if (read_i && advance) begin
        lane_q <= last_lane ? '0 : lane_q + 1'b1;
        if (last_lane) read_word_q <= read_word_q + 1'b1;
      end
      late_lane_q <= lane_q;
      value_q <= read_values[late_lane_q];
    end
    assign values_o = {TARGET_LANES{value_q}};
  end else begin : gen_words
    logic [LANES*VALUE_BITS-1:0] values_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (read_i && restart)) read_word_q <= '0;
      else if (read_i && advance) read_word_q <= read_word_q + 1'b1;
      values_q <= read_values;
    end
    assign values_o = {(TARGET_LANES / LANES) {values_q}};  // all of them, or one for all
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      assert (!step_i || free_q != '0) else $error("nhw_modulation: levels without room");
      assert (!target_step_i || complete_q != '0) else $error("nhw_modulation: a step without levels");
    end
  end
`endif
endmodule
