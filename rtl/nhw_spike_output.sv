// SPDX-License-Identifier: Apache-2.0
// Queue of spike words and their serialisation into event beats.
//
// A word of UPDATE_LANES spikes becomes one beat per spike, lowest neuron first, one a clock; a word without spikes costs one clock.
// After the last word of a step comes the barrier beat (`tlast`), with `tuser` at the end of a sample.
//
// Neurons lie in the words channel by channel at each of POSITIONS positions, WORDS_PER_POSITION words each, and are numbered position by position
// within each channel: lane l of word w of position p is neuron (w*UPDATE_LANES + l)*POSITIONS + p. With one position that is the order of the words.
//
// Words have no ready: nhw_step_control issues a drain only against one of QUEUE_WORDS credits, and `credit_return_o` gives one
// back when a word leaves the queue. Handshake: AXI-Stream master. Latency: 4 clocks from a word to its first beat.
module nhw_spike_output #(
  parameter int unsigned UPDATE_LANES = 8,
  parameter int unsigned QUEUE_WORDS = 16,
  parameter int unsigned POSITIONS = 1,
  parameter int unsigned WORDS_PER_POSITION = 1,  // looked at only with more than one position
  parameter MEMORY_STYLE = "auto"
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                    word_valid_i,
  input  logic                    word_last_i,
  input  logic                    word_sample_end_i,
  input  logic [UPDATE_LANES-1:0] spikes_i,
  output logic                    credit_return_o,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [31:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser
);
  localparam int unsigned LaneBits = (UPDATE_LANES > 1) ? $clog2(UPDATE_LANES) : 1;

  logic queue_ready, word_valid, word_ready, word_last, word_sample_end;
  logic [UPDATE_LANES-1:0] word_spikes;

  nhw_fifo #(
    .WORDS(QUEUE_WORDS),
    .BITS(UPDATE_LANES + 2),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_queue (
    .clk_i,
    .rst_ni,
    .in_valid_i(word_valid_i),
    .in_ready_o(queue_ready),
    .in_data_i({word_last_i, word_sample_end_i, spikes_i}),
    .out_valid_o(word_valid),
    .out_ready_i(word_ready),
    .out_data_o({word_last, word_sample_end, word_spikes})
  );

  assign credit_return_o = word_valid && word_ready;

  // the barrier waits as one more "spike" above the lanes, and so leaves last
  logic [UPDATE_LANES:0] pending_q, pending_rest;
  logic sample_end_q;
  logic [15:0] base_q;       // first neuron of the pending word
  logic [15:0] next_base_q, following_base;
  logic [15:0] lane_offset;
  logic [LaneBits-1:0] lane;
  logic beat_ready;

  assign pending_rest = pending_q & (pending_q - 1'b1);
  assign beat_ready = !m_axis_tvalid || m_axis_tready;
  assign word_ready = pending_q == '0 || (beat_ready && pending_rest == '0);

  always_comb begin
    lane = '0;
    for (int unsigned l = UPDATE_LANES; l > 0; l--) begin
      if (pending_q[l-1]) lane = LaneBits'(l - 1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pending_q <= '0;
      next_base_q <= '0;
    end else if (word_ready) begin
      pending_q <= word_valid ? {word_last, word_spikes} : '0;
      if (word_valid) next_base_q <= word_last ? '0 : following_base;
    end else if (beat_ready) begin
      pending_q <= pending_rest;
    end
    if (word_ready) begin
      base_q <= next_base_q;
      sample_end_q <= word_sample_end;
    end
  end

  // lane * POSITIONS as shifted sums
  always_comb begin
    lane_offset = '0;
    for (int unsigned b = 0; b < LaneBits; b++) begin
      if (lane[b]) lane_offset = lane_offset + 16'(POSITIONS << b);
    end
  end

  if (POSITIONS == 1) begin : gen_in_order
    assign following_base = next_base_q + 16'(UPDATE_LANES);
  end else begin : gen_positions
    localparam int unsigned WordBits = (WORDS_PER_POSITION > 1) ? $clog2(WORDS_PER_POSITION) : 1;
    logic [WordBits-1:0] word_q;
    logic [15:0] position_q;
    logic last_word;
    assign last_word = word_q == WordBits'(WORDS_PER_POSITION - 1);
    assign following_base = last_word ? position_q + 16'd1 : next_base_q + 16'(UPDATE_LANES * POSITIONS);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        word_q <= '0;
        position_q <= '0;
      end else if (word_ready && word_valid) begin
        word_q <= last_word ? '0 : word_q + 1'b1;
        if (word_last) position_q <= '0;
        else if (last_word) position_q <= position_q + 16'd1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) m_axis_tvalid <= 1'b0;
    else if (beat_ready) m_axis_tvalid <= pending_q != '0;
    if (beat_ready) begin
      m_axis_tdata <= {16'd0, base_q + lane_offset};
      m_axis_tlast <= pending_q[UPDATE_LANES-1:0] == '0;
      m_axis_tuser <= pending_q[UPDATE_LANES-1:0] == '0 && sample_end_q;
    end
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!word_valid_i || queue_ready) else $error("nhw_spike_output: a word without a credit");
  end
`else
  logic unused_queue_ready;
  assign unused_queue_ready = queue_ready;
`endif
endmodule
