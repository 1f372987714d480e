// SPDX-License-Identifier: Apache-2.0
// UART receiver, 8 data bits, no parity, 1 stop bit.
//
// Samples every bit in its middle. Handshake: `valid_o` is 1 for one clock with each byte; a byte whose stop bit is 0 is dropped.
// CLOCKS_PER_BIT: clock frequency divided by baud, rounded, at least 4.
module nhw_uart_rx #(
  parameter int unsigned CLOCKS_PER_BIT = 25
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       rx_i,
  output logic       valid_o,
  output logic [7:0] data_o
);
  if (CLOCKS_PER_BIT < 4) begin : gen_bad_rate
    $error("nhw_uart_rx: CLOCKS_PER_BIT must be at least 4");
  end

  localparam int unsigned CountBits = $clog2(CLOCKS_PER_BIT + 1);
  // the synchroniser below delays by two clocks, which the first half bit takes back
  localparam int unsigned FirstCount = CLOCKS_PER_BIT / 2 - 1;

  logic [1:0] line_q;
  logic [CountBits-1:0] count_q;
  logic [3:0] bit_q;  // 0: idle or start bit, 1..8 data, 9 stop
  logic busy_q;

  always_ff @(posedge clk_i) begin
    line_q <= {line_q[0], rx_i};
    valid_o <= 1'b0;
    if (!rst_ni) begin
      line_q <= '1;
      busy_q <= 1'b0;
      count_q <= '0;
      bit_q <= '0;
    end else if (!busy_q) begin
      count_q <= CountBits'(FirstCount);
      bit_q <= '0;
      busy_q <= !line_q[1];
    end else if (count_q != 0) begin
      count_q <= count_q - 1'b1;
    end else begin
      count_q <= CountBits'(CLOCKS_PER_BIT - 1);
      bit_q <= bit_q + 1'b1;
      if (bit_q == 4'd0) begin
        busy_q <= !line_q[1];  // a glitch is no start bit
      end else if (bit_q == 4'd9) begin
        busy_q <= 1'b0;
        valid_o <= line_q[1];
      end else begin
        data_o <= {line_q[1], data_o[7:1]};
      end
    end
  end
endmodule
