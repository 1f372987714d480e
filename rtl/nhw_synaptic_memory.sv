// SPDX-License-Identifier: Apache-2.0
// Weight rows of one projection, one row a clock.
//
// ROWS rows of ROW_BITS bits lie in banks of BANK_ROWS rows. Directly on the output of every bank's block RAM sits a register;
// its synchronous reset zeroes the banks that were not addressed, so that a wide OR behind it is the whole multiplexer.
// Bank b is read from the file {WEIGHT_FILE, b as two decimal digits, ".hex"}; with an empty WEIGHT_FILE the content is
// undefined.
//
// Many banks lie all over the chip: with more than four, every bank has a register of its own for its rows, which rests while others are read.
//
// Latency: `weights_o` follows `row_i` by 2 clocks with one bank, by 3 with up to four, by 4 with more; `valid_o` and `side_o` (the rest of the
// operation) come one clock before the weights, so that the accumulators can be read meanwhile. There is no stall.
module nhw_synaptic_memory #(
  parameter int unsigned ROWS = 32,
  parameter int unsigned ROW_BITS = 32,
  parameter int unsigned BANK_ROWS = 16,
  parameter int unsigned SIDE_BITS = 4,
  parameter WEIGHT_FILE = "",
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 valid_i,
  input  logic [RowBits-1:0]   row_i,
  input  logic [SIDE_BITS-1:0] side_i,
  output logic                 valid_o,
  output logic [SIDE_BITS-1:0] side_o,
  output logic [ROW_BITS-1:0]  weights_o
);
  localparam int unsigned Banks = (ROWS + BANK_ROWS - 1) / BANK_ROWS;

  localparam bit Spread = Banks > 4;
  localparam int unsigned SideClocks = (Banks == 1) ? 1 : Spread ? 3 : 2;

  if (Banks > 1 && (BANK_ROWS & (BANK_ROWS - 1)) != 0) begin : gen_bad_bank_rows
    $error("nhw_synaptic_memory: BANK_ROWS must be a power of two where there is more than one bank");
  end
  if (Banks > 100) begin : gen_bad_banks
    $error("nhw_synaptic_memory: at most 100 banks; increase BANK_ROWS");
  end

  logic [Banks-1:0][ROW_BITS-1:0] bank_q;

  for (genvar bank = 0; bank < Banks; bank++) begin : gen_bank
    localparam int unsigned First = bank * BANK_ROWS;
    localparam int unsigned Rows = (ROWS - First < BANK_ROWS) ? ROWS - First : BANK_ROWS;
    localparam int unsigned Depth = (Rows > 1) ? Rows : 2;
    localparam int unsigned AddressBits = $clog2(Depth);
    // two decimal digits
    localparam logic [7:0] Tens = 8'(48 + bank / 10);
    localparam logic [7:0] Units = 8'(48 + bank % 10);

    // an image is constant; without one, nothing ever drives the memory
    /* verilator lint_off UNDRIVEN */
    (* rom_style = "block" *)
    logic [ROW_BITS-1:0] memory [Depth];
    /* verilator lint_on UNDRIVEN */

    if (WEIGHT_FILE != "") begin : gen_image
      initial $readmemh({WEIGHT_FILE, Tens, Units, ".hex"}, memory, 0, Rows - 1);
    end

    logic [AddressBits-1:0] row;
    logic selected;
    if (Spread) begin : gen_spread
      logic addressed, addressed_q;
      logic [AddressBits-1:0] row_q;
      assign addressed = (row_i / RowBits'(BANK_ROWS)) == RowBits'(bank);
      always_ff @(posedge clk_i) begin
        if (addressed) row_q <= AddressBits'(row_i);
        addressed_q <= addressed;
      end
      assign row = row_q;
      assign selected = addressed_q;
    end else begin : gen_near
      assign row = AddressBits'(row_i);
      assign selected = Banks == 1 || (row_i / RowBits'(BANK_ROWS)) == RowBits'(bank);
    end

    logic [ROW_BITS-1:0] read_q;
    always_ff @(posedge clk_i) read_q <= memory[row];

    if (Banks == 1) begin : gen_only
      logic unused_selected;
      assign unused_selected = selected;
      always_ff @(posedge clk_i) bank_q[bank] <= read_q;
    end else begin : gen_selected
      logic selected_q;
      always_ff @(posedge clk_i) begin
        selected_q <= selected;
        if (!selected_q) bank_q[bank] <= '0;
        else bank_q[bank] <= read_q;
      end
    end
  end

  if (Banks == 1) begin : gen_one_bank
    assign weights_o = bank_q;
  end else begin : gen_multiplexer
    logic [ROW_BITS-1:0] any_bank;
    always_comb begin
      any_bank = '0;
      for (int unsigned bank = 0; bank < Banks; bank++) any_bank = any_bank | bank_q[bank];
    end
    always_ff @(posedge clk_i) weights_o <= any_bank;
  end

  // a reset of a single clock must stop what is in flight, too
  logic [SideClocks-1:0] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= SideClocks'({valid_q, valid_i});
  end
  assign valid_o = valid_q[SideClocks-1];

  nhw_delay #(
    .BITS(SIDE_BITS),
    .CLOCKS(SideClocks)
  ) u_side (
    .clk_i,
    .data_i(side_i),
    .data_o(side_o)
  );
endmodule
