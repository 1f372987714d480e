// SPDX-License-Identifier: Apache-2.0
// The order of a step of a learning core.
//
//   wait    until a whole step of the input is there, the output has room for a step, and the host is not at the weights
//   drain   DRAINS words of sums go to the neurons; their spikes come back and are swept over the traces
//   input   the INPUT_WORDS words of input spikes are swept
//   pass    over the rows of all sources that matter: weights change, and the spikes of this step are delivered to the next
//   flush   until the last row is written
//
// After reset one round over all words clears traces, neurons, sums and flags. `learning_i` is looked at when a step begins.
// No handshake but the pulses described at the ports. A step costs DRAINS + INPUT_WORDS + the pass + about 35 clocks.
module nhw_learning_control #(
  parameter int unsigned DRAINS = 8,
  parameter int unsigned PARTS = 2,
  parameter int unsigned GROUPS = 4,
  parameter int unsigned INPUT_WORDS = 4,
  localparam int unsigned Words = DRAINS + INPUT_WORDS,
  localparam int unsigned CountBits = $clog2(Words + 1),
  localparam int unsigned InputBits = (INPUT_WORDS > 1) ? $clog2(INPUT_WORDS) : 1,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1,
  localparam int unsigned PartBits = (PARTS > 1) ? $clog2(PARTS) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic learning_i,
  input  logic host_wants_i,       // held until `host_may_o`, and for as long as the host is at the weights
  output logic host_may_o,

  input  logic step_closed_i,      // a whole step of the input is there
  input  logic step_sample_end_i,
  output logic step_take_o,        // pulse: it begins

  input  logic word_queued_i,      // a word of spikes enters the output queue, and its neurons are being swept
  input  logic word_last_i,
  input  logic word_left_i,        // a word of spikes has left the output queue

  output logic                 drain_o,
  output logic                 drain_last_o,
  output logic [GroupBits-1:0] drain_group_o,
  output logic [PartBits-1:0]  drain_part_o,
  output logic                 input_read_o,
  output logic [InputBits-1:0] input_word_o,
  output logic                 initialise_o,  // the first round: with every drain and every word of the traces
  output logic                 sample_end_o,  // of the step in hand
  output logic                 learning_o,    // of the step in hand

  input  logic swept_i,            // pulse: all words of the step are swept
  input  logic reach_done_i,       // level: it is known which sources reach a spike
  output logic scan_start_o,       // pulse
  input  logic pass_done_i,        // level: no source and no row is in hand
  output logic passing_o,
  output logic step_done_o         // pulse: the last row of the step is written
);
  localparam int unsigned FlushClocks = 10;   // from the last row to the written weights and sums
  localparam int unsigned SettleClocks = 16;  // from the last word of the first round
  localparam int unsigned QueuedBits = $clog2(DRAINS + 1);
  localparam logic [PartBits-1:0] LastPart = PartBits'(PARTS - 1);

  if (DRAINS < 1 || DRAINS > GROUPS * PARTS) begin : gen_bad_drains
    $error("nhw_learning_control: DRAINS must be 1 to GROUPS * PARTS");
  end

  typedef enum logic [2:0] {Initialise, Wait, Drain, Spikes, Input, Sweep, Pass, Flush} state_e;
  state_e state_q;
  logic [CountBits-1:0] count_q;     // of the words of a state
  logic [4:0] rest_q;                // clocks to wait
  logic [QueuedBits-1:0] queued_q;   // words in the output queue
  logic [GroupBits-1:0] group_q;
  logic [PartBits-1:0] part_q;
  logic begin_step, last_drain, last_input, swept_q;

  assign begin_step = state_q == Wait && rest_q == '0 && step_closed_i && queued_q == '0 && !host_wants_i;
  assign host_may_o = state_q == Wait && rest_q == '0 && host_wants_i;
  assign step_take_o = begin_step;
  assign last_drain = count_q == CountBits'(DRAINS - 1);
  assign last_input = count_q == CountBits'(INPUT_WORDS - 1);

  assign initialise_o = state_q == Initialise;
  assign drain_o = state_q == Drain || (state_q == Initialise && count_q < CountBits'(DRAINS));
  assign drain_last_o = last_drain;
  assign drain_group_o = group_q;
  assign drain_part_o = part_q;
  assign input_read_o = state_q == Input;
  assign input_word_o = InputBits'(count_q);
  assign passing_o = state_q == Pass;

  always_ff @(posedge clk_i) begin
    scan_start_o <= 1'b0;
    step_done_o <= 1'b0;
    if (rest_q != '0) rest_q <= rest_q - 1'b1;
    swept_q <= (swept_q || swept_i) && state_q == Sweep;
    if (drain_o) begin
      part_q <= (part_q == LastPart || last_drain) ? '0 : part_q + 1'b1;
      if (last_drain) group_q <= '0;
      else if (part_q == LastPart) group_q <= group_q + 1'b1;
    end
    case (state_q)
      Initialise: begin
        count_q <= count_q + 1'b1;
        if (count_q == CountBits'(Words - 1)) begin
          state_q <= Wait;
          rest_q <= 5'(SettleClocks);
        end
      end
      Wait: begin
        count_q <= '0;
        if (begin_step) begin
          state_q <= Drain;
          sample_end_o <= step_sample_end_i;
          learning_o <= learning_i;
        end
      end
      Drain: begin
        count_q <= count_q + 1'b1;
        if (last_drain) state_q <= Spikes;
      end
      Spikes: begin
        count_q <= '0;
        if (word_queued_i && word_last_i) state_q <= Input;
      end
      Input: begin
        count_q <= count_q + 1'b1;
        if (last_input) state_q <= Sweep;
      end
      Sweep:
        if ((swept_i || swept_q) && reach_done_i) begin
          state_q <= Pass;
          scan_start_o <= 1'b1;
        end
      Pass:
        if (pass_done_i && !scan_start_o) begin
          state_q <= Flush;
          rest_q <= 5'(FlushClocks);
        end
      default:
        if (rest_q == '0) begin
          state_q <= Wait;
          step_done_o <= 1'b1;
        end
    endcase
    if (!rst_ni) begin
      state_q <= Initialise;
      count_q <= '0;
      rest_q <= '0;
      group_q <= '0;
      part_q <= '0;
      sample_end_o <= 1'b0;
      learning_o <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) queued_q <= '0;
    else if (word_queued_i && !word_left_i) queued_q <= queued_q + 1'b1;
    else if (!word_queued_i && word_left_i) queued_q <= queued_q - 1'b1;
  end
endmodule
