// SPDX-License-Identifier: Apache-2.0
// One population: operations of its projections in, events (or membranes) out. Structure only.
//
//   nhw_step_control -> nhw_synaptic_memory -> nhw_accumulator -> nhw_neuron_update -> nhw_spike_output or nhw_membrane_output
//
// ROWS weight rows of LANES weights; an operation adds one row to the sums of one group of LANES neurons. With SLOTS > 1 every weight has a delay
// of 0 to SLOTS - 1 steps beside it (SHARED_DELAYS: every row has one), and nhw_ring_accumulator keeps the sums of the steps to come. A step with n operations costs about
// n + WORDS + 2 clocks, WORDS = ceil(NEURONS/UPDATE_LANES). NEURONS counts slots of the hardware; after a convolution they lie channel by channel
// at each of POSITIONS positions, WORDS_PER_POSITION update words each (see nhw_spike_output).
//
// COMPRESSED rows hold LANES entries of any targets instead of the weights of a group: weights, above them the targets, above them the delays of all lanes.
// nhw_sparse_accumulator adds them up. Groups do not exist then, and without delays the drains of a step hide behind the operations of the next one.
// Handshake: operations with valid and ready, AXI-Stream at the output; see docs/hardware.md for the beats, the parameters and the images.
// Latency: from the barrier of a step to its first output beat about 15 clocks.
module nhw_population #(
  parameter int unsigned LAYER_ID = 0,
  parameter int unsigned ROWS = 32,
  parameter int unsigned NEURONS = 16,
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned WEIGHT_BITS = 4,
  parameter int unsigned WEIGHT_EXPONENT = 0,
  parameter int unsigned ACCUMULATOR_BITS = 12,
  parameter int unsigned CURRENT_BITS = 16,
  parameter int unsigned MEMBRANE_BITS = 16,
  parameter int unsigned DECAY_KIND = 1,
  parameter int unsigned DECAY_VALUE = 4,
  parameter int unsigned SYNAPSE_KIND = 0,
  parameter int unsigned SYNAPSE_VALUE = 4,
  parameter int unsigned ADAPTATION_KIND = 0,
  parameter int unsigned ADAPTATION_VALUE = 4,
  parameter bit HARD_RESET = 1'b0,
  parameter bit RESET_NONE = 1'b0,
  parameter bit DELAYED_RESET = 1'b0,
  parameter bit STRICT = 1'b0,
  parameter bit MEMBRANE_BIAS = 1'b0,
  parameter bit DELAYED_CURRENT = 1'b0,
  parameter bit CLEARS_CURRENT = 1'b0,
  parameter bit INTEGRATES_REFRACTORY = 1'b0,
  parameter int unsigned REFRACTORY_STEPS = 0,
  parameter bit SPIKING = 1'b1,
  parameter bit MODULATES = 1'b0,                 // an astrocyte: not SPIKING, its membranes leave after every step, and nothing at m_axis
  parameter bit GAIN = 1'b0,                      // modulated: gains of its input
  parameter bit ADDITION = 1'b0,                  // modulated: additions to its thresholds
  parameter int unsigned ADDITION_BITS = 1,
  parameter WEIGHT_FILE = "",
  parameter PARAMETER_FILE = "",
  parameter int unsigned BANK_ROWS = 1024,
  parameter MEMORY_STYLE = "auto",
  parameter STATE_STYLE = MEMORY_STYLE,           // of the states of the neurons and the spikes
  parameter bit IN_ORDER = 1'b1,                  // the only projection is dense
  parameter int unsigned SLOTS = 1,               // a power of two
  parameter bit SHARED_DELAYS = 1'b0,
  parameter bit COMPRESSED = 1'b0,
  parameter int unsigned LANE_BITS = 12,          // looked at only with COMPRESSED: sum of one lane
  parameter int unsigned POSITIONS = 1,
  parameter int unsigned WORDS_PER_POSITION = 1,
  localparam int unsigned Groups = COMPRESSED ? 1 : (NEURONS + LANES - 1) / LANES,
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1,
  localparam int unsigned GroupBits = (Groups > 1) ? $clog2(Groups) : 1,
  localparam int unsigned SaturatedBits = $clog2(UPDATE_LANES + 1)
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  logic                 in_valid_i,
  output logic                 in_ready_o,
  input  logic                 in_barrier_i,
  input  logic                 in_sample_end_i,
  input  logic [RowBits-1:0]   in_row_i,
  input  logic [GroupBits-1:0] in_group_i,

  // modulation, see nhw_modulation: a step may begin, and is begun; membranes of an astrocyte; gains and additions of a modulated population
  input  logic allowed_i,
  output logic step_o,
  output logic word_valid_o,
  output logic word_last_o,
  output logic [UPDATE_LANES*MEMBRANE_BITS-1:0] membranes_o,
  output logic gain_read_o,
  output logic gain_last_o,
  input  logic [UPDATE_LANES*10-1:0] gain_i,
  output logic addition_read_o,
  output logic addition_last_o,
  input  logic [UPDATE_LANES*ADDITION_BITS-1:0] addition_i,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [31:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser,

  output logic [SaturatedBits-1:0] saturated_o  // neurons of which a state has saturated, for nhw_registers
);
  localparam int unsigned Words = (NEURONS + UPDATE_LANES - 1) / UPDATE_LANES;
  localparam int unsigned WordBits = (Words > 1) ? $clog2(Words) : 1;
  // drains name a group and a part of it; with compressed rows an update word
  localparam int unsigned Parts = COMPRESSED ? 1 : LANES / UPDATE_LANES;
  localparam int unsigned DrainGroups = COMPRESSED ? Words : Groups;
  localparam int unsigned DrainBits = COMPRESSED ? WordBits : GroupBits;
  localparam int unsigned PartBits = (Parts > 1) ? $clog2(Parts) : 1;
  localparam int unsigned SideBits = 8 + DrainBits + PartBits;
  localparam int unsigned SlotBits = (SLOTS > 1) ? $clog2(SLOTS) : 0;
  localparam int unsigned DelayBits = (SHARED_DELAYS ? 1 : LANES) * SlotBits;
  localparam int unsigned TargetBits = COMPRESSED ? WordBits + $clog2(UPDATE_LANES) : 0;
  localparam int unsigned DelaysAt = LANES * (WEIGHT_BITS + TargetBits);
  // spikes: the words of one whole step, so that the next layer can lag a step behind; membranes: rare
  localparam int unsigned StepWords = (Words > 4) ? 1 << $clog2(Words) : 4;
  localparam int unsigned QueueWords = MODULATES ? 0 : !SPIKING ? 4 : (StepWords > 512) ? 512 : StepWords;

  if (NEURONS < 1 || NEURONS > 65536) begin : gen_bad_neurons
    $error("nhw_population: NEURONS must be 1 to 65536");
  end
  if (LANES < 1 || UPDATE_LANES < 1 || (!COMPRESSED && LANES % UPDATE_LANES != 0)) begin : gen_bad_lanes
    $error("nhw_population: UPDATE_LANES must divide LANES");
  end
  if (MODULATES && (SPIKING || GAIN || ADDITION)) begin : gen_bad_modulates
    $error("nhw_population: MODULATES excludes SPIKING, GAIN and ADDITION");
  end
  if (WEIGHT_BITS < 2 || WEIGHT_BITS > 8) begin : gen_bad_weight_bits
    $error("nhw_population: WEIGHT_BITS must be 2 to 8");
  end

  if (COMPRESSED && SHARED_DELAYS) begin : gen_bad_shared_delays
    $error("nhw_population: the entries of COMPRESSED rows have delays of their own, not SHARED_DELAYS");
  end

  // --- operations and drains -------------------------------------------------------------------------------------------
  logic credit_return;
  logic op_valid, op_add, op_drain, op_clear, op_page, op_first, op_last, op_sample_end, op_initialise;
  logic [RowBits-1:0] op_row;
  logic [DrainBits-1:0] op_group;
  logic [PartBits-1:0] op_part;

  nhw_step_control #(
    .ROW_BITS(RowBits),
    .GROUPS(DrainGroups),
    .PARTS(Parts),
    .WORDS(Words),
    .CREDITS(QueueWords),
    .SPIKING(SPIKING),
    .IN_ORDER(IN_ORDER || COMPRESSED),
    .CLEARS((SLOTS > 1) ? DrainGroups * SLOTS : 0),
    .GROUP_CLOCKS((SLOTS > 1) ? 3 : 2),
    .OVERLAP(COMPRESSED && SLOTS == 1),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_step_control (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_ready_o,
    .in_barrier_i,
    .in_sample_end_i,
    .in_row_i,
    .in_group_i(DrainBits'(in_group_i)),
    .credit_return_i(credit_return),
    .allowed_i,
    .step_o,
    .op_valid_o(op_valid),
    .op_add_o(op_add),
    .op_drain_o(op_drain),
    .op_clear_o(op_clear),
    .op_page_o(op_page),
    .op_first_o(op_first),
    .op_last_o(op_last),
    .op_sample_end_o(op_sample_end),
    .op_initialise_o(op_initialise),
    .op_row_o(op_row),
    .op_group_o(op_group),
    .op_part_o(op_part)
  );

  // --- weights ---------------------------------------------------------------------------------------------------------
  logic [SideBits-1:0] side, side_late;
  logic [DelaysAt+DelayBits-1:0] row;
  logic [LANES*WEIGHT_BITS-1:0] weights;
  logic late_valid, late_add, late_drain, late_clear, late_page, late_first, late_last, late_sample_end, late_initialise;
  logic [DrainBits-1:0] late_group;
  logic [PartBits-1:0] late_part;

  assign weights = row[LANES*WEIGHT_BITS-1:0];
  assign side = {
    op_add, op_drain, op_clear, op_page, op_first, op_last, op_sample_end, op_initialise, op_group, op_part
  };
  assign {
    late_add, late_drain, late_clear, late_page, late_first, late_last, late_sample_end, late_initialise, late_group, late_part
  } = side_late;

  nhw_synaptic_memory #(
    .ROWS(ROWS),
    .ROW_BITS(DelaysAt + DelayBits),
    .BANK_ROWS(BANK_ROWS),
    .SIDE_BITS(SideBits),
    .WEIGHT_FILE(WEIGHT_FILE)
  ) u_synaptic_memory (
    .clk_i,
    .rst_ni,
    .valid_i(op_valid),
    .row_i(op_row),
    .side_i(side),
    .valid_o(late_valid),
    .side_o(side_late),
    .weights_o(row)
  );

  // --- sums ------------------------------------------------------------------------------------------------------------
  logic sums_valid, sums_last, sums_sample_end, sums_initialise;
  logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums;

  if (COMPRESSED) begin : gen_sparse
    localparam int unsigned EntryDelayBits = (SLOTS > 1) ? DelayBits : LANES;
    logic [EntryDelayBits-1:0] delays;
    if (SLOTS > 1) begin : gen_delays
      assign delays = row[DelaysAt+:DelayBits];
    end else begin : gen_no_delays
      assign delays = '0;
    end

    nhw_sparse_accumulator #(
      .LANES(LANES),
      .UPDATE_LANES(UPDATE_LANES),
      .WORDS(Words),
      .SLOTS(SLOTS),
      .WEIGHT_BITS(WEIGHT_BITS),
      .LANE_BITS(LANE_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_sparse_accumulator (
      .clk_i,
      .rst_ni,
      .op_add_i(late_valid && late_add),
      .op_drain_i(late_valid && late_drain),
      .op_clear_i(late_valid && late_clear),
      .op_page_i(late_page),
      .op_last_i(late_last),
      .op_sample_end_i(late_sample_end),
      .op_initialise_i(late_initialise),
      .op_word_i(late_group),
      .weights_i(weights),
      .targets_i(row[LANES*WEIGHT_BITS+:LANES*TargetBits]),
      .delays_i(delays),
      .sums_valid_o(sums_valid),
      .sums_last_o(sums_last),
      .sums_sample_end_o(sums_sample_end),
      .sums_initialise_o(sums_initialise),
      .sums_o(sums)
    );
    logic unused_side;
    assign unused_side = &{1'b0, late_first, late_part};
  end else if (SLOTS == 1) begin : gen_accumulator
    nhw_accumulator #(
      .LANES(LANES),
      .UPDATE_LANES(UPDATE_LANES),
      .GROUPS(Groups),
      .WEIGHT_BITS(WEIGHT_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_accumulator (
      .clk_i,
      .rst_ni,
      .op_valid_i(late_valid),
      .op_drain_i(late_drain),
      .op_first_i(late_first),
      .op_last_i(late_last),
      .op_sample_end_i(late_sample_end),
      .op_initialise_i(late_initialise),
      .op_group_i(late_group),
      .op_part_i(late_part),
      .weights_i(weights),
      .sums_valid_o(sums_valid),
      .sums_last_o(sums_last),
      .sums_sample_end_o(sums_sample_end),
      .sums_initialise_o(sums_initialise),
      .sums_o(sums)
    );
    logic unused_side;
    assign unused_side = &{1'b0, late_add, late_clear, late_page};
  end else begin : gen_ring
    nhw_ring_accumulator #(
      .LANES(LANES),
      .UPDATE_LANES(UPDATE_LANES),
      .GROUPS(Groups),
      .SLOTS(SLOTS),
      .SHARED(SHARED_DELAYS),
      .WEIGHT_BITS(WEIGHT_BITS),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_ring_accumulator (
      .clk_i,
      .rst_ni,
      .op_valid_i(late_valid),
      .op_drain_i(late_drain),
      .op_clear_i(late_clear),
        .op_last_i(late_last),
      .op_sample_end_i(late_sample_end),
      .op_initialise_i(late_initialise),
      .op_group_i(late_group),
      .op_part_i(late_part),
      .weights_i(weights),
      .delays_i(row[DelaysAt+:DelayBits]),
      .sums_valid_o(sums_valid),
      .sums_last_o(sums_last),
      .sums_sample_end_o(sums_sample_end),
      .sums_initialise_o(sums_initialise),
      .sums_o(sums)
    );
    logic unused_side;
    assign unused_side = &{1'b0, late_add, late_page, late_first};
  end

  // --- neurons -----------------------------------------------------------------------------------------------------------
  logic word_valid, word_last, word_sample_end;
  logic [UPDATE_LANES-1:0] spikes;
  logic [UPDATE_LANES*MEMBRANE_BITS-1:0] membranes;

  nhw_neuron_update #(
    .LAYER_ID(LAYER_ID),
    .NEURONS(NEURONS),
    .UPDATE_LANES(UPDATE_LANES),
    .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
    .CURRENT_BITS(CURRENT_BITS),
    .MEMBRANE_BITS(MEMBRANE_BITS),
    .WEIGHT_EXPONENT(WEIGHT_EXPONENT),
    .DECAY_KIND(DECAY_KIND),
    .DECAY_VALUE(DECAY_VALUE),
    .SYNAPSE_KIND(SYNAPSE_KIND),
    .SYNAPSE_VALUE(SYNAPSE_VALUE),
    .ADAPTATION_KIND(ADAPTATION_KIND),
    .ADAPTATION_VALUE(ADAPTATION_VALUE),
    .HARD_RESET(HARD_RESET),
    .RESET_NONE(RESET_NONE),
    .DELAYED_RESET(DELAYED_RESET),
    .STRICT(STRICT),
    .MEMBRANE_BIAS(MEMBRANE_BIAS),
    .DELAYED_CURRENT(DELAYED_CURRENT),
    .CLEARS_CURRENT(CLEARS_CURRENT),
    .INTEGRATES_REFRACTORY(INTEGRATES_REFRACTORY),
    .REFRACTORY_STEPS(REFRACTORY_STEPS),
    .SPIKING(SPIKING),
    .MODULATES(MODULATES),
    .GAIN(GAIN),
    .ADDITION(ADDITION),
    .ADDITION_BITS(ADDITION_BITS),
    .PARAMETER_FILE(PARAMETER_FILE),
    .MEMORY_STYLE(STATE_STYLE)
  ) u_neuron_update (
    .clk_i,
    .rst_ni,
    .sums_valid_i(sums_valid),
    .sums_last_i(sums_last),
    .sums_sample_end_i(sums_sample_end),
    .sums_initialise_i(sums_initialise),
    .sums_i(sums),
    .gain_read_o,
    .gain_last_o,
    .gain_i,
    .addition_read_o,
    .addition_last_o,
    .addition_i,
    .word_valid_o(word_valid),
    .word_last_o(word_last),
    .word_sample_end_o(word_sample_end),
    .spikes_o(spikes),
    .membranes_o(membranes),
    .saturated_o
  );

  assign word_valid_o = MODULATES && word_valid;
  assign word_last_o = word_last;
  assign membranes_o = membranes;

  // --- output --------------------------------------------------------------------------------------------------------------
  if (MODULATES) begin : gen_astrocyte
    logic unused_output;
    assign unused_output = &{1'b0, word_sample_end, spikes, m_axis_tready};
    assign credit_return = 1'b0;
    assign m_axis_tvalid = 1'b0;
    assign m_axis_tdata = '0;
    assign m_axis_tlast = 1'b0;
    assign m_axis_tuser = 1'b0;
  end else if (SPIKING) begin : gen_spikes
    nhw_spike_output #(
      .UPDATE_LANES(UPDATE_LANES),
      .QUEUE_WORDS(QueueWords),
      .POSITIONS(POSITIONS),
      .WORDS_PER_POSITION(WORDS_PER_POSITION),
      .MEMORY_STYLE(STATE_STYLE)
    ) u_spike_output (
      .clk_i,
      .rst_ni,
      .word_valid_i(word_valid),
      .word_last_i(word_last),
      .word_sample_end_i(word_sample_end),
      .spikes_i(spikes),
      .credit_return_o(credit_return),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata,
      .m_axis_tlast,
      .m_axis_tuser
    );
  end else begin : gen_membranes
    nhw_membrane_output #(
      .UPDATE_LANES(UPDATE_LANES),
      .NEURONS(NEURONS),
      .MEMBRANE_BITS(MEMBRANE_BITS),
      .QUEUE_WORDS(QueueWords),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_membrane_output (
      .clk_i,
      .rst_ni,
      .word_valid_i(word_valid),
      .membranes_i(membranes),
      .credit_return_o(credit_return),
      .m_axis_tvalid,
      .m_axis_tready,
      .m_axis_tdata,
      .m_axis_tlast,
      .m_axis_tuser
    );
    logic unused_spikes;
    assign unused_spikes = &{1'b0, word_sample_end, spikes};
  end
endmodule
