// SPDX-License-Identifier: Apache-2.0
// Cells of the vendors that the board tops instantiate, as far as they use them: empty, for linters.
/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
module SB_PLL40_PAD #(
  parameter FEEDBACK_PATH = "SIMPLE",
  parameter logic [3:0] DIVR = '0,
  parameter logic [6:0] DIVF = '0,
  parameter logic [2:0] DIVQ = '0,
  parameter logic [2:0] FILTER_RANGE = '0
) (
  input  logic PACKAGEPIN,
  output logic PLLOUTGLOBAL,
  output logic LOCK,
  input  logic RESETB,
  input  logic BYPASS
);
endmodule

module EHXPLLL #(
  parameter PLLRST_ENA = "DISABLED",
  parameter INTFB_WAKE = "DISABLED",
  parameter STDBY_ENABLE = "DISABLED",
  parameter DPHASE_SOURCE = "DISABLED",
  parameter int unsigned CLKOP_FPHASE = 0,
  parameter int unsigned CLKOP_CPHASE = 0,
  parameter OUTDIVIDER_MUXA = "DIVA",
  parameter CLKOP_ENABLE = "ENABLED",
  parameter int unsigned CLKOP_DIV = 8,
  parameter int unsigned CLKFB_DIV = 1,
  parameter int unsigned CLKI_DIV = 1,
  parameter FEEDBK_PATH = "CLKOP"
) (
  input  logic CLKI,
  input  logic CLKFB,
  output logic CLKOP,
  output logic LOCK,
  input  logic RST,
  input  logic STDBY,
  input  logic PHASESEL0,
  input  logic PHASESEL1,
  input  logic PHASEDIR,
  input  logic PHASESTEP,
  input  logic PHASELOADREG,
  input  logic PLLWAKESYNC,
  input  logic ENCLKOP
);
endmodule
