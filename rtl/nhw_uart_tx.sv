// SPDX-License-Identifier: Apache-2.0
// UART transmitter, 8 data bits, no parity, 1 stop bit.
//
// Handshake: a byte is taken in a clock with `valid_i` and `ready_o`; `ready_o` depends on registers only.
module nhw_uart_tx #(
  parameter int unsigned CLOCKS_PER_BIT = 25
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       valid_i,
  output logic       ready_o,
  input  logic [7:0] data_i,
  output logic       tx_o
);
  if (CLOCKS_PER_BIT < 4) begin : gen_bad_rate
    $error("nhw_uart_tx: CLOCKS_PER_BIT must be at least 4");
  end

  localparam int unsigned CountBits = $clog2(CLOCKS_PER_BIT + 1);

  logic [8:0] shift_q;
  logic [3:0] bits_left_q;
  logic [CountBits-1:0] count_q;

  assign ready_o = bits_left_q == 0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      tx_o <= 1'b1;
      bits_left_q <= '0;
      count_q <= '0;
    end else if (bits_left_q == 0) begin
      if (valid_i) begin
        tx_o <= 1'b0;
        shift_q <= {1'b1, data_i};
        bits_left_q <= 4'd10;
        count_q <= CountBits'(CLOCKS_PER_BIT - 1);
      end
    end else if (count_q != 0) begin
      count_q <= count_q - 1'b1;
    end else begin
      tx_o <= shift_q[0];
      shift_q <= {1'b1, shift_q[8:1]};
      bits_left_q <= bits_left_q - 1'b1;
      count_q <= CountBits'(CLOCKS_PER_BIT - 1);
    end
  end
endmodule
