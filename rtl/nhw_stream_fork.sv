// SPDX-License-Identifier: Apache-2.0
// One AXI-Stream to several consumers: a beat is done when every consumer has taken it, each when it likes.
//
// Handshake: a valid never waits for a ready; `s_axis_tready` depends on the consumers' readies. No latency.
module nhw_stream_fork #(
  parameter int unsigned OUTPUTS = 2,
  parameter int unsigned BITS = 16
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic            s_axis_tvalid,
  output logic            s_axis_tready,
  input  logic [BITS-1:0] s_axis_tdata,
  input  logic            s_axis_tlast,
  input  logic            s_axis_tuser,

  output logic [OUTPUTS-1:0] m_axis_tvalid,
  input  logic [OUTPUTS-1:0] m_axis_tready,
  output logic [BITS-1:0]    m_axis_tdata,
  output logic               m_axis_tlast,
  output logic               m_axis_tuser
);
  logic [OUTPUTS-1:0] done_q;  // consumers that have taken the beat already

  assign m_axis_tvalid = {OUTPUTS{s_axis_tvalid}} & ~done_q;
  assign s_axis_tready = &(done_q | m_axis_tready);
  assign m_axis_tdata = s_axis_tdata;
  assign m_axis_tlast = s_axis_tlast;
  assign m_axis_tuser = s_axis_tuser;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || (s_axis_tvalid && s_axis_tready)) done_q <= '0;
    else done_q <= done_q | (m_axis_tvalid & m_axis_tready);
  end
endmodule
