// SPDX-License-Identifier: Apache-2.0
// Sources as the rows of their synapses. SOURCE_FILE, one word per source: {number of rows, first row}.
//
// Handshake: valid and ready at the input; rows have no ready, they never wait. What is known of a source goes with each of its rows. A source costs
// its number of rows, and a clock where it has none. Latency: 2 clocks from an accepted source to its first row, no gap between sources with rows.
module nhw_learning_rows #(
  parameter int unsigned SOURCES = 16,
  parameter int unsigned ROWS = 32,
  parameter int unsigned COUNT_BITS = 2,  // of the largest number of rows of one source
  parameter int unsigned SIDE_BITS = 4,
  parameter SOURCE_FILE = "",
  localparam int unsigned SourceBits = (SOURCES > 1) ? $clog2(SOURCES) : 1,
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                  source_valid_i,
  output logic                  source_ready_o,
  input  logic [SourceBits-1:0] source_i,
  input  logic [SIDE_BITS-1:0]  side_i,

  output logic                 row_valid_o,
  output logic [RowBits-1:0]   row_o,
  output logic [SIDE_BITS-1:0] side_o,
  output logic                 done_o       // nothing is in hand
);
  localparam int unsigned Depth = (SOURCES > 1) ? SOURCES : 2;

  /* verilator lint_off UNDRIVEN */
  logic [COUNT_BITS+RowBits-1:0] sources [Depth];
  /* verilator lint_on UNDRIVEN */
  if (SOURCE_FILE != "") begin : gen_sources
    initial $readmemh(SOURCE_FILE, sources, 0, SOURCES - 1);
  end

  logic found_valid_q, row_ready;
  logic [COUNT_BITS+RowBits-1:0] found_q;
  logic [SIDE_BITS-1:0] found_side_q;
  logic [COUNT_BITS-1:0] count, left_q;  // left: rows after this one
  logic [RowBits-1:0] first;

  assign {count, first} = found_q;
  assign row_ready = !row_valid_o || left_q == '0;
  assign source_ready_o = !found_valid_q || row_ready;
  assign done_o = !found_valid_q && !row_valid_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      found_valid_q <= 1'b0;
      row_valid_o <= 1'b0;
    end else begin
      if (source_ready_o) found_valid_q <= source_valid_i;
      if (row_ready) row_valid_o <= found_valid_q && count != '0;
    end
    if (source_ready_o) begin
      found_q <= sources[source_i];
      found_side_q <= side_i;
    end
    row_o <= row_ready ? first : row_o + 1'b1;
    left_q <= row_ready ? count - 1'b1 : left_q - 1'b1;
    if (row_ready) side_o <= found_side_q;
  end
endmodule
