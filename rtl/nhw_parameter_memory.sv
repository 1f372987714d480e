// SPDX-License-Identifier: Apache-2.0
// Constant parameters of the neurons: BITS bits, from bit FIRST on, of one word a clock of the image PARAMETER_FILE, which has
// words of WORD_BITS bits. Undefined where the name is empty.
//
// Latency: 1 clock. Synthesis removes the other bits, so that several of these for different fields of one image, each read in
// its own clock, cost no more than one.
module nhw_parameter_memory #(
  parameter int unsigned WORDS = 16,
  parameter int unsigned WORD_BITS = 48,
  parameter int unsigned FIRST = 0,
  parameter int unsigned BITS = 48,
  parameter PARAMETER_FILE = "",
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned AddressBits = (WORDS > 1) ? $clog2(WORDS) : 1
) (
  input  logic                   clk_i,
  input  logic [AddressBits-1:0] address_i,
  output logic [BITS-1:0]        data_o
);
  localparam int unsigned Depth = (WORDS > 1) ? WORDS : 2;

  if (FIRST + BITS > WORD_BITS) begin : gen_bad_field
    $error("nhw_parameter_memory: FIRST + BITS must be at most WORD_BITS");
  end

  // strings of different lengths are compared
  /* verilator lint_off WIDTHEXPAND */
  localparam bit IsBlock = MEMORY_STYLE == "block";
  /* verilator lint_on WIDTHEXPAND */

  // the other fields of the word
  /* verilator lint_off UNUSEDSIGNAL */
  logic [WORD_BITS-1:0] word_q;
  /* verilator lint_on UNUSEDSIGNAL */

  if (IsBlock) begin : gen_block
    // an image is constant; without one, nothing ever drives the memory
    /* verilator lint_off UNDRIVEN */
    (* rom_style = "block" *)
    logic [WORD_BITS-1:0] memory [Depth];
    /* verilator lint_on UNDRIVEN */
    if (PARAMETER_FILE != "") begin : gen_image
      initial $readmemh(PARAMETER_FILE, memory, 0, WORDS - 1);
    end
    always_ff @(posedge clk_i) word_q <= memory[address_i];
  end else begin : gen_logic
    /* verilator lint_off UNDRIVEN */
    (* rom_style = "logic" *)
    logic [WORD_BITS-1:0] memory [Depth];
    /* verilator lint_on UNDRIVEN */
    if (PARAMETER_FILE != "") begin : gen_image
      initial $readmemh(PARAMETER_FILE, memory, 0, WORDS - 1);
    end
    always_ff @(posedge clk_i) word_q <= memory[address_i];
  end

  assign data_o = word_q[FIRST+:BITS];
endmodule
