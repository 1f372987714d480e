// SPDX-License-Identifier: Apache-2.0
// Which sources reach a neuron that has spiked in this step. The others, unless they have spiked themselves, change no weight, and the pass leaves them out.
//
// REACH_FILE: one word per neuron of the population, bit j: source j has a synapse onto it that learns. Words of spikes come in the order of the neurons; each spike ORs one word of
// the image into `reached_o`, one a clock. `clear_i` comes before the first word of a step. `done_o`: every spike so far has been looked up.
//
// Latency: 6 clocks from the last spike to `done_o`. Words have no ready: the queue holds those of a whole step.
module nhw_learning_reach #(
  parameter int unsigned POPULATION_WORDS = 2,
  parameter int unsigned SOURCES = 16,
  parameter int unsigned UPDATE_LANES = 4,
  parameter REACH_FILE = "",
  parameter MEMORY_STYLE = "auto"
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                    clear_i,
  input  logic                    word_valid_i,
  input  logic                    word_last_i,
  input  logic [UPDATE_LANES-1:0] spikes_i,
  output logic [SOURCES-1:0]      reached_o,
  output logic                    done_o
);
  localparam int unsigned QueueWords = (POPULATION_WORDS > 2) ? 1 << $clog2(POPULATION_WORDS) : 2;
  localparam int unsigned Neurons = POPULATION_WORDS * UPDATE_LANES;
  localparam int unsigned Depth = (Neurons > 1) ? Neurons : 2;
  localparam int unsigned NeuronBits = $clog2(Depth);
  localparam int unsigned LaneBits = (UPDATE_LANES > 1) ? $clog2(UPDATE_LANES) : 1;

  /* verilator lint_off UNDRIVEN */
  (* rom_style = "block" *)
  logic [SOURCES-1:0] sources [Depth];
  /* verilator lint_on UNDRIVEN */
  if (REACH_FILE != "") begin : gen_image
    initial $readmemh(REACH_FILE, sources, 0, Neurons - 1);
  end

  // --- spikes, one a clock -------------------------------------------------------------------------------------------------
  logic queue_ready, word_valid, word_ready, word_last;
  logic [UPDATE_LANES-1:0] word_spikes, pending_q, pending_rest;
  logic [NeuronBits-1:0] base_q, next_base_q;
  logic [LaneBits-1:0] lane;
  logic [3:0] queued_q;  // an accepted word is seen at the queue's output two clocks later

  nhw_fifo #(
    .WORDS(QueueWords),
    .BITS(UPDATE_LANES + 1),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_queue (
    .clk_i,
    .rst_ni,
    .in_valid_i(word_valid_i),
    .in_ready_o(queue_ready),
    .in_data_i({word_last_i, spikes_i}),
    .out_valid_o(word_valid),
    .out_ready_i(word_ready),
    .out_data_o({word_last, word_spikes})
  );

  assign pending_rest = pending_q & (pending_q - 1'b1);
  assign word_ready = pending_rest == '0;
  always_comb begin
    lane = '0;
    for (int unsigned l = UPDATE_LANES; l > 0; l--) begin
      if (pending_q[l-1]) lane = LaneBits'(l - 1);
    end
  end

  logic [SOURCES-1:0] read_q, late_q;
  logic read_valid_q, late_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pending_q <= '0;
      next_base_q <= '0;
      queued_q <= '0;
      read_valid_q <= 1'b0;
      late_valid_q <= 1'b0;
    end else begin
      queued_q <= {queued_q[2:0], word_valid_i};
      pending_q <= word_ready ? (word_valid ? word_spikes : '0) : pending_rest;
      if (word_ready && word_valid) next_base_q <= word_last ? '0 : next_base_q + NeuronBits'(UPDATE_LANES);
      read_valid_q <= pending_q != '0;
      late_valid_q <= read_valid_q;
    end
    if (word_ready) base_q <= next_base_q;
    read_q <= sources[base_q + NeuronBits'(lane)];
    late_q <= read_q;
    if (!rst_ni || clear_i) reached_o <= '0;
    else if (late_valid_q) reached_o <= reached_o | late_q;
  end
  assign done_o = queued_q == '0 && !word_valid_i && !word_valid && pending_q == '0 && !read_valid_q && !late_valid_q;

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!word_valid_i || queue_ready) else $error("nhw_learning_reach: more words than a step has");
  end
`else
  logic unused_queue_ready;
  assign unused_queue_ready = queue_ready;
`endif
endmodule
