// SPDX-License-Identifier: Apache-2.0
// ULX3S: PLL, reset, host bridge, network. ftdi_rxd is what the host receives, ftdi_txd what it sends.
//
// The PLL divides the input by PLL_REFERENCE_DIVIDER, multiplies by PLL_FEEDBACK_DIVIDER and PLL_OUTPUT_DIVIDER inside the VCO, and divides
// the VCO by PLL_OUTPUT_DIVIDER. The values are computed by neurohw/hardware/build/pll.py.
module nhw_board_ulx3s #(
  parameter int unsigned CLOCKS_PER_BIT = 25,
  parameter int unsigned PLL_REFERENCE_DIVIDER = 1,
  parameter int unsigned PLL_FEEDBACK_DIVIDER = 1,
  parameter int unsigned PLL_OUTPUT_DIVIDER = 24
) (
  input  logic       clk_25mhz,
  input  logic       btn_pwr_n,
  input  logic       ftdi_txd,
  output logic       ftdi_rxd,
  output logic       wifi_gpio0,
  output logic [2:0] led
);
  assign wifi_gpio0 = 1'b1;  // keeps the board's other processor from taking over

  logic clk, locked;
  (* FREQUENCY_PIN_CLKI = "25" *)
  EHXPLLL #(
    .PLLRST_ENA("DISABLED"),
    .INTFB_WAKE("DISABLED"),
    .STDBY_ENABLE("DISABLED"),
    .DPHASE_SOURCE("DISABLED"),
    .CLKOP_FPHASE(0),
    .CLKOP_CPHASE(PLL_OUTPUT_DIVIDER - 1),
    .OUTDIVIDER_MUXA("DIVA"),
    .CLKOP_ENABLE("ENABLED"),
    .CLKOP_DIV(PLL_OUTPUT_DIVIDER),
    .CLKFB_DIV(PLL_FEEDBACK_DIVIDER),
    .CLKI_DIV(PLL_REFERENCE_DIVIDER),
    .FEEDBK_PATH("CLKOP")
  ) u_pll (
    .CLKI(clk_25mhz),
    .CLKFB(clk),
    .CLKOP(clk),
    .LOCK(locked),
    .RST(1'b0),
    .STDBY(1'b0),
    .PHASESEL0(1'b0),
    .PHASESEL1(1'b0),
    .PHASEDIR(1'b0),
    .PHASESTEP(1'b0),
    .PHASELOADREG(1'b0),
    .PLLWAKESYNC(1'b0),
    .ENCLKOP(1'b0)
  );

  logic [3:0] reset_q;
  always_ff @(posedge clk) reset_q <= {reset_q[2:0], locked && btn_pwr_n};
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
    .rx_i(ftdi_txd),
    .tx_o(ftdi_rxd),
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

  assign led = {rst_n, in_tvalid, out_tvalid};
endmodule
