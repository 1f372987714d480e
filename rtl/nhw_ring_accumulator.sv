// SPDX-License-Identifier: Apache-2.0
// Sums of weights that arrive in this step and in the SLOTS - 1 steps to come: a ring of future input for every lane.
//
// A row operation adds the weight of each lane to slot (now + delay) mod SLOTS of its group. With SHARED one delay holds for the whole row, else every
// lane has its own. A drain hands part `op_part_i` (UPDATE_LANES neurons) of its group in slot `now` to the neuron update and leaves 0 there; the last
// drain of a step moves `now` on. `op_clear_i`, GROUPS * SLOTS times in a row, sets the whole ring to 0: after reset, and at the end of a sample.
// The sums never saturate: their width is proved.
//
// Latency: `weights_i` and `delays_i` belong to the operation of the clock before; `sums_o` follows a drain by 4 clocks. One operation a clock, no stall:
// the same as without delays. One clock finds the place, one reads, one takes the word out of block RAM, one adds and writes. With GROUPS >= 3 an operation
// on a group follows another one on it after 3 clocks or more; with fewer groups the last two sums are forwarded.
module nhw_ring_accumulator #(
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned GROUPS = 2,
  parameter int unsigned SLOTS = 8,          // a power of two
  parameter bit SHARED = 1'b0,
  parameter int unsigned WEIGHT_BITS = 4,
  parameter int unsigned ACCUMULATOR_BITS = 12,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned Parts = LANES / UPDATE_LANES,
  localparam int unsigned GroupBits = (GROUPS > 1) ? $clog2(GROUPS) : 1,
  localparam int unsigned PartBits = (Parts > 1) ? $clog2(Parts) : 1,
  localparam int unsigned SlotBits = (SLOTS > 1) ? $clog2(SLOTS) : 1,
  localparam int unsigned Delays = SHARED ? 1 : LANES
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic                 op_valid_i,
  input  logic                 op_drain_i,
  input  logic                 op_clear_i,
  input  logic                 op_last_i,
  input  logic                 op_sample_end_i,
  input  logic                 op_initialise_i,
  input  logic [GroupBits-1:0] op_group_i,
  input  logic [PartBits-1:0]  op_part_i,
  input  logic [LANES*WEIGHT_BITS-1:0] weights_i,
  input  logic [Delays*SlotBits-1:0]   delays_i,

  output logic                 sums_valid_o,
  output logic                 sums_last_o,
  output logic                 sums_sample_end_o,
  output logic                 sums_initialise_o,
  output logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_o
);
  if (UPDATE_LANES < 1 || LANES % UPDATE_LANES != 0) begin : gen_bad_update_lanes
    $error("nhw_ring_accumulator: UPDATE_LANES must divide LANES");
  end
  if (ACCUMULATOR_BITS < WEIGHT_BITS) begin : gen_bad_accumulator_bits
    $error("nhw_ring_accumulator: ACCUMULATOR_BITS must not be below WEIGHT_BITS");
  end
  if (SLOTS < 2 || (SLOTS & (SLOTS - 1)) != 0) begin : gen_bad_slots
    $error("nhw_ring_accumulator: SLOTS must be a power of two of at least 2");
  end

  // a group is the upper part of an address, a slot the lower
  localparam int unsigned RingBits = (GROUPS > 1) ? GroupBits + SlotBits : SlotBits;
  localparam int unsigned Words = GROUPS * SLOTS;
  localparam bit Forward = GROUPS <= 2;
  localparam int unsigned LanesOfDelay = SHARED ? LANES : 1;

  // --- the operation, with its weights -----------------------------------------------------------------------------------
  logic add1_q, drain1_q, clear1_q, last1_q, end1_q, initialise1_q;
  logic [PartBits-1:0] part1_q;
  logic [GroupBits-1:0] group1_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      add1_q <= 1'b0;
      drain1_q <= 1'b0;
      clear1_q <= 1'b0;
    end else begin
      add1_q <= op_valid_i && !op_drain_i && !op_clear_i;
      drain1_q <= op_valid_i && op_drain_i;
      clear1_q <= op_valid_i && op_clear_i;
    end
    last1_q <= op_last_i;
    end1_q <= op_sample_end_i;
    initialise1_q <= op_initialise_i;
    part1_q <= op_part_i;
    group1_q <= op_group_i;
  end

  logic [SlotBits-1:0] now_q;
  logic [RingBits-1:0] clear_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      now_q <= '0;
      clear_q <= '0;
    end else begin
      if (drain1_q && last1_q) now_q <= now_q + 1'b1;
      if (clear1_q) clear_q <= (clear_q == RingBits'(Words - 1)) ? '0 : clear_q + 1'b1;
    end
  end

  // --- the place in the ring (2), the word of the memory (3), the addition (4) ------------------------------------------------
  logic add2_q, drain2_q, clear2_q, last2_q, end2_q, initialise2_q;
  logic add3_q, drain3_q, clear3_q, last3_q, end3_q, initialise3_q;
  logic add4_q, drain4_q, clear4_q, last4_q, end4_q, initialise4_q;
  logic [PartBits-1:0] part2_q, part3_q, part4_q;
  logic [LANES*WEIGHT_BITS-1:0] weights2_q, weights3_q, weights4_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      {add2_q, drain2_q, clear2_q} <= '0;
      {add3_q, drain3_q, clear3_q} <= '0;
      {add4_q, drain4_q, clear4_q} <= '0;
    end else begin
      {add2_q, drain2_q, clear2_q} <= {add1_q, drain1_q, clear1_q};
      {add3_q, drain3_q, clear3_q} <= {add2_q, drain2_q, clear2_q};
      {add4_q, drain4_q, clear4_q} <= {add3_q, drain3_q, clear3_q};
    end
    {last2_q, end2_q, initialise2_q} <= {last1_q, end1_q, initialise1_q};
    {last3_q, end3_q, initialise3_q} <= {last2_q, end2_q, initialise2_q};
    {last4_q, end4_q, initialise4_q} <= {last3_q, end3_q, initialise3_q};
    {part2_q, part3_q, part4_q} <= {part1_q, part2_q, part3_q};
    {weights2_q, weights3_q, weights4_q} <= {weights_i, weights2_q, weights3_q};
  end

  logic [Delays-1:0][LanesOfDelay*ACCUMULATOR_BITS-1:0] sums;

  for (genvar d = 0; d < Delays; d++) begin : gen_delay
    logic [SlotBits-1:0] slot;
    logic [RingBits-1:0] address, address2_q, address3_q, address4_q;
    logic write, empty;
    logic [LanesOfDelay*ACCUMULATOR_BITS-1:0] read, read_q, base, sum;

    // A row of the ring is emptied with its last part, a lane of its own with the part that it belongs to: nothing is written where the next
    // clock reads.
    if (SHARED) begin : gen_empty_row
      assign empty = clear4_q || (drain4_q && (part4_q == PartBits'(Parts - 1) || last4_q));
    end else begin : gen_empty_lane
      assign empty = clear4_q || (drain4_q && part4_q == PartBits'(d / UPDATE_LANES));
    end
    assign write = add4_q || empty;

    assign slot = drain1_q ? now_q : now_q + delays_i[d*SlotBits+:SlotBits];
    if (GROUPS > 1) begin : gen_group
      assign address = clear1_q ? clear_q : {group1_q, slot};
    end else begin : gen_no_group
      logic unused_group;
      assign unused_group = &{1'b0, group1_q};
      assign address = clear1_q ? clear_q : slot;
    end

    always_ff @(posedge clk_i) begin
      address2_q <= address;
      address3_q <= address2_q;
      address4_q <= address3_q;
      read_q <= read;
    end

    if (Forward) begin : gen_forward
      // of the operation before (5) and the one before that (6)
      logic write5_q, same5_q, same6_q;
      logic [RingBits-1:0] address5_q;
      logic [LanesOfDelay*ACCUMULATOR_BITS-1:0] sum5_q, sum6_q;
      always_ff @(posedge clk_i) begin
        write5_q <= rst_ni && write;
        address5_q <= address4_q;
        same5_q <= write && address3_q == address4_q;
        same6_q <= write5_q && address3_q == address5_q;
        sum5_q <= sum;
        sum6_q <= sum5_q;
      end
      assign base = same5_q ? sum5_q : same6_q ? sum6_q : read_q;
    end else begin : gen_read
      assign base = read_q;
    end

    for (genvar lane = 0; lane < LanesOfDelay; lane++) begin : gen_lane
      localparam int unsigned Lane = d * LanesOfDelay + lane;
      localparam int unsigned First = lane * ACCUMULATOR_BITS;
      logic signed [WEIGHT_BITS-1:0] weight;
      assign weight = weights4_q[Lane*WEIGHT_BITS+:WEIGHT_BITS];
      assign sum[First+:ACCUMULATOR_BITS] = empty ? '0 : base[First+:ACCUMULATOR_BITS] + ACCUMULATOR_BITS'(weight);
    end

    nhw_memory #(
      .WORDS(Words),
      .BITS(LanesOfDelay * ACCUMULATOR_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_ring (
      .clk_i,
      .write_enable_i(write),
      .write_address_i(address4_q),
      .write_data_i(sum),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(address2_q),
      .read_data_o(read)
    );
    assign sums[d] = base;
  end

  // --- the part that is drained ----------------------------------------------------------------------------------------------
  logic [Parts-1:0][UPDATE_LANES*ACCUMULATOR_BITS-1:0] parts;
  assign parts = sums;

  always_ff @(posedge clk_i) begin
    sums_valid_o <= rst_ni && drain4_q;
    sums_last_o <= last4_q;
    sums_sample_end_o <= end4_q;
    sums_initialise_o <= initialise4_q;
  end

  if (Parts == 1) begin : gen_whole
    always_ff @(posedge clk_i) sums_o <= parts;
    logic unused_part;
    assign unused_part = &{1'b0, part4_q};
  end else begin : gen_part
    always_ff @(posedge clk_i) sums_o <= parts[part4_q];
  end
endmodule
