// SPDX-License-Identifier: Apache-2.0
// Sums of weights whose targets stand beside them: any synapse in any lane, so that an event costs its fan-out divided by LANES.
//
// A row holds LANES entries, each with a weight, a target {update word, lane of the word} and, with SLOTS > 1, a delay. Every lane has sums of its own for
// all neurons; a drain takes update word `op_word_i` out of all lanes, leaves 0 there, and a tree adds the lanes. The sums never saturate: their widths are proved, LANE_BITS
// for those of one lane and ACCUMULATOR_BITS for all.
//
// With SLOTS = 1 there are two pages: rows are added to page `op_page_i` while the other is drained, in the same clock if need be. With SLOTS > 1 there is one, a
// ring: an entry adds to slot (now + delay) mod SLOTS, drains leave slot `now`, and the last drain of a step moves `now` on; a row and a drain never come
// together, and `op_clear_i`, WORDS * SLOTS times in a row, sets the whole ring to 0. Drains with `op_initialise_i` empty both pages.
//
// Latency: the entries belong to the operation of the clock before; `sums_o` follows a drain by 5 + ceil(log2(LANES)) clocks. One row and one drain a clock,
// no stall, whatever the targets.
module nhw_sparse_accumulator #(
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned WORDS = 8,
  parameter int unsigned SLOTS = 1,          // a power of two
  parameter int unsigned WEIGHT_BITS = 4,
  parameter int unsigned LANE_BITS = 8,
  parameter int unsigned ACCUMULATOR_BITS = 12,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1,
  localparam int unsigned LaneBits = (UPDATE_LANES > 1) ? $clog2(UPDATE_LANES) : 0,
  localparam int unsigned TargetBits = WordBits + LaneBits,
  localparam int unsigned SlotBits = (SLOTS > 1) ? $clog2(SLOTS) : 1
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                op_add_i,
  input  logic                op_drain_i,
  input  logic                op_clear_i,
  input  logic                op_page_i,
  input  logic                op_last_i,
  input  logic                op_sample_end_i,
  input  logic                op_initialise_i,
  input  logic [WordBits-1:0] op_word_i,
  input  logic [LANES*WEIGHT_BITS-1:0] weights_i,
  input  logic [LANES*TargetBits-1:0]  targets_i,
  input  logic [LANES*SlotBits-1:0]    delays_i,     // looked at only with SLOTS > 1

  output logic                sums_valid_o,
  output logic                sums_last_o,
  output logic                sums_sample_end_o,
  output logic                sums_initialise_o,
  output logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_o
);
  if (ACCUMULATOR_BITS < LANE_BITS) begin : gen_bad_accumulator_bits
    $error("nhw_sparse_accumulator: ACCUMULATOR_BITS must not be below LANE_BITS");
  end
  if (SLOTS < 1 || (SLOTS & (SLOTS - 1)) != 0) begin : gen_bad_slots
    $error("nhw_sparse_accumulator: SLOTS must be a power of two");
  end

  localparam int unsigned Pages = (SLOTS > 1) ? 1 : 2;
  localparam int unsigned Places = WORDS * SLOTS;
  localparam int unsigned PlaceBits = (Places > 1) ? $clog2(Places) : 1;
  localparam int unsigned WideBits = UPDATE_LANES * ACCUMULATOR_BITS;
  localparam int unsigned Levels = (LANES > 1) ? $clog2(LANES) : 0;

  // --- the operation, with its entries (1) ---------------------------------------------------------------------------------
  logic add1_q, drain1_q, clear1_q, page1_q, last1_q, initialise1_q, end1_q;
  logic [WordBits-1:0] word1_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {add1_q, drain1_q, clear1_q} <= '0;
    else {add1_q, drain1_q, clear1_q} <= {op_add_i, op_drain_i, op_clear_i};
    {page1_q, last1_q, end1_q, initialise1_q} <= {op_page_i, op_last_i, op_sample_end_i, op_initialise_i};
    word1_q <= op_word_i;
  end

  // a word is the upper part of a place, a slot the lower
  logic [SlotBits-1:0] now;
  logic [PlaceBits-1:0] swept, drained;
  if (SLOTS > 1) begin : gen_ring
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        now <= '0;
        swept <= '0;
      end else begin
        if (drain1_q && last1_q) now <= now + 1'b1;
        if (clear1_q) swept <= (swept == PlaceBits'(Places - 1)) ? '0 : swept + 1'b1;
      end
    end
    assign drained = clear1_q ? swept : PlaceBits'({word1_q, now});
  end else begin : gen_no_ring
    logic unused_ring;
    assign unused_ring = &{1'b0, swept, now, delays_i};
    assign now = '0;
    assign swept = '0;
    assign drained = word1_q;
  end

  // --- the sums of every lane and page: places (2), and two clocks later the word before the operation (4) -------------------
  localparam int unsigned LaneWidth = (LaneBits > 0) ? LaneBits : 1;
  logic [Pages-1:0] adds, drains, add2_q, empty2_q;
  logic [Pages-1:0][LANES-1:0][UPDATE_LANES*LANE_BITS-1:0] words;

  for (genvar page = 0; page < Pages; page++) begin : gen_operation
    assign adds[page] = add1_q && (Pages == 1 || page1_q == 1'(page));
    assign drains[page] = drain1_q && (Pages == 1 || page1_q != 1'(page) || initialise1_q);
    always_ff @(posedge clk_i) begin
      add2_q[page] <= rst_ni && adds[page];
      empty2_q[page] <= rst_ni && (drains[page] || clear1_q);
    end
  end

  for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
    logic [TargetBits-1:0] target;
    logic [PlaceBits-1:0] place;
    logic [LaneWidth-1:0] lane2_q;
    logic [WEIGHT_BITS-1:0] weight2_q;

    assign target = targets_i[lane*TargetBits+:TargetBits];
    if (SLOTS > 1) begin : gen_slot
      logic [SlotBits-1:0] slot;
      assign slot = now + delays_i[lane*SlotBits+:SlotBits];
      assign place = PlaceBits'({target[TargetBits-1:LaneBits], slot});
    end else begin : gen_no_slot
      assign place = target[TargetBits-1:LaneBits];
    end

    always_ff @(posedge clk_i) begin
      lane2_q <= (LaneBits > 0) ? LaneWidth'(target) : '0;
      weight2_q <= weights_i[lane*WEIGHT_BITS+:WEIGHT_BITS];
    end

    for (genvar page = 0; page < Pages; page++) begin : gen_page
      logic [PlaceBits-1:0] place2_q;
      always_ff @(posedge clk_i) place2_q <= (drains[page] || clear1_q) ? drained : place;

      nhw_lane_accumulator #(
        .WORDS(Places),
        .UPDATE_LANES(UPDATE_LANES),
        .WEIGHT_BITS(WEIGHT_BITS),
        .LANE_BITS(LANE_BITS),
        .MEMORY_STYLE(MEMORY_STYLE)
      ) u_lane (
        .clk_i,
        .rst_ni,
        .add_i(add2_q[page]),
        .empty_i(empty2_q[page]),
        .address_i(place2_q),
        .lane_i(lane2_q),
        .weight_i(weight2_q),
        .word_o(words[page][lane])
      );
    end
  end

  // --- the word that is drained, of every lane (5), and the tree that adds the lanes -----------------------------------------
  localparam int unsigned TreeClocks = 4 + Levels;  // from (1) to the sums
  logic [Levels:0][LANES-1:0][WideBits-1:0] tree;
  logic [TreeClocks-1:0] valid_q;
  logic page4;

  nhw_delay #(
    .BITS(1),
    .CLOCKS(3)
  ) u_page (
    .clk_i,
    .data_i((Pages == 1) ? 1'b0 : !page1_q),
    .data_o(page4)
  );

  for (genvar lane = 0; lane < LANES; lane++) begin : gen_leaf
    logic [UPDATE_LANES*LANE_BITS-1:0] word;
    assign word = (Pages == 1 || !page4) ? words[0][lane] : words[Pages-1][lane];
    for (genvar part = 0; part < UPDATE_LANES; part++) begin : gen_part
      logic signed [LANE_BITS-1:0] sum5_q;
      always_ff @(posedge clk_i) sum5_q <= word[part*LANE_BITS+:LANE_BITS];
      assign tree[0][lane][part*ACCUMULATOR_BITS+:ACCUMULATOR_BITS] = ACCUMULATOR_BITS'(sum5_q);
    end
  end

  for (genvar level = 1; level <= Levels; level++) begin : gen_level
    localparam int unsigned Below = (LANES + (1 << (level - 1)) - 1) >> (level - 1);
    for (genvar node = 0; node < LANES; node++) begin : gen_node
      if (2 * node + 1 < Below) begin : gen_sum
        for (genvar part = 0; part < UPDATE_LANES; part++) begin : gen_part
          localparam int unsigned First = part * ACCUMULATOR_BITS;
          logic [ACCUMULATOR_BITS-1:0] sum_q;
          always_ff @(posedge clk_i) begin
            sum_q <= tree[level-1][2*node][First+:ACCUMULATOR_BITS] + tree[level-1][2*node+1][First+:ACCUMULATOR_BITS];
          end
          assign tree[level][node][First+:ACCUMULATOR_BITS] = sum_q;
        end
      end else if (2 * node < Below) begin : gen_alone
        logic [WideBits-1:0] word_q;
        always_ff @(posedge clk_i) word_q <= tree[level-1][2*node];
        assign tree[level][node] = word_q;
      end else begin : gen_none
        assign tree[level][node] = '0;
      end
    end
  end

  // a reset of a single clock must stop what is in flight, too
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= TreeClocks'({valid_q, drain1_q});
  end

  nhw_delay #(
    .BITS(3),
    .CLOCKS(TreeClocks)
  ) u_flags (
    .clk_i,
    .data_i({last1_q, end1_q, initialise1_q}),
    .data_o({sums_last_o, sums_sample_end_o, sums_initialise_o})
  );

  assign sums_valid_o = valid_q[TreeClocks-1];
  assign sums_o = tree[Levels][0];
  logic unused_tree;
  assign unused_tree = &{1'b0, tree};
endmodule
