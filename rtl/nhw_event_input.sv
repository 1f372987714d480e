// Turns the event stream of one layer into operations on its datapath, one a clock.
//
// An event of source neuron j becomes GROUPS row operations (rows j*GROUPS ... j*GROUPS + GROUPS-1); a step barrier becomes
// WORDS drain operations, in the order of the update words. After reset, WORDS drains with `op_initialise_o` clear the
// states; only then does `s_axis_tready` rise. An event of a source neuron >= INPUTS is accepted and dropped.
//
// Control happens here and only here: the datapath behind never stalls. A drain takes one of CREDITS credits where
// its word will enter the output queue (SPIKING, or the last step of a sample); `credit_return_i` gives one back.
// The first drains of two consecutive steps are at least MinimumStepClocks apart, so that the state of a neuron has been
// written before it is read again.
//
// Handshake: AXI-Stream slave; `s_axis_tready` depends on registers only. Operations have no ready.
// Latency: 3 clocks from an accepted event to its first operation; then one row a clock, without a gap between events.
module nhw_event_input #(
  parameter int unsigned INPUTS = 16,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned PARTS = 2,
  parameter int unsigned WORDS = 4,
  parameter int unsigned CREDITS = 4,
  parameter bit SPIKING = 1'b1,
  localparam int unsigned RowBits = (INPUTS * GROUPS > 1) ? $clog2(INPUTS * GROUPS) : 1,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1,
  localparam int unsigned PartBits = (PARTS > 1) ? $clog2(PARTS) : 1
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [15:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  input  logic        s_axis_tuser,

  input  logic        credit_return_i,

  output logic                 op_valid_o,
  output logic                 op_drain_o,       // 0: add a row; 1: hand over an update word
  output logic                 op_first_o,       // the sums of this step are still 0
  output logic                 op_last_o,        // drain: last word of the step
  output logic                 op_sample_end_o,  // drain: last step of the sample
  output logic                 op_initialise_o,  // drain: only clear the state
  output logic [RowBits-1:0]   op_row_o,
  output logic [GroupBits-1:0] op_group_o,
  output logic [PartBits-1:0]  op_part_o,        // drain: part of the group

  output logic        event_o,    // an event is accepted in this clock
  output logic        waiting_o   // an event is in hand or waiting
);
  if (INPUTS < 1 || INPUTS > 65536) begin : gen_bad_inputs
    $error("nhw_event_input: INPUTS must be 1 to 65536");
  end
  if (WORDS < 1 || WORDS > GROUPS * PARTS) begin : gen_bad_words
    $error("nhw_event_input: WORDS must be 1 to GROUPS * PARTS");
  end
  if (CREDITS < 1) begin : gen_bad_credits
    $error("nhw_event_input: CREDITS must be at least 1");
  end

  localparam int unsigned MinimumStepClocks = 8;
  localparam int unsigned CreditBits = $clog2(CREDITS + 1);
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1;
  localparam logic [GroupBits-1:0] BeforeLastGroup = (GROUPS > 1) ? GroupBits'(GROUPS - 2) : '0;
  localparam logic [PartBits-1:0] LastPart = PartBits'(PARTS - 1);
  localparam logic [WordBits-1:0] LastWord = WordBits'(WORDS - 1);

  // --- accept: one beat in hand --------------------------------------------------------------------------------------
  logic accept_valid_q, accept_last_q, accept_user_q;
  logic [15:0] accept_data_q;
  logic accept_ready;

  assign s_axis_tready = accept_ready && !op_initialise_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) accept_valid_q <= 1'b0;
    else if (accept_ready) accept_valid_q <= s_axis_tvalid && s_axis_tready;
    if (accept_ready) begin
      accept_data_q <= s_axis_tdata;
      accept_last_q <= s_axis_tlast;
      accept_user_q <= s_axis_tuser;
    end
  end

  // --- base: first row of the event, in a stage of its own ---------------------------------------------------------
  logic base_valid_q, base_barrier_q, base_user_q;
  logic [RowBits-1:0] base_row_q;
  logic base_ready, in_range;
  logic [RowBits-1:0] base_row;

  assign accept_ready = !accept_valid_q || base_ready;
  assign in_range = {1'b0, accept_data_q} < 17'(INPUTS);

  // shifted sums instead of `*`: no multiplier block for a small constant
  always_comb begin
    base_row = '0;
    for (int unsigned b = 0; b < 32; b++) begin
      if (GROUPS[b]) base_row = base_row + (RowBits'(accept_data_q) << b);
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

  // --- issue -------------------------------------------------------------------------------------------------------------
  logic draining_q, step_first_q, sample_end_q, initialise_q;
  logic [WordBits-1:0] word_q;      // update word of the next drain
  logic [GroupBits-1:0] group_q;    // its group
  logic [PartBits-1:0] part_q;      // its part of the group
  logic [CreditBits-1:0] credits_q;
  logic more_rows_q;                // the operation in hand is not the last row of its event
  logic needs_credit, rested, drain, take_credit;

  assign base_ready = !base_valid_q || !(more_rows_q || draining_q);
  assign needs_credit = !initialise_q && (SPIKING || sample_end_q);
  assign drain = draining_q && rested && (!needs_credit || credits_q != '0);
  assign take_credit = drain && needs_credit;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      op_valid_o <= 1'b0;
      more_rows_q <= 1'b0;
      op_drain_o <= 1'b0;
      op_initialise_o <= 1'b1;
      initialise_q <= 1'b1;
      draining_q <= 1'b1;
      step_first_q <= 1'b1;
      word_q <= '0;
      group_q <= '0;
      part_q <= '0;
      op_group_o <= '0;
    end else begin
      op_initialise_o <= initialise_q;
      if (draining_q) begin
        op_valid_o <= drain;
        op_drain_o <= 1'b1;
        op_group_o <= group_q;
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
            step_first_q <= 1'b1;
          end
        end
      end else if (more_rows_q) begin
        op_group_o <= op_group_o + 1'b1;
        more_rows_q <= op_group_o != BeforeLastGroup;
      end else begin
        op_valid_o <= base_valid_q && !base_barrier_q;
        op_drain_o <= 1'b0;
        op_group_o <= '0;
        more_rows_q <= base_valid_q && !base_barrier_q && GROUPS > 1;
        if (base_valid_q && base_barrier_q) draining_q <= 1'b1;
        if (base_valid_q && !base_barrier_q) step_first_q <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    op_part_o <= part_q;
    op_last_o <= word_q == LastWord;
    op_sample_end_o <= sample_end_q;
    if (!more_rows_q) op_first_o <= step_first_q;
    op_row_o <= more_rows_q ? op_row_o + 1'b1 : base_row_q;
    if (!draining_q) sample_end_q <= base_user_q;
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

  assign event_o = s_axis_tvalid && s_axis_tready && !s_axis_tlast;
  assign waiting_o = (s_axis_tvalid && !s_axis_tlast) || (accept_valid_q && !accept_last_q)
                     || (base_valid_q && !base_barrier_q) || (op_valid_o && !op_drain_o);
endmodule
