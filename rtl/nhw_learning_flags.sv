// SPDX-License-Identifier: Apache-2.0
// The input events of one step as words of flags: bit l of word w is 1 where neuron w*UPDATE_LANES + l has spiked.
//
// Two banks: while the core reads the flags of one step, the events of the next are collected in the other. `closed_o`: a whole step waits; `take_i` hands it
// over and must come only then. A word that is read is cleared. Several events of a neuron in one step count once; events of neurons >= INPUTS are dropped.
//
// Handshake: AXI-Stream slave; an event costs two clocks, a barrier one. Latency: `flags_o` follows `read_i` by 1 clock. A word is read at most once a step.
// Before the first step `clear_i` must go over all words: it clears both banks, and nothing is accepted meanwhile.
module nhw_learning_flags #(
  parameter int unsigned INPUTS = 16,
  parameter int unsigned UPDATE_LANES = 4,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned Words = (INPUTS + UPDATE_LANES - 1) / UPDATE_LANES,
  localparam int unsigned WordBits = (Words > 1) ? $clog2(Words) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [15:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  input  logic        s_axis_tuser,

  output logic                    closed_o,
  output logic                    sample_end_o,  // of the step that waits
  input  logic                    take_i,
  input  logic                    read_i,
  input  logic                    clear_i,
  input  logic [WordBits-1:0]     word_i,
  output logic [UPDATE_LANES-1:0] flags_o
);
  logic collect_q;             // the bank that collects
  logic [1:0][UPDATE_LANES-1:0] read_data;

  // --- collecting: read the word, set the bit ------------------------------------------------------------------------------
  logic accept, known, set_q;
  logic [WordBits-1:0] event_word, set_word_q;
  logic [UPDATE_LANES-1:0] event_bit, set_bit_q;

  assign s_axis_tready = !closed_o && !set_q && !clear_i;
  assign accept = s_axis_tvalid && s_axis_tready;
  assign known = {1'b0, s_axis_tdata} < 17'(INPUTS);
  assign event_word = WordBits'(s_axis_tdata / 16'(UPDATE_LANES));
  assign event_bit = UPDATE_LANES'(1) << (s_axis_tdata % 16'(UPDATE_LANES));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      set_q <= 1'b0;
      closed_o <= 1'b0;
      collect_q <= 1'b0;
    end else begin
      set_q <= accept && !s_axis_tlast && known;
      if (accept && s_axis_tlast) closed_o <= 1'b1;
      else if (take_i) closed_o <= 1'b0;
      if (take_i) collect_q <= !collect_q;
    end
    set_word_q <= event_word;
    set_bit_q <= event_bit;
    if (accept) sample_end_o <= s_axis_tuser;
  end

  // --- reading and clearing --------------------------------------------------------------------------------------------------
  logic read_q;
  logic [WordBits-1:0] read_word_q;
  always_ff @(posedge clk_i) begin
    read_q <= rst_ni && (read_i || clear_i);
    read_word_q <= word_i;
  end
  assign flags_o = read_data[!collect_q];

  logic clear_q;
  always_ff @(posedge clk_i) clear_q <= clear_i;

  for (genvar bank = 0; bank < 2; bank++) begin : gen_bank
    logic collects;
    assign collects = collect_q == 1'(bank) && !clear_q;
    nhw_memory #(
      .WORDS(Words),
      .BITS(UPDATE_LANES),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_flags (
      .clk_i,
      .write_enable_i(collects ? set_q : read_q),
      .write_address_i(collects ? set_word_q : read_word_q),
      .write_data_i(collects ? (read_data[bank] | set_bit_q) : '0),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i((collect_q == 1'(bank)) ? event_word : word_i),
      .read_data_o(read_data[bank])
    );
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!take_i || closed_o) else $error("nhw_learning_flags: a step was taken that is not there");
  end
`endif
endmodule
