// SPDX-License-Identifier: Apache-2.0
// Memory with one write port and one registered read port.
//
// Latency: read data follow the address by one clock. `read_clear_i` makes the read register 0 instead: the synchronous
// reset of a slice's flip-flop, and therefore free.
// The read register has no initial value. Reading a word in the clock in which it is written gives an undefined value;
// every user keeps a distance of at least one clock, so that block RAM needs no bypass (`no_rw_check`).
// MEMORY_STYLE: "auto", "distributed", "block" or "registers". With the macro NHW_NO_LUT_RAM, for chips that have none, it is always "auto".
module nhw_memory #(
  parameter int unsigned WORDS = 16,
  parameter int unsigned BITS = 8,
  /* verilator lint_off UNUSEDPARAM */
  parameter MEMORY_STYLE = "auto",  // used by synthesis only
  /* verilator lint_on UNUSEDPARAM */
  localparam int unsigned AddressBits = (WORDS > 1) ? $clog2(WORDS) : 1
) (
  input  logic                   clk_i,
  input  logic                   write_enable_i,
  input  logic [AddressBits-1:0] write_address_i,
  input  logic [BITS-1:0]        write_data_i,
  input  logic                   read_enable_i,
  input  logic                   read_clear_i,
  input  logic [AddressBits-1:0] read_address_i,
  output logic [BITS-1:0]        read_data_o
);
  if (WORDS < 1) begin : gen_bad_words
    $error("nhw_memory: WORDS must be at least 1");
  end

  // one address bit is always there, hence never fewer than two words
  localparam int unsigned Depth = (WORDS > 1) ? WORDS : 2;

`ifdef NHW_NO_LUT_RAM
  (* no_rw_check *)
`else
  (* no_rw_check, ram_style = MEMORY_STYLE *)
`endif
  logic [BITS-1:0] memory [Depth];

  always_ff @(posedge clk_i) begin
    if (write_enable_i) memory[write_address_i] <= write_data_i;
  end

  always_ff @(posedge clk_i) begin
    if (read_clear_i) read_data_o <= '0;
    else if (read_enable_i) read_data_o <= memory[read_address_i];
  end
endmodule
