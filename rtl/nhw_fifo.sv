// SPDX-License-Identifier: Apache-2.0
// First-in first-out queue on a memory (no shift register), with a registered output.
//
// Handshake: valid/ready on both sides; `in_ready_o` depends on registers only. Capacity: WORDS in the memory and one in
// the output register. Latency: 2 clocks from an accepted input to `out_valid_o`. Throughput: one word a clock.
// A word is read at the earliest in the clock after it was written, so that any memory style fits.
module nhw_fifo #(
  parameter int unsigned WORDS = 16,
  parameter int unsigned BITS = 8,
  parameter MEMORY_STYLE = "auto"
) (
  input  logic            clk_i,
  input  logic            rst_ni,
  input  logic            in_valid_i,
  output logic            in_ready_o,
  input  logic [BITS-1:0] in_data_i,
  output logic            out_valid_o,
  input  logic            out_ready_i,
  output logic [BITS-1:0] out_data_o
);
  if (WORDS < 2 || (WORDS & (WORDS - 1)) != 0) begin : gen_bad_words
    $error("nhw_fifo: WORDS must be a power of two, at least 2");
  end

  localparam int unsigned AddressBits = $clog2(WORDS);

  // one bit more than an address: it tells a full memory from an empty one
  logic [AddressBits:0] write_pointer_q, read_pointer_q;
  logic write, fetch;

  assign in_ready_o = write_pointer_q != {~read_pointer_q[AddressBits], read_pointer_q[AddressBits-1:0]};
  assign write = in_valid_i && in_ready_o;
  assign fetch = write_pointer_q != read_pointer_q && (!out_valid_o || out_ready_i);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_pointer_q <= '0;
      read_pointer_q <= '0;
      out_valid_o <= 1'b0;
    end else begin
      if (write) write_pointer_q <= write_pointer_q + 1'b1;
      if (fetch) read_pointer_q <= read_pointer_q + 1'b1;
      if (fetch) out_valid_o <= 1'b1;
      else if (out_ready_i) out_valid_o <= 1'b0;
    end
  end

  nhw_memory #(
    .WORDS(WORDS),
    .BITS(BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_memory (
    .clk_i,
    .write_enable_i(write),
    .write_address_i(write_pointer_q[AddressBits-1:0]),
    .write_data_i(in_data_i),
    .read_enable_i(fetch),
    .read_clear_i(1'b0),
    .read_address_i(read_pointer_q[AddressBits-1:0]),
    .read_data_o(out_data_o)
  );
endmodule
