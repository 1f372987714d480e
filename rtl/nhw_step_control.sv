// SPDX-License-Identifier: Apache-2.0
// The beat of a population: operations go on to its datapath, a barrier becomes the drains of the step.
//
// A barrier becomes WORDS drain operations, in the order of the update words. After reset, WORDS drains with `op_initialise_o` clear the
// states; only then does `in_ready_o` rise.
//
// Control happens here and only here: the datapath behind never stalls. A drain takes one of CREDITS credits where its word will enter the output queue
// (SPIKING, or the last step of a sample; with CREDITS = 0 never); `credit_return_i` gives one back. The first drain of a step waits for
// `allowed_i`: a modulated population for its levels, an astrocyte for room for new ones; `step_o` tells, with the last drain at the
// output, that they are spoken for. The first drains of two consecutive steps are at least
// MinimumStepClocks apart, so that the state of a neuron has been written before it is read again.
//
// `op_first_o`: the sum of the group is still 0 in this step. With IN_ORDER every event visits all groups in order (one dense
// projection), so that this holds for the first event of a step. Otherwise a bit per group remembers it, and an operation that follows
// one on the same group at once waits for a clock: its sum would not be written yet.
//
// A ring of future input needs three clocks from one operation on a group to the next (GROUP_CLOCKS).
// With CLEARS the end of a sample, and the reset, are followed by as many operations with `op_clear_o`: a ring of future input is emptied.
//
// With OVERLAP the accumulator has two pages and knows no groups: while the drains of a step leave the one, the operations of the next step are added to
// the other, `op_page_o`, and only its barrier waits. An operation and a drain may then leave in the same clock.
//
// Handshake: valid and ready on the input; the output has no ready. Latency: 1 clock. One operation a clock.
module nhw_step_control #(
  parameter int unsigned ROW_BITS = 5,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned PARTS = 2,
  parameter int unsigned WORDS = 4,
  parameter int unsigned CREDITS = 4,       // 0: words need no credits
  parameter bit SPIKING = 1'b1,
  parameter bit IN_ORDER = 1'b1,
  parameter int unsigned CLEARS = 0,
  parameter int unsigned GROUP_CLOCKS = 2,  // 2 or 3
  parameter bit OVERLAP = 1'b0,             // with IN_ORDER only
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1,
  localparam int unsigned PartBits = (PARTS > 1) ? $clog2(PARTS) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                 in_valid_i,
  output logic                 in_ready_o,
  input  logic                 in_barrier_i,
  input  logic                 in_sample_end_i,
  input  logic [ROW_BITS-1:0]  in_row_i,
  input  logic [GroupBits-1:0] in_group_i,

  input  logic                 credit_return_i,
  input  logic                 allowed_i,        // the first drain of a step may leave
  output logic                 step_o,           // the last drain of a step leaves

  output logic                 op_valid_o,       // any of the next three
  output logic                 op_add_o,         // add a row
  output logic                 op_drain_o,       // hand over an update word
  output logic                 op_clear_o,       // empty a place of the ring
  output logic                 op_page_o,        // page to which rows are added; drains leave the other one
  output logic                 op_first_o,       // the sum of this group is still 0
  output logic                 op_last_o,        // drain: last word of the step
  output logic                 op_sample_end_o,  // drain: last step of the sample
  output logic                 op_initialise_o,  // drain: only clear the state
  output logic [ROW_BITS-1:0]  op_row_o,
  output logic [GroupBits-1:0] op_group_o,
  output logic [PartBits-1:0]  op_part_o         // drain: part of the group
);
  if (WORDS < 1 || WORDS > GROUPS * PARTS) begin : gen_bad_words
    $error("nhw_step_control: WORDS must be 1 to GROUPS * PARTS");
  end
  if (OVERLAP && (!IN_ORDER || CLEARS != 0)) begin : gen_bad_overlap
    $error("nhw_step_control: OVERLAP needs IN_ORDER and no CLEARS");
  end

  localparam int unsigned MinimumStepClocks = 8;
  localparam int unsigned CreditBits = (CREDITS > 0) ? $clog2(CREDITS + 1) : 1;
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1;
  localparam logic [PartBits-1:0] LastPart = PartBits'(PARTS - 1);
  localparam logic [WordBits-1:0] LastWord = WordBits'(WORDS - 1);

  logic draining_q, sample_end_q, initialise_q, page_q, occupied;
  logic [WordBits-1:0] word_q;      // update word of the next drain
  logic [GroupBits-1:0] group_q;    // its group
  logic [PartBits-1:0] part_q;      // its part of the group
  logic [CreditBits-1:0] credits_q;
  logic needs_credit, rested, drain, take_credit, take, hazard;
  logic clearing;                   // after the last drain of a sample, or of the reset
  logic [GroupBits-1:0] last_group;

  assign last_group = GroupBits'(GROUPS - 1);
  assign occupied = draining_q && (!OVERLAP || in_barrier_i || initialise_q);
  assign in_ready_o = !occupied && !clearing && !hazard;
  assign take = in_valid_i && in_ready_o;
  assign needs_credit = CREDITS != 0 && !initialise_q && (SPIKING || sample_end_q);
  assign drain = draining_q && rested && (!needs_credit || credits_q != '0) && (allowed_i || initialise_q || word_q != '0);
  assign take_credit = drain && needs_credit;
  assign step_o = op_valid_o && op_drain_o && op_last_o && !op_initialise_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      op_valid_o <= 1'b0;
      op_add_o <= 1'b0;
      op_drain_o <= 1'b0;
      op_clear_o <= 1'b0;
      op_initialise_o <= 1'b1;
      page_q <= 1'b0;
      initialise_q <= 1'b1;
      draining_q <= 1'b1;
      word_q <= '0;
      group_q <= '0;
      part_q <= '0;
    end else begin
      op_initialise_o <= initialise_q;
      op_add_o <= take && !in_barrier_i;
      op_drain_o <= drain;
      op_clear_o <= clearing;
      op_valid_o <= drain || clearing || (take && !in_barrier_i);
      if (take && in_barrier_i) draining_q <= 1'b1;
      if (take && in_barrier_i) page_q <= !page_q;
      if (drain) begin
        word_q <= word_q + 1'b1;
        part_q <= part_q + 1'b1;
        if (part_q == LastPart) begin
          part_q <= '0;
          group_q <= group_q + 1'b1;
        end
        if (word_q == LastWord) begin
          word_q <= '0;
          part_q <= '0;
          group_q <= '0;
          draining_q <= 1'b0;
          initialise_q <= 1'b0;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    op_part_o <= part_q;
    op_last_o <= word_q == LastWord;
    op_sample_end_o <= sample_end_q;
    op_row_o <= in_row_i;
    op_page_o <= page_q;
    op_group_o <= draining_q ? group_q : clearing ? last_group : in_group_i;
    if (!draining_q) sample_end_q <= in_sample_end_i;
  end

  if (CLEARS == 0) begin : gen_no_clears
    assign clearing = 1'b0;
  end else begin : gen_clears
    localparam int unsigned ClearBits = $clog2(CLEARS + 1);
    logic [ClearBits-1:0] clears_q;  // still to come
    assign clearing = clears_q != '0;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) clears_q <= '0;
      else if (drain && word_q == LastWord && (initialise_q || sample_end_q)) clears_q <= ClearBits'(CLEARS);
      else if (clearing) clears_q <= clears_q - 1'b1;
    end
  end

  if (IN_ORDER || GROUPS == 1) begin : gen_in_order
    // the first event of a step has begun once an operation on the last group has passed
    localparam logic [GroupBits-1:0] LastGroup = GroupBits'(GROUPS - 1);
    logic step_first_q;
    assign hazard = 1'b0;
    always_ff @(posedge clk_i) begin
      if (!rst_ni || draining_q) step_first_q <= 1'b1;
      else if (take && !in_barrier_i && in_group_i == LastGroup) step_first_q <= 1'b0;
    end
    // during the drains of a step without events the sums are 0, too
    logic empty_q, first_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (drain && word_q == LastWord)) empty_q <= 1'b1;
      else if (take && !in_barrier_i) empty_q <= 1'b0;
      first_q <= draining_q ? empty_q : step_first_q;
    end
    assign op_first_o = first_q;
  end else begin : gen_any_order
    logic touched;
    logic before_valid_q;
    logic [GroupBits-1:0] before_group_q;
    always_ff @(posedge clk_i) begin
      before_valid_q <= rst_ni && op_valid_o && GROUP_CLOCKS > 2;
      before_group_q <= op_group_o;
    end
    assign hazard = !in_barrier_i && ((op_valid_o && op_group_o == in_group_i)
                                      || (before_valid_q && before_group_q == in_group_i));
    nhw_memory #(
      .WORDS(GROUPS),
      .BITS(1),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_touched (
      .clk_i,
      .write_enable_i(op_valid_o && (!op_drain_o || op_part_o == LastPart || op_last_o)),
      .write_address_i(op_group_o),
      .write_data_i(!op_drain_o && !op_clear_o),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(draining_q ? group_q : in_group_i),
      .read_data_o(touched)
    );
    assign op_first_o = !touched;
  end

  // a credit comes back a clock late, so that the path from a ready of the output ends here
  logic credit_return_q;
  always_ff @(posedge clk_i) begin
    credit_return_q <= rst_ni && credit_return_i;
    if (!rst_ni) credits_q <= CreditBits'(CREDITS);
    else if (take_credit && !credit_return_q) credits_q <= credits_q - 1'b1;
    else if (!take_credit && credit_return_q) credits_q <= credits_q + 1'b1;
  end

  if (WORDS >= MinimumStepClocks) begin : gen_no_rest
    assign rested = 1'b1;
  end else begin : gen_rest
    localparam int unsigned RestBits = $clog2(MinimumStepClocks);
    logic [RestBits-1:0] rest_q;
    assign rested = rest_q == '0;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) rest_q <= '0;
      else if (drain && word_q == LastWord) rest_q <= RestBits'(MinimumStepClocks - WORDS);
      else if (!rested) rest_q <= rest_q - 1'b1;
    end
  end
endmodule
