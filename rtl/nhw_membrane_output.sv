// SPDX-License-Identifier: Apache-2.0
// Queue of membrane words and their serialisation: at the end of a sample one beat per neuron, in order.
//
// `tdata` is the membrane, sign-extended to 32 bits; `tlast` and `tuser` are set on the last neuron. One beat a clock.
//
// Words have no ready: nhw_step_control issues a drain only against one of QUEUE_WORDS credits, and `credit_return_o` gives one
// back when a word leaves the queue. Handshake: AXI-Stream master. Latency: 3 clocks from a word to its first beat.
module nhw_membrane_output #(
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned NEURONS = 10,
  parameter int unsigned MEMBRANE_BITS = 16,
  parameter int unsigned QUEUE_WORDS = 4,
  parameter MEMORY_STYLE = "auto"
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                                  word_valid_i,
  input  logic [UPDATE_LANES*MEMBRANE_BITS-1:0] membranes_i,
  output logic                                  credit_return_o,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [31:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser
);
  localparam int unsigned LaneBits = (UPDATE_LANES > 1) ? $clog2(UPDATE_LANES) : 1;
  localparam int unsigned NeuronBits = (NEURONS > 1) ? $clog2(NEURONS) : 1;

  if (MEMBRANE_BITS > 32) begin : gen_bad_membrane_bits
    $error("nhw_membrane_output: MEMBRANE_BITS must be at most 32");
  end

  logic queue_ready, word_valid, word_ready;
  logic [UPDATE_LANES-1:0][MEMBRANE_BITS-1:0] word;

  nhw_fifo #(
    .WORDS(QUEUE_WORDS),
    .BITS(UPDATE_LANES * MEMBRANE_BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_queue (
    .clk_i,
    .rst_ni,
    .in_valid_i(word_valid_i),
    .in_ready_o(queue_ready),
    .in_data_i(membranes_i),
    .out_valid_o(word_valid),
    .out_ready_i(word_ready),
    .out_data_o(word)
  );

  assign credit_return_o = word_valid && word_ready;

  logic [LaneBits-1:0] lane_q;
  logic [NeuronBits-1:0] neuron_q;
  logic signed [MEMBRANE_BITS-1:0] membrane;
  logic beat_ready, last_lane, last_neuron;

  assign beat_ready = !m_axis_tvalid || m_axis_tready;
  assign last_lane = lane_q == LaneBits'(UPDATE_LANES - 1);
  assign last_neuron = neuron_q == NeuronBits'(NEURONS - 1);
  assign word_ready = beat_ready && (last_lane || last_neuron);

  if (UPDATE_LANES == 1) begin : gen_one_lane
    assign membrane = word;
  end else begin : gen_lanes
    assign membrane = word[lane_q];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      lane_q <= '0;
      neuron_q <= '0;
    end else if (beat_ready && word_valid) begin
      lane_q <= (last_lane || last_neuron) ? '0 : lane_q + 1'b1;
      neuron_q <= last_neuron ? '0 : neuron_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) m_axis_tvalid <= 1'b0;
    else if (beat_ready) m_axis_tvalid <= word_valid;
    if (beat_ready) begin
      m_axis_tdata <= 32'(membrane);
      m_axis_tlast <= last_neuron;
      m_axis_tuser <= last_neuron;
    end
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni) assert (!word_valid_i || queue_ready) else $error("nhw_membrane_output: a word without a credit");
  end
`else
  logic unused_queue_ready;
  assign unused_queue_ready = queue_ready;
`endif
endmodule
