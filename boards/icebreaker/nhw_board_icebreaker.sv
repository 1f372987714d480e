// SPDX-License-Identifier: Apache-2.0
// iCEBreaker: PLL, reset, host bridge, network.
//
// f = 12 MHz (PLL_DIVF + 1) / (2^PLL_DIVQ (PLL_DIVR + 1)); the values are computed by neurohw/hardware/build/pll.py.
module nhw_board_icebreaker #(
  parameter int unsigned CLOCKS_PER_BIT = 24,
  parameter int unsigned PLL_DIVR = 0,
  parameter int unsigned PLL_DIVF = 63,
  parameter int unsigned PLL_DIVQ = 5,
  parameter int unsigned PLL_FILTER_RANGE = 1
) (
  input  logic clk_12mhz,
  input  logic btn_n,
  input  logic uart_rx,
  output logic uart_tx,
  output logic led_red_n,
  output logic led_green_n
);
  logic clk, locked;
  SB_PLL40_PAD #(
    .FEEDBACK_PATH("SIMPLE"),
    .DIVR(PLL_DIVR[3:0]),
    .DIVF(PLL_DIVF[6:0]),
    .DIVQ(PLL_DIVQ[2:0]),
    .FILTER_RANGE(PLL_FILTER_RANGE[2:0])
  ) u_pll (
    .PACKAGEPIN(clk_12mhz),
    .PLLOUTGLOBAL(clk),
    .LOCK(locked),
    .RESETB(1'b1),
    .BYPASS(1'b0)
  );

  logic [3:0] reset_q;
  always_ff @(posedge clk) reset_q <= {reset_q[2:0], locked && btn_n};
  logic rst_n;
  assign rst_n = reset_q[3];

  logic        in_tvalid, in_tready, in_tlast, in_tuser, out_tvalid, out_tready, out_tlast, out_tuser;
  logic [15:0] in_tdata;
  logic [31:0] out_tdata;
  logic        awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready;
  logic [7:0]  awaddr, araddr;
  logic [31:0] wdata, rdata;
  logic [3:0]  wstrb;
  logic [1:0]  unused_bresp, unused_rresp;  // always OKAY

  nhw_uart_bridge #(.CLOCKS_PER_BIT(CLOCKS_PER_BIT)) u_bridge (
    .clk_i(clk),
    .rst_ni(rst_n),
    .rx_i(uart_rx),
    .tx_o(uart_tx),
    .m_axis_tvalid(in_tvalid),
    .m_axis_tready(in_tready),
    .m_axis_tdata(in_tdata),
    .m_axis_tlast(in_tlast),
    .m_axis_tuser(in_tuser),
    .s_axis_tvalid(out_tvalid),
    .s_axis_tready(out_tready),
    .s_axis_tdata(out_tdata),
    .s_axis_tlast(out_tlast),
    .s_axis_tuser(out_tuser),
    .m_axil_awvalid(awvalid),
    .m_axil_awready(awready),
    .m_axil_awaddr(awaddr),
    .m_axil_wvalid(wvalid),
    .m_axil_wready(wready),
    .m_axil_wdata(wdata),
    .m_axil_wstrb(wstrb),
    .m_axil_bvalid(bvalid),
    .m_axil_bready(bready),
    .m_axil_arvalid(arvalid),
    .m_axil_arready(arready),
    .m_axil_araddr(araddr),
    .m_axil_rvalid(rvalid),
    .m_axil_rready(rready),
    .m_axil_rdata(rdata)
  );

  nhw_network u_network (
    .clk_i(clk),
    .rst_ni(rst_n),
    .s_axis_tvalid(in_tvalid),
    .s_axis_tready(in_tready),
    .s_axis_tdata(in_tdata),
    .s_axis_tlast(in_tlast),
    .s_axis_tuser(in_tuser),
    .m_axis_tvalid(out_tvalid),
    .m_axis_tready(out_tready),
    .m_axis_tdata(out_tdata),
    .m_axis_tlast(out_tlast),
    .m_axis_tuser(out_tuser),
    .s_axil_awvalid(awvalid),
    .s_axil_awready(awready),
    .s_axil_awaddr(awaddr),
    .s_axil_wvalid(wvalid),
    .s_axil_wready(wready),
    .s_axil_wdata(wdata),
    .s_axil_wstrb(wstrb),
    .s_axil_bvalid(bvalid),
    .s_axil_bready(bready),
    .s_axil_bresp(unused_bresp),
    .s_axil_arvalid(arvalid),
    .s_axil_arready(arready),
    .s_axil_araddr(araddr),
    .s_axil_rvalid(rvalid),
    .s_axil_rready(rready),
    .s_axil_rdata(rdata),
    .s_axil_rresp(unused_rresp)
  );

  assign led_red_n = rst_n;
  assign led_green_n = !(in_tvalid || out_tvalid);
endmodule
