// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite registers of a learning core: LEARNING, the weights and the astrocyte. What is not theirs goes on to nhw_registers.
//
// Word addresses 0x60 to 0x70, see docs/hardware.md. A weight is named by WEIGHT_PLACE, {row, lane}: lane in the low LaneBits bits. Reading or writing WEIGHT moves the place on by
// one lane, so that a host streams all weights. Weights are looked at and changed between two steps only: the answer waits until the core allows it (`host_may_i`), and the core
// waits meanwhile.
//
// AXI4-Lite: one transaction at a time, reads before writes; every ready depends on registers only. A weight takes about 8 clocks in an idle core.
module nhw_learning_registers #(
  parameter int unsigned ROWS = 32,
  parameter int unsigned LANES = 8,
  parameter int unsigned WEIGHT_BITS = 12,
  parameter int unsigned STATE_BITS = 24,
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1,
  localparam int unsigned LaneBits = (LANES > 1) ? $clog2(LANES) : 1
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic        s_axil_awvalid,
  output logic        s_axil_awready,
  input  logic [7:0]  s_axil_awaddr,
  input  logic        s_axil_wvalid,
  output logic        s_axil_wready,
  input  logic [31:0] s_axil_wdata,
  input  logic [3:0]  s_axil_wstrb,
  output logic        s_axil_bvalid,
  input  logic        s_axil_bready,
  output logic [1:0]  s_axil_bresp,
  input  logic        s_axil_arvalid,
  output logic        s_axil_arready,
  input  logic [7:0]  s_axil_araddr,
  output logic        s_axil_rvalid,
  input  logic        s_axil_rready,
  output logic [31:0] s_axil_rdata,
  output logic [1:0]  s_axil_rresp,

  output logic        m_axil_awvalid,
  input  logic        m_axil_awready,
  output logic [7:0]  m_axil_awaddr,
  output logic        m_axil_wvalid,
  input  logic        m_axil_wready,
  output logic [31:0] m_axil_wdata,
  output logic [3:0]  m_axil_wstrb,
  input  logic        m_axil_bvalid,
  output logic        m_axil_bready,
  input  logic [1:0]  m_axil_bresp,
  output logic        m_axil_arvalid,
  input  logic        m_axil_arready,
  output logic [7:0]  m_axil_araddr,
  input  logic        m_axil_rvalid,
  output logic        m_axil_rready,
  input  logic [31:0] m_axil_rdata,
  input  logic [1:0]  m_axil_rresp,

  output logic                              learning_o,
  input  logic signed [STATE_BITS-1:0]      astrocyte_i,
  output logic                              host_wants_o,
  input  logic                              host_may_i,
  output logic [RowBits-1:0]                host_row_o,
  output logic                              host_write_o,
  output logic [LANES-1:0][WEIGHT_BITS-1:0] host_weights_o,
  input  logic [LANES-1:0][WEIGHT_BITS-1:0] host_weights_i   // 2 clocks after the row
);
  // word addresses (byte address / 4)
  localparam logic [5:0] LearningWord = 6'h18;
  localparam logic [5:0] PlaceWord = 6'h19;
  localparam logic [5:0] WeightWord = 6'h1A;
  localparam logic [5:0] AstrocyteWord = 6'h1B;
  localparam logic [5:0] ShapeWord = 6'h1C;
  localparam logic [31:0] Shape = {8'(WEIGHT_BITS), 8'(LANES), 16'(ROWS)};
  localparam logic [LaneBits-1:0] LastLane = LaneBits'(LANES - 1);

  if (ROWS > 65535 || LANES > 255) begin : gen_bad_shape
    $error("nhw_learning_registers: ROWS must be at most 65535, LANES at most 255");
  end

  typedef enum logic [2:0] {Idle, Act, Ask, Fetch, Change, Answer, Forward, Back} state_e;
  state_e state_q;
  logic read_q, address_held_q, data_held_q, own, sent_address_q, sent_data_q;
  logic [7:0] address_q;
  logic [31:0] data_q;
  logic [3:0] strobe_q;
  logic [1:0] clocks_q;
  logic [RowBits-1:0] row_q;
  logic [LaneBits-1:0] lane_q;
  logic [LANES-1:0][WEIGHT_BITS-1:0] fetched_q;

  assign own = address_q[7:2] >= LearningWord && address_q[7:2] <= ShapeWord;
  assign s_axil_awready = state_q == Idle && !address_held_q;
  assign s_axil_wready = state_q == Idle && !data_held_q;
  assign s_axil_arready = state_q == Idle && !address_held_q && !data_held_q;
  assign s_axil_bresp = 2'b00;
  assign s_axil_rresp = 2'b00;
  assign s_axil_bvalid = state_q == Answer && !read_q;
  assign s_axil_rvalid = state_q == Answer && read_q;

  assign m_axil_awaddr = address_q;
  assign m_axil_araddr = address_q;
  assign m_axil_wdata = data_q;
  assign m_axil_wstrb = strobe_q;
  assign m_axil_awvalid = state_q == Forward && !read_q && !sent_address_q;
  assign m_axil_wvalid = state_q == Forward && !read_q && !sent_data_q;
  assign m_axil_arvalid = state_q == Forward && read_q && !sent_address_q;
  assign m_axil_bready = state_q == Back && !read_q;
  assign m_axil_rready = state_q == Back && read_q;

  assign host_wants_o = state_q == Ask || state_q == Fetch || state_q == Change;
  assign host_row_o = row_q;
  assign host_write_o = state_q == Change;
  for (genvar lane = 0; lane < LANES; lane++) begin : gen_changed
    assign host_weights_o[lane] = (lane_q == LaneBits'(lane)) ? data_q[WEIGHT_BITS-1:0] : fetched_q[lane];
  end
  always_ff @(posedge clk_i) fetched_q <= host_weights_i;

  logic taken_address, taken_data;
  assign taken_address = sent_address_q || (read_q ? m_axil_arready : m_axil_awready);
  assign taken_data = sent_data_q || m_axil_wready;

  always_ff @(posedge clk_i) begin
    case (state_q)
      Idle: begin
        sent_address_q <= 1'b0;
        sent_data_q <= 1'b0;
        clocks_q <= '0;
        if (s_axil_arvalid && s_axil_arready) begin
          address_q <= s_axil_araddr;
          read_q <= 1'b1;
          state_q <= Act;
        end else begin
          if (s_axil_awvalid && s_axil_awready) begin
            address_q <= s_axil_awaddr;
            address_held_q <= 1'b1;
          end
          if (s_axil_wvalid && s_axil_wready) begin
            data_q <= s_axil_wdata;
            strobe_q <= s_axil_wstrb;
            data_held_q <= 1'b1;
          end
          if (address_held_q && data_held_q) begin
            read_q <= 1'b0;
            state_q <= Act;
          end
        end
      end
      Act: begin
        state_q <= !own ? Forward : (address_q[7:2] == WeightWord) ? Ask : Answer;
        case (address_q[7:2])
          LearningWord: s_axil_rdata <= 32'(learning_o);
          PlaceWord: s_axil_rdata <= 32'({row_q, lane_q});
          AstrocyteWord: s_axil_rdata <= 32'(astrocyte_i);
          default: s_axil_rdata <= Shape;
        endcase
        if (!read_q && address_q[7:2] == LearningWord) learning_o <= data_q[0];
        if (!read_q && address_q[7:2] == PlaceWord) {row_q, lane_q} <= data_q[RowBits+LaneBits-1:0];
      end
      Ask: if (host_may_i) state_q <= Fetch;
      Fetch: begin
        clocks_q <= clocks_q + 1'b1;
        // two clocks for the row, one for the register behind it
        if (clocks_q == 2'd3) begin
          s_axil_rdata <= 32'($signed(fetched_q[lane_q]));
          state_q <= read_q ? Answer : Change;
        end
      end
      Change: state_q <= Answer;
      Forward: begin
        sent_address_q <= taken_address;
        sent_data_q <= taken_data;
        if (taken_address && (read_q || taken_data)) state_q <= Back;
      end
      Back:
        if (read_q ? m_axil_rvalid : m_axil_bvalid) begin
          if (read_q) s_axil_rdata <= m_axil_rdata;
          state_q <= Answer;
        end
      default:
        if (read_q ? s_axil_rready : s_axil_bready) begin
          state_q <= Idle;
          address_held_q <= 1'b0;
          data_held_q <= 1'b0;
          if (address_q[7:2] == WeightWord) begin
            lane_q <= (lane_q == LastLane) ? '0 : lane_q + 1'b1;
            if (lane_q == LastLane) row_q <= row_q + 1'b1;
          end
        end
    endcase
    if (!rst_ni) begin
      state_q <= Idle;
      address_held_q <= 1'b0;
      data_held_q <= 1'b0;
      learning_o <= 1'b1;
      row_q <= '0;
      lane_q <= '0;
    end
  end

  // the byte offset of an address, responses and the rest of a word carry nothing
  logic unused;
  assign unused = &{1'b0, address_q[1:0], m_axil_bresp, m_axil_rresp};
endmodule
