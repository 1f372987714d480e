// SPDX-License-Identifier: Apache-2.0
// The sources that a pass must visit, one a clock: those that have spiked, and those that would change the weight of a synapse whose target has spiked.
//
// A sweep writes what is known of every source, UPDATE_LANES of them a word (`write_*`); `start_i` then begins a pass over all words. `learning_i` and `reached_i` (the
// sources that reach a neuron that has spiked, see nhw_learning_reach) stay as they are during a pass. `done_o`: no pass, and nothing waits. A word without such sources costs one clock.
//
// Handshake: valid and ready at `source_*`. Latency: 4 clocks from `start_i` to the first source.
module nhw_learning_scan #(
  parameter int unsigned WORDS = 4,
  parameter int unsigned UPDATE_LANES = 4,
  parameter int unsigned AMOUNT_BITS = 13,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1,
  localparam int unsigned LaneBits = (UPDATE_LANES > 1) ? $clog2(UPDATE_LANES) : 1,
  localparam int unsigned SourceBits = (WORDS * UPDATE_LANES > 1) ? $clog2(WORDS * UPDATE_LANES) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                                     write_valid_i,
  input  logic [WordBits-1:0]                      write_word_i,
  input  logic [UPDATE_LANES-1:0]                  write_spikes_i,
  input  logic [UPDATE_LANES-1:0]                  write_inhibitory_i,
  input  logic [UPDATE_LANES-1:0]                  write_learns_i,
  input  logic [UPDATE_LANES-1:0][AMOUNT_BITS-1:0] write_change_i,

  input  logic                          start_i,
  input  logic                          learning_i,
  input  logic [WORDS*UPDATE_LANES-1:0] reached_i,
  output logic                          done_o,

  output logic                   source_valid_o,
  input  logic                   source_ready_i,
  output logic [SourceBits-1:0]  source_o,
  output logic                   source_spike_o,
  output logic                   source_inhibitory_o,
  output logic                   source_learns_o,
  output logic [AMOUNT_BITS-1:0] source_change_o
);
  localparam int unsigned FieldBits = AMOUNT_BITS + 4;
  localparam int unsigned DataBits = UPDATE_LANES * FieldBits;
  localparam logic [WordBits-1:0] LastWord = WordBits'(WORDS - 1);

  if (UPDATE_LANES * WORDS > 65536) begin : gen_bad_words
    $error("nhw_learning_scan: UPDATE_LANES * WORDS must be at most 65536");
  end

  // a source: {spike, useful, inhibitory, learns, change}
  logic [UPDATE_LANES-1:0][FieldBits-1:0] written, fetched, held_q;
  for (genvar lane = 0; lane < UPDATE_LANES; lane++) begin : gen_written
    assign written[lane] = {write_spikes_i[lane], write_change_i[lane] != '0, write_inhibitory_i[lane], write_learns_i[lane],
                            write_change_i[lane]};
  end

  logic running_q, fetched_valid_q, fetch, word_ready, beat_ready;
  logic [WordBits-1:0] address_q, fetched_word_q;
  logic [UPDATE_LANES-1:0] active, pending_q, pending_rest;
  logic [SourceBits-1:0] base_q;
  logic [LaneBits-1:0] lane_now;
  logic [FieldBits-1:0] field_now;

  nhw_memory #(
    .WORDS(WORDS),
    .BITS(DataBits),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_sources (
    .clk_i,
    .write_enable_i(write_valid_i),
    .write_address_i(write_word_i),
    .write_data_i(written),
    .read_enable_i(fetch),
    .read_clear_i(1'b0),
    .read_address_i(address_q),
    .read_data_o(fetched)
  );

  logic [WORDS-1:0][UPDATE_LANES-1:0] reached;
  assign reached = reached_i;
  for (genvar lane = 0; lane < UPDATE_LANES; lane++) begin : gen_active
    assign active[lane] = fetched[lane][FieldBits-1] || (fetched[lane][FieldBits-2] && reached[fetched_word_q][lane] && learning_i);
  end

  assign fetch = running_q && (!fetched_valid_q || word_ready);
  assign beat_ready = !source_valid_o || source_ready_i;
  assign pending_rest = pending_q & (pending_q - 1'b1);
  assign word_ready = pending_q == '0 || (beat_ready && pending_rest == '0);
  assign done_o = !start_i && !running_q && !fetched_valid_q && pending_q == '0 && !source_valid_o;

  always_comb begin
    lane_now = '0;
    for (int unsigned lane = UPDATE_LANES; lane > 0; lane--) begin
      if (pending_q[lane-1]) lane_now = LaneBits'(lane - 1);
    end
  end
  assign field_now = held_q[lane_now];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      running_q <= 1'b0;
      fetched_valid_q <= 1'b0;
      pending_q <= '0;
      source_valid_o <= 1'b0;
    end else begin
      if (start_i) running_q <= 1'b1;
      else if (fetch && address_q == LastWord) running_q <= 1'b0;
      if (fetch) fetched_valid_q <= 1'b1;
      else if (word_ready) fetched_valid_q <= 1'b0;
      if (word_ready) pending_q <= fetched_valid_q ? active : '0;
      else if (beat_ready) pending_q <= pending_rest;
      if (beat_ready) source_valid_o <= pending_q != '0;
    end
    if (start_i) address_q <= '0;
    else if (fetch) address_q <= address_q + 1'b1;
    if (fetch) fetched_word_q <= address_q;
    if (word_ready) begin
      held_q <= fetched;
      base_q <= SourceBits'(32'(fetched_word_q) * UPDATE_LANES);
    end
    if (beat_ready) begin
      source_o <= base_q + SourceBits'(lane_now);
      source_spike_o <= field_now[FieldBits-1];
      source_inhibitory_o <= field_now[FieldBits-3];
      source_learns_o <= field_now[FieldBits-4] && learning_i;
      source_change_o <= field_now[AMOUNT_BITS-1:0];
    end
  end
  logic unused_useful;
  assign unused_useful = field_now[FieldBits-2];
endmodule
