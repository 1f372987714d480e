// SPDX-License-Identifier: Apache-2.0
// A stream of events, STEPS steps later within each sample: STEPS empty steps, then the steps of the input. What is left at the end of a
// sample is dropped.
//
// FEEDBACK = 0: step t leaves once the input has closed step t, and carries its end of sample.
// FEEDBACK = 1, for a projection that closes a loop: step t leaves once the input has closed step t - 1 without ending the sample (step 0 at
// once), because the input's step t may depend on it. Such a stream never says that a sample ends; another input of its population does.
//
// No deadlock: with BEATS >= (STEPS + 1) * (beats of the longest step, barrier included) a full memory holds STEPS + 1 closed steps, of which
// the first may always leave. A new sample is taken after the rest of the last one has been dropped.
//
// Handshake: AXI-Stream on both sides. Latency: 5 clocks from a beat that may leave at once. One beat a clock, and two clocks more a step.
module nhw_step_delay #(
  parameter int unsigned STEPS = 1,
  parameter int unsigned BEATS = 16,       // capacity, a power of two
  parameter int unsigned INPUTS = 16,      // an event of a source neuron >= INPUTS is accepted and dropped
  parameter bit FEEDBACK = 1'b1,
  parameter MEMORY_STYLE = "auto"
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [15:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  input  logic        s_axis_tuser,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [15:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser
);
  if (STEPS < 1) begin : gen_bad_steps
    $error("nhw_step_delay: STEPS must be at least 1");
  end
  if (INPUTS < 1 || INPUTS > 65536) begin : gen_bad_inputs
    $error("nhw_step_delay: INPUTS must be 1 to 65536");
  end

  // closed minus emitted steps lies in -1 .. BEATS
  localparam int unsigned BalanceBits = $clog2(BEATS + 2) + 1;
  localparam int unsigned StepBits = $clog2(STEPS + 1);
  localparam int unsigned AddressBits = (INPUTS > 1) ? $clog2(INPUTS) : 1;

  logic in_ready, stored_valid, stored_ready, queue_valid, queue_ready, queue_last, queue_end;
  logic [AddressBits-1:0] queue_data;
  logic [AddressBits+1:0] stored;
  logic ended_q;      // the input has closed the last step of the sample
  logic accept, known;

  assign s_axis_tready = in_ready && !ended_q;
  assign known = {1'b0, s_axis_tdata} < 17'(INPUTS);
  assign accept = s_axis_tvalid && s_axis_tready;

  nhw_fifo #(
    .WORDS(BEATS),
    .BITS(AddressBits + 2),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_queue (
    .clk_i,
    .rst_ni,
    .in_valid_i(s_axis_tvalid && !ended_q && (s_axis_tlast || known)),
    .in_ready_o(in_ready),
    .in_data_i({s_axis_tlast, s_axis_tuser, s_axis_tdata[AddressBits-1:0]}),
    .out_valid_o(stored_valid),
    .out_ready_i(stored_ready),
    .out_data_o(stored)
  );

  // a clock to take the beat out of block RAM before anything depends on it
  assign stored_ready = !queue_valid || queue_ready;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) queue_valid <= 1'b0;
    else if (stored_ready) queue_valid <= stored_valid;
    if (stored_ready) {queue_last, queue_end, queue_data} <= stored;
  end

  typedef enum logic [1:0] {Wait, Empty, Forward, Drop} state_e;
  state_e state_q;
  logic signed [BalanceBits-1:0] balance_q;  // steps closed by the input less steps emitted
  logic [StepBits-1:0] empty_q;              // empty steps still to come
  logic allowed, finished, beat_ready, step_done, dropped, last_step;

  assign beat_ready = !m_axis_tvalid || m_axis_tready;
  assign finished = ended_q && balance_q == '0;
  assign allowed = FEEDBACK ? !balance_q[BalanceBits-1] && !finished : balance_q > 0;
  assign last_step = !FEEDBACK && ended_q && balance_q == $signed(BalanceBits'(1));
  assign step_done = beat_ready && (state_q == Empty || (state_q == Forward && queue_valid && queue_last));
  assign dropped = state_q == Drop && queue_valid && queue_last && queue_end;
  assign queue_ready = state_q == Drop || (state_q == Forward && beat_ready);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= Wait;
      balance_q <= '0;
      empty_q <= StepBits'(STEPS);
      ended_q <= 1'b0;
    end else begin
      if (accept && s_axis_tlast && !step_done) balance_q <= balance_q + 1'b1;
      if (step_done && !(accept && s_axis_tlast)) balance_q <= balance_q - 1'b1;
      if (accept && s_axis_tlast && s_axis_tuser) ended_q <= 1'b1;
      if (step_done && empty_q != '0) empty_q <= empty_q - 1'b1;
      case (state_q)
        Wait:
          if (finished) state_q <= Drop;
          else if (allowed) state_q <= (empty_q != '0) ? Empty : Forward;
        Empty, Forward: if (step_done) state_q <= Wait;
        default:
          if (dropped) begin
            state_q <= Wait;
            ended_q <= 1'b0;
            empty_q <= StepBits'(STEPS);
          end
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) m_axis_tvalid <= 1'b0;
    else if (beat_ready) m_axis_tvalid <= state_q == Empty || (state_q == Forward && queue_valid);
    if (beat_ready) begin
      m_axis_tdata <= 16'(queue_data);
      m_axis_tlast <= state_q == Empty || queue_last;
      m_axis_tuser <= (state_q == Empty || queue_last) && last_step;
    end
  end
endmodule
