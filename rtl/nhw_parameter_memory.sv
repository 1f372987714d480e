// Constant parameters of the neurons: one word a clock from the image PARAMETER_FILE, undefined where the name is empty.
//
// Latency: 1 clock. Fields that a layer does not use are removed by synthesis, so that two of these at different addresses
// cost no more than one.
module nhw_parameter_memory #(
  parameter int unsigned WORDS = 16,
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

  // strings of different lengths are compared
  /* verilator lint_off WIDTHEXPAND */
  localparam bit IsBlock = MEMORY_STYLE == "block";
  /* verilator lint_on WIDTHEXPAND */

  if (IsBlock) begin : gen_block
    // an image is constant; without one, nothing ever drives the memory
    /* verilator lint_off UNDRIVEN */
    (* rom_style = "block" *)
    logic [BITS-1:0] memory [Depth];
    /* verilator lint_on UNDRIVEN */
    if (PARAMETER_FILE != "") begin : gen_image
      initial $readmemh(PARAMETER_FILE, memory, 0, WORDS - 1);
    end
    always_ff @(posedge clk_i) data_o <= memory[address_i];
  end else begin : gen_logic
    /* verilator lint_off UNDRIVEN */
    (* rom_style = "logic" *)
    logic [BITS-1:0] memory [Depth];
    /* verilator lint_on UNDRIVEN */
    if (PARAMETER_FILE != "") begin : gen_image
      initial $readmemh(PARAMETER_FILE, memory, 0, WORDS - 1);
    end
    always_ff @(posedge clk_i) data_o <= memory[address_i];
  end
endmodule
