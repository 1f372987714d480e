// SPDX-License-Identifier: Apache-2.0
// Rows of synapses of a learning core, one a clock: weights are read, changed, written back, and delivered where their source has spiked.
//
// A row comes with what is known of its source, {from the population, spike, inhibitory, learns, change}. What is known of the targets is written before the rows come, a word of UPDATE_LANES
// neurons at a time. Clock 0 has the address, 2 the row, 3 what is known of its targets, 6 says what is added to the sums, 7 has the weights for that and the new weights, 8 writes them.
// Between steps the host reads and writes rows instead.
module nhw_learning_pass #(
  parameter int unsigned ROWS = 32,
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 4,
  parameter int unsigned NEURONS = 16,
  parameter int unsigned WORDS = 6,               // of sources: the population first, then the input
  parameter int unsigned WEIGHT_BITS = 12,
  parameter int unsigned HIDDEN_BITS = 4,
  parameter int unsigned INPUT_LIMIT = 1536,      // largest |weight| of a source of the input
  parameter int unsigned POPULATION_LIMIT = 1536, // of a neuron of the population
  parameter bit INPUT_CROSSES = 1'b1,             // weights of both signs
  parameter bit POPULATION_CROSSES = 1'b0,
  parameter WEIGHT_FILE = "",
  parameter TARGET_FILE = "",
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned Groups = (NEURONS + LANES - 1) / LANES,
  localparam int unsigned GroupBits = (Groups > 1) ? $clog2(Groups) : 1,
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1,
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1,
  localparam int unsigned SeenBits = WEIGHT_BITS - HIDDEN_BITS,
  localparam int unsigned AmountBits = WEIGHT_BITS + 1,
  localparam int unsigned SideBits = AmountBits + 4
) (
  input  logic clk_i,
  input  logic rst_ni,

  // what is known of the neurons as targets
  input  logic                                    known_valid_i,
  input  logic [WordBits-1:0]                     known_word_i,
  input  logic [UPDATE_LANES-1:0]                 known_spikes_i,
  input  logic [UPDATE_LANES-1:0][AmountBits-1:0] known_potentiation_i,
  input  logic [UPDATE_LANES-1:0][AmountBits-1:0] known_depression_i,

  input  logic                row_valid_i,
  input  logic [RowBits-1:0]  row_i,
  input  logic [SideBits-1:0] side_i,
  input  logic                sample_end_i,
  input  logic                step_done_i,

  input  logic                              host_may_i,
  input  logic [RowBits-1:0]                host_row_i,
  input  logic                              host_write_i,
  input  logic [LANES-1:0][WEIGHT_BITS-1:0] host_weights_i,
  output logic [LANES-1:0][WEIGHT_BITS-1:0] host_weights_o,

  // to the accumulator: lane, group, and a clock later the weight without its hidden bits, and its rounding
  output logic [LANES-1:0]                add_o,
  output logic [LANES-1:0][GroupBits-1:0] groups_o,
  output logic [LANES-1:0][SeenBits-1:0]  weights_o,
  output logic [LANES-1:0]                carries_o
);
  localparam int unsigned Parts = LANES / UPDATE_LANES;
  localparam int unsigned Drains = (NEURONS + UPDATE_LANES - 1) / UPDATE_LANES;
  localparam int unsigned ChangeBits = WEIGHT_BITS + 2;

  if (INPUT_LIMIT >= 1 << (WEIGHT_BITS - 1) || POPULATION_LIMIT >= 1 << (WEIGHT_BITS - 1)) begin : gen_bad_limits
    $error("nhw_learning_pass: the limits must fit WEIGHT_BITS");
  end

  logic [7:0] valid;
  logic [7:1] valid_q;
  logic [7:0][RowBits-1:0] rows;
  logic [7:1][RowBits-1:0] rows_q;
  assign valid = {valid_q, row_valid_i};
  assign rows = {rows_q, row_i};
  always_ff @(posedge clk_i) begin
    valid_q <= rst_ni ? valid[6:0] : '0;
    rows_q <= rows[6:0];
  end

  logic from_population3, spike3, inhibitory3, learns3, spike6, learns7;
  logic [AmountBits-1:0] change3;
  logic signed [AmountBits-1:0] change5;
  nhw_delay #(.BITS(SideBits), .CLOCKS(3)) u_side3 (
    .clk_i,
    .data_i(side_i),
    .data_o({from_population3, spike3, inhibitory3, learns3, change3})
  );
  nhw_delay #(.BITS(AmountBits), .CLOCKS(2)) u_change5 (.clk_i, .data_i(change3), .data_o(change5));
  nhw_delay #(.BITS(1), .CLOCKS(3)) u_spike6 (.clk_i, .data_i(spike3), .data_o(spike6));
  nhw_delay #(.BITS(1), .CLOCKS(4)) u_learns7 (.clk_i, .data_i(learns3), .data_o(learns7));

  // the limits enclose 0: on one side only, unless weights of both signs are allowed
  logic crosses;
  logic signed [WEIGHT_BITS-1:0] limit, low, high;
  assign crosses = from_population3 ? POPULATION_CROSSES : INPUT_CROSSES;
  assign limit = from_population3 ? WEIGHT_BITS'(POPULATION_LIMIT) : WEIGHT_BITS'(INPUT_LIMIT);
  assign low = (crosses || inhibitory3) ? -limit : '0;
  assign high = (crosses || !inhibitory3) ? limit : '0;

  logic [LANES-1:0][WEIGHT_BITS-1:0] weights2, new_weights7;
  logic [LANES-1:0] there2;
  logic [LANES-1:0][GroupBits-1:0] groups2;

  logic write_q;
  logic [RowBits-1:0] write_row_q;
  logic [LANES-1:0][WEIGHT_BITS-1:0] write_weights_q;
  always_ff @(posedge clk_i) begin
    write_q <= rst_ni && (host_write_i || (valid[7] && learns7));
    write_row_q <= host_write_i ? host_row_i : rows[7];
    write_weights_q <= host_write_i ? host_weights_i : new_weights7;
  end

  nhw_learning_memory #(
    .ROWS(ROWS),
    .LANES(LANES),
    .WEIGHT_BITS(WEIGHT_BITS),
    .GROUPS(Groups),
    .WEIGHT_FILE(WEIGHT_FILE),
    .TARGET_FILE(TARGET_FILE)
  ) u_memory (
    .clk_i,
    .row_i(host_may_i ? host_row_i : row_i),
    .weights_o(weights2),
    .there_o(there2),
    .groups_o(groups2),
    .write_enable_i(write_q),
    .write_row_i(write_row_q),
    .write_weights_i(write_weights_q),
    .snapshot_i(step_done_i)
  );
  assign host_weights_o = weights2;

  for (genvar lane = 0; lane < LANES; lane++) begin : gen_lane
    localparam int unsigned Part = lane / UPDATE_LANES;
    localparam int unsigned UpdateLane = lane % UPDATE_LANES;

    // what is known of the lane's neurons as targets: {spike, potentiation, -depression}
    logic target_spike;
    logic signed [AmountBits-1:0] target_potentiation, target_depression;
    nhw_memory #(
      .WORDS(Groups),
      .BITS(2 * AmountBits + 1),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_targets (
      .clk_i,
      .write_enable_i(known_valid_i && 32'(known_word_i) < Drains && 32'(known_word_i) % Parts == Part),
      .write_address_i(GroupBits'(32'(known_word_i) / Parts)),
      .write_data_i({known_spikes_i[UpdateLane], known_potentiation_i[UpdateLane], known_depression_i[UpdateLane]}),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(groups2[lane]),
      .read_data_o({target_spike, target_potentiation, target_depression})
    );

    logic [WEIGHT_BITS-1:0] weight3_q;
    logic there3_q, second4_q, second5_q, there6;
    logic signed [ChangeBits-1:0] first, second;
    always_ff @(posedge clk_i) begin
      weight3_q <= weights2[lane];
      there3_q <= there2[lane];
      second4_q <= there3_q && learns3 && target_spike;
      second5_q <= second4_q;
    end
    assign first = !(there3_q && learns3 && spike3) ? '0
                   : inhibitory3 ? ChangeBits'(target_potentiation) : ChangeBits'(target_depression);
    assign second = second5_q ? ChangeBits'(change5) : '0;

    nhw_learning_synapse #(
      .WEIGHT_BITS(WEIGHT_BITS),
      .HIDDEN_BITS(HIDDEN_BITS)
    ) u_synapse (
      .clk_i,
      .weight_i(weight3_q),
      .first_i(first),
      .second_i(second),
      .low_i(low),
      .high_i(high),
      .weight_o(new_weights7[lane]),
      .seen_o(weights_o[lane]),
      .carry_o(carries_o[lane])
    );

    nhw_delay #(.BITS(1), .CLOCKS(3)) u_there6 (.clk_i, .data_i(there3_q), .data_o(there6));
    nhw_delay #(.BITS(GroupBits), .CLOCKS(4)) u_groups6 (.clk_i, .data_i(groups2[lane]), .data_o(groups_o[lane]));
    // nothing is delivered beyond the end of a sample
    assign add_o[lane] = valid[6] && there6 && spike6 && !sample_end_i;
  end
endmodule
