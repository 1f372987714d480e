// SPDX-License-Identifier: Apache-2.0
// Host bridge: UART commands to the input stream and the registers, output beats and register values back.
//
// The protocol is in docs/hardware.md. Received bytes wait in a queue of QUEUE_BYTES; one is taken in every clock in which the
// state machine can use it, so that a full network input stops the bytes and loses none. Replies and output beats are
// sent whole, one frame at a time; the network's output waits (tready = 0) while a frame is under way.
module nhw_uart_bridge #(
  parameter int unsigned CLOCKS_PER_BIT = 25,
  parameter int unsigned QUEUE_BYTES = 512
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        rx_i,
  output logic        tx_o,

  // to the network's input
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [15:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser,

  // from the network's output
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [31:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  input  logic        s_axis_tuser,

  // to the network's registers
  output logic        m_axil_awvalid,
  input  logic        m_axil_awready,
  output logic [7:0]  m_axil_awaddr,
  output logic        m_axil_wvalid,
  input  logic        m_axil_wready,
  output logic [31:0] m_axil_wdata,
  output logic [3:0]  m_axil_wstrb,
  input  logic        m_axil_bvalid,
  output logic        m_axil_bready,
  output logic        m_axil_arvalid,
  input  logic        m_axil_arready,
  output logic [7:0]  m_axil_araddr,
  input  logic        m_axil_rvalid,
  output logic        m_axil_rready,
  input  logic [31:0] m_axil_rdata
);
  // ------------------------------------------------------------------------------------------------ received bytes
  logic received_valid, queue_ready, queued_valid, queued_ready, byte_valid, byte_ready;
  logic [7:0] received, queued, byte_data;

  nhw_uart_rx #(.CLOCKS_PER_BIT(CLOCKS_PER_BIT)) u_rx (
    .clk_i,
    .rst_ni,
    .rx_i,
    .valid_o(received_valid),
    .data_o(received)
  );

  nhw_fifo #(.WORDS(QUEUE_BYTES), .BITS(8)) u_queue (
    .clk_i,
    .rst_ni,
    .in_valid_i(received_valid),
    .in_ready_o(queue_ready),
    .in_data_i(received),
    .out_valid_o(queued_valid),
    .out_ready_i(queued_ready),
    .out_data_o(queued)
  );

  // a block RAM answers late in the clock: decoding starts at registers, or it would set the clock of the whole board
  nhw_fifo #(.WORDS(2), .BITS(8), .MEMORY_STYLE("registers")) u_front (
    .clk_i,
    .rst_ni,
    .in_valid_i(queued_valid),
    .in_ready_o(queued_ready),
    .in_data_i(queued),
    .out_valid_o(byte_valid),
    .out_ready_i(byte_ready),
    .out_data_o(byte_data)
  );

  // ------------------------------------------------------------------------------------------------ commands
  typedef enum logic [3:0] {
    Idle, EventCount, EventLow, EventHigh, EventSend,
    ReadAddress, ReadRequest, ReadWait, WriteAddress, WriteData, WriteRequest, WriteWait, Reply
  } state_e;

  state_e state_q;
  logic [7:0] words_left_q;
  logic [1:0] byte_count_q;
  logic [15:0] word_q;
  logic [7:0] address_q;
  logic [31:0] data_q;
  logic aw_done_q, w_done_q, reply_is_read_q, reply_taken;

  always_comb begin
    unique case (state_q)
      Idle, EventCount, EventLow, EventHigh, ReadAddress, WriteAddress, WriteData: byte_ready = 1'b1;
      default: byte_ready = 1'b0;
    endcase
  end

  assign m_axis_tvalid = state_q == EventSend;
  assign m_axis_tlast = word_q[15];
  assign m_axis_tuser = word_q[15] && word_q[0];
  assign m_axis_tdata = word_q[15] ? 16'd0 : word_q;
  assign m_axil_araddr = address_q;
  assign m_axil_awaddr = address_q;
  assign m_axil_wdata = data_q;
  assign m_axil_wstrb = 4'hF;
  assign m_axil_arvalid = state_q == ReadRequest;
  assign m_axil_rready = state_q == ReadWait;
  assign m_axil_awvalid = state_q == WriteRequest && !aw_done_q;
  assign m_axil_wvalid = state_q == WriteRequest && !w_done_q;
  assign m_axil_bready = state_q == WriteWait;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle: begin
          byte_count_q <= '0;
          aw_done_q <= 1'b0;
          w_done_q <= 1'b0;
          if (byte_valid) begin
            unique case (byte_data)
              8'h45: state_q <= EventCount;
              8'h52: state_q <= ReadAddress;
              8'h57: state_q <= WriteAddress;
              default: state_q <= Idle;
            endcase
          end
        end
        EventCount: if (byte_valid) begin
          words_left_q <= byte_data;
          state_q <= (byte_data == 0) ? Idle : EventLow;
        end
        EventLow: if (byte_valid) begin
          word_q[7:0] <= byte_data;
          state_q <= EventHigh;
        end
        EventHigh: if (byte_valid) begin
          word_q[15:8] <= byte_data;
          words_left_q <= words_left_q - 1'b1;
          state_q <= EventSend;
        end
        EventSend: if (m_axis_tready) state_q <= (words_left_q == 0) ? Idle : EventLow;
        ReadAddress: if (byte_valid) begin
          address_q <= byte_data;
          state_q <= ReadRequest;
        end
        ReadRequest: if (m_axil_arready) state_q <= ReadWait;
        ReadWait: if (m_axil_rvalid) begin
          data_q <= m_axil_rdata;
          reply_is_read_q <= 1'b1;
          state_q <= Reply;
        end
        WriteAddress: if (byte_valid) begin
          address_q <= byte_data;
          state_q <= WriteData;
        end
        WriteData: if (byte_valid) begin
          data_q <= {byte_data, data_q[31:8]};
          byte_count_q <= byte_count_q + 1'b1;
          if (byte_count_q == 2'd3) state_q <= WriteRequest;
        end
        WriteRequest: begin
          if (m_axil_awready) aw_done_q <= 1'b1;
          if (m_axil_wready) w_done_q <= 1'b1;
          if ((aw_done_q || m_axil_awready) && (w_done_q || m_axil_wready)) state_q <= WriteWait;
        end
        WriteWait: if (m_axil_bvalid) begin
          reply_is_read_q <= 1'b0;
          state_q <= Reply;
        end
        Reply: if (reply_taken) state_q <= Idle;
        default: state_q <= Idle;
      endcase
    end
  end

  // ------------------------------------------------------------------------------------------------ frames to the host
  logic [47:0] frame_q;
  logic [2:0] frame_bytes_q;
  logic tx_ready;
  logic frame_free;

  assign frame_free = frame_bytes_q == 0;
  // replies first: a host that waits for one must not be starved by a stream of spikes
  assign reply_taken = frame_free && state_q == Reply;
  assign s_axis_tready = frame_free && state_q != Reply;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      frame_bytes_q <= '0;
    end else if (reply_taken) begin
      frame_q <= {8'd0, data_q, reply_is_read_q ? 8'h72 : 8'h77};
      frame_bytes_q <= reply_is_read_q ? 3'd5 : 3'd1;
    end else if (s_axis_tready && s_axis_tvalid) begin
      frame_q <= {s_axis_tdata, 6'd0, s_axis_tuser, s_axis_tlast, 8'h6F};
      frame_bytes_q <= 3'd6;
    end else if (!frame_free && tx_ready) begin
      frame_q <= {8'd0, frame_q[47:8]};
      frame_bytes_q <= frame_bytes_q - 1'b1;
    end
  end

  nhw_uart_tx #(.CLOCKS_PER_BIT(CLOCKS_PER_BIT)) u_tx (
    .clk_i,
    .rst_ni,
    .valid_i(!frame_free),
    .ready_o(tx_ready),
    .data_i(frame_q[7:0]),
    .tx_o
  );

  // the host keeps at most half a queue in flight, so a full queue means a broken host
  logic unused;
  assign unused = queue_ready;
endmodule
