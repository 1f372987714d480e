// SPDX-License-Identifier: Apache-2.0
// One population that learns: events of its input in, its own spikes out, weights that change by traces and an astrocyte. Structure only.
//
//   flags, neurons -> nhw_learning_traces, nhw_learning_reach -> nhw_learning_scan -> nhw_learning_rows -> nhw_learning_pass -> nhw_learning_accumulator
//        ^                                                                                  ^------- weights -------'                        |
//        '----------------------------------------------- nhw_neuron_update <----------------------- sums of the next step -------------------'
//
// Every synapse has a delay of one step, so that one visit of a row does both: it changes the weights with the spikes of this step, and delivers the changed weights to the
// next step where its source has spiked. LANES synapses a clock; a source has as many rows as its busiest lane has synapses. Sources are numbered by words of UPDATE_LANES: the population
// first, then the input.
//
// Handshake: AXI-Stream on both sides, see docs/hardware.md. Latency: about 15 clocks from the barrier of a step to its first output beat.
module nhw_learning_core #(
  parameter int unsigned LAYER_ID = 0,
  parameter int unsigned INPUTS = 8,
  parameter int unsigned NEURONS = 16,
  parameter int unsigned LANES = 8,
  parameter int unsigned UPDATE_LANES = 4,
  parameter int unsigned ROWS = 32,
  parameter int unsigned COUNT_BITS = 3,          // of the largest number of rows of one source
  parameter int unsigned WEIGHT_BITS = 12,
  parameter int unsigned HIDDEN_BITS = 4,
  parameter int unsigned INPUT_LIMIT = 1536,      // largest |weight| of a source of the input
  parameter int unsigned POPULATION_LIMIT = 1536, // of a neuron of the population
  parameter bit INPUT_CROSSES = 1'b1,             // weights of both signs
  parameter bit POPULATION_CROSSES = 1'b0,
  parameter int unsigned TRACE_BITS = 11,
  parameter int unsigned TRACE_DECAY = 390,
  parameter int unsigned TRACE_INCREMENT = 102,
  parameter int unsigned POTENTIATION = 614,
  parameter int unsigned AMOUNT_SHIFT = 13,
  parameter int unsigned ASTROCYTE_BITS = 24,
  parameter int unsigned ASTROCYTE_GUARD = 7,
  parameter int unsigned ASTROCYTE_LEAK = 7,
  parameter int ASTROCYTE_GAIN = 1000,
  parameter int ASTROCYTE_BIAS = 80000,
  parameter int ASTROCYTE_INITIAL = 80000,
  parameter int unsigned WEIGHT_EXPONENT = 0,
  parameter int unsigned ACCUMULATOR_BITS = 14,
  parameter int unsigned CURRENT_BITS = 18,
  parameter int unsigned MEMBRANE_BITS = 20,
  parameter int unsigned DECAY_KIND = 1,
  parameter int unsigned DECAY_VALUE = 6,
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
  parameter WEIGHT_FILE = "",
  parameter TARGET_FILE = "",
  parameter SOURCE_FILE = "",
  parameter CLASS_FILE = "",
  parameter REACH_FILE = "",
  parameter PARAMETER_FILE = "",
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned RowBits = (ROWS > 1) ? $clog2(ROWS) : 1,
  localparam int unsigned SaturatedBits = $clog2(UPDATE_LANES + 1)
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [15:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  input  logic        s_axis_tuser,

  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [31:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser,

  input  logic                              learning_i,
  output logic signed [ASTROCYTE_BITS-1:0]  astrocyte_o,

  // the host at the weights, see nhw_learning_registers
  input  logic                              host_wants_i,
  output logic                              host_may_o,
  input  logic [RowBits-1:0]                host_row_i,
  input  logic                              host_write_i,
  input  logic [LANES-1:0][WEIGHT_BITS-1:0] host_weights_i,
  output logic [LANES-1:0][WEIGHT_BITS-1:0] host_weights_o,

  // observed: an input event, a source visited, a row visited, a clock of a pass, neurons of which a state has saturated
  output logic event_o,
  output logic source_o,
  output logic row_o,
  output logic passing_o,
  output logic [SaturatedBits-1:0] saturated_o
);
  localparam int unsigned Groups = (NEURONS + LANES - 1) / LANES;
  localparam int unsigned Parts = LANES / UPDATE_LANES;
  localparam int unsigned Drains = (NEURONS + UPDATE_LANES - 1) / UPDATE_LANES;
  localparam int unsigned InputWords = (INPUTS + UPDATE_LANES - 1) / UPDATE_LANES;
  localparam int unsigned Words = Drains + InputWords;
  localparam int unsigned GroupBits = (Groups > 1) ? $clog2(Groups) : 1;
  localparam int unsigned PartBits = (Parts > 1) ? $clog2(Parts) : 1;
  localparam int unsigned InputBits = (InputWords > 1) ? $clog2(InputWords) : 1;
  localparam int unsigned WordBits = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned QueueWords = (Drains > 4) ? 1 << $clog2(Drains) : 4;
  localparam int unsigned AmountBits = WEIGHT_BITS + 1;
  localparam int unsigned SeenBits = WEIGHT_BITS - HIDDEN_BITS;
  localparam int unsigned SurplusBits = $clog2(((NEURONS > INPUTS) ? NEURONS : INPUTS) + 1) + 1;
  localparam int unsigned AmplitudeBits = (ASTROCYTE_BITS > ASTROCYTE_GUARD + 2) ? ASTROCYTE_BITS - ASTROCYTE_GUARD : 2;

  if (LANES < 1 || UPDATE_LANES < 1 || LANES % UPDATE_LANES != 0) begin : gen_bad_lanes
    $error("nhw_learning_core: UPDATE_LANES must divide LANES");
  end
  if (SeenBits < 2 || SeenBits > 8) begin : gen_bad_weight_bits
    $error("nhw_learning_core: WEIGHT_BITS - HIDDEN_BITS must be 2 to 8");
  end
  if (!SPIKING) begin : gen_bad_spiking
    $error("nhw_learning_core: SPIKING must be 1");
  end

  // --- control -------------------------------------------------------------------------------------------------------------
  logic step_closed, step_sample_end, step_take, word_valid, word_last, word_sample_end, word_left;
  logic drain, drain_last, input_read, initialise, sample_end, learning, swept, scan_start, pass_done, step_done, reach_done;
  logic [GroupBits-1:0] drain_group;
  logic [PartBits-1:0] drain_part;
  logic [InputBits-1:0] input_word;

  nhw_learning_control #(
    .DRAINS(Drains),
    .PARTS(Parts),
    .GROUPS(Groups),
    .INPUT_WORDS(InputWords)
  ) u_control (
    .clk_i,
    .rst_ni,
    .learning_i,
    .host_wants_i,
    .host_may_o,
    .step_closed_i(step_closed),
    .step_sample_end_i(step_sample_end),
    .step_take_o(step_take),
    .word_queued_i(word_valid),
    .word_last_i(word_last),
    .word_left_i(word_left),
    .drain_o(drain),
    .drain_last_o(drain_last),
    .drain_group_o(drain_group),
    .drain_part_o(drain_part),
    .input_read_o(input_read),
    .input_word_o(input_word),
    .initialise_o(initialise),
    .sample_end_o(sample_end),
    .learning_o(learning),
    .swept_i(swept),
    .reach_done_i(reach_done),
    .scan_start_o(scan_start),
    .pass_done_i(pass_done),
    .passing_o,
    .step_done_o(step_done)
  );

  // --- spikes of the step: of the neurons, then of the input ---------------------------------------------------------------
  logic [UPDATE_LANES-1:0] spikes, flags;
  logic flags_valid_q;

  nhw_learning_flags #(
    .INPUTS(INPUTS),
    .UPDATE_LANES(UPDATE_LANES),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_flags (
    .clk_i,
    .rst_ni,
    .s_axis_tvalid,
    .s_axis_tready,
    .s_axis_tdata,
    .s_axis_tlast,
    .s_axis_tuser,
    .closed_o(step_closed),
    .sample_end_o(step_sample_end),
    .take_i(step_take),
    .read_i(input_read),
    .clear_i(initialise),
    .word_i(input_word),
    .flags_o(flags)
  );
  always_ff @(posedge clk_i) flags_valid_q <= rst_ni && input_read;

  // --- traces, and what they do to weights -----------------------------------------------------------------------------------
  logic known_valid;
  logic [Words*UPDATE_LANES-1:0] reached;
  logic [WordBits-1:0] known_word;
  logic [UPDATE_LANES-1:0] known_spikes, known_inhibitory, known_learns;
  logic [UPDATE_LANES-1:0][AmountBits-1:0] known_potentiation, known_depression, known_change;
  logic signed [SurplusBits-1:0] surplus;
  logic signed [AmplitudeBits-1:0] amplitude;

  nhw_learning_traces #(
    .WORDS(Words),
    .POPULATION_WORDS(Drains),
    .UPDATE_LANES(UPDATE_LANES),
    .TRACE_BITS(TRACE_BITS),
    .DECAY(TRACE_DECAY),
    .INCREMENT(TRACE_INCREMENT),
    .POTENTIATION(POTENTIATION),
    .AMPLITUDE_BITS(AmplitudeBits),
    .SHIFT(AMOUNT_SHIFT),
    .AMOUNT_BITS(AmountBits),
    .SURPLUS_BITS(SurplusBits),
    .CLASS_FILE(CLASS_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_traces (
    .clk_i,
    .rst_ni,
    .in_valid_i(initialise || word_valid || flags_valid_q),
    .in_initialise_i(initialise),
    .in_sample_end_i(sample_end),
    .in_spikes_i(word_valid ? spikes : flags_valid_q ? flags : '0),
    .amplitude_i(amplitude),
    .out_valid_o(known_valid),
    .out_word_o(known_word),
    .out_spikes_o(known_spikes),
    .out_inhibitory_o(known_inhibitory),
    .out_learns_o(known_learns),
    .out_potentiation_o(known_potentiation),
    .out_depression_o(known_depression),
    .out_change_o(known_change),
    .swept_o(swept),
    .surplus_o(surplus)
  );

  nhw_learning_reach #(
    .POPULATION_WORDS(Drains),
    .SOURCES(Words * UPDATE_LANES),
    .UPDATE_LANES(UPDATE_LANES),
    .REACH_FILE(REACH_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_reach (
    .clk_i,
    .rst_ni,
    .clear_i(step_take),
    .word_valid_i(word_valid),
    .word_last_i(word_last),
    .spikes_i(spikes),
    .reached_o(reached),
    .done_o(reach_done)
  );

  nhw_learning_depression #(
    .STATE_BITS(ASTROCYTE_BITS),
    .SURPLUS_BITS(SurplusBits),
    .AMPLITUDE_BITS(AmplitudeBits),
    .GUARD(ASTROCYTE_GUARD),
    .LEAK(ASTROCYTE_LEAK),
    .GAIN(ASTROCYTE_GAIN),
    .BIAS(ASTROCYTE_BIAS),
    .INITIAL(ASTROCYTE_INITIAL)
  ) u_depression (
    .clk_i,
    .rst_ni,
    .update_i(swept),
    .sample_end_i(sample_end),
    .surplus_i(surplus),
    .state_o(astrocyte_o),
    .amplitude_o(amplitude)
  );

  // --- sources and their rows ------------------------------------------------------------------------------------------------
  localparam int unsigned SideBits = AmountBits + 4;
  localparam int unsigned SourceBits = (Words * UPDATE_LANES > 1) ? $clog2(Words * UPDATE_LANES) : 1;
  logic source_valid, source_ready, source_spike, source_inhibitory, source_learns, scan_done, rows_done;
  logic [SourceBits-1:0] source;
  logic [AmountBits-1:0] source_change;
  logic row_valid;
  logic [RowBits-1:0] row;
  logic [SideBits-1:0] side;

  assign pass_done = scan_done && rows_done;
  assign event_o = s_axis_tvalid && s_axis_tready && !s_axis_tlast;
  assign source_o = source_valid && source_ready;
  assign row_o = row_valid;

  nhw_learning_scan #(
    .WORDS(Words),
    .UPDATE_LANES(UPDATE_LANES),
    .AMOUNT_BITS(AmountBits),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_scan (
    .clk_i,
    .rst_ni,
    .write_valid_i(known_valid),
    .write_word_i(known_word),
    .write_spikes_i(known_spikes),
    .write_inhibitory_i(known_inhibitory),
    .write_learns_i(known_learns),
    .write_change_i(known_change),
    .start_i(scan_start),
    .learning_i(learning),
    .reached_i(reached),
    .done_o(scan_done),
    .source_valid_o(source_valid),
    .source_ready_i(source_ready),
    .source_o(source),
    .source_spike_o(source_spike),
    .source_inhibitory_o(source_inhibitory),
    .source_learns_o(source_learns),
    .source_change_o(source_change)
  );

  nhw_learning_rows #(
    .SOURCES(Words * UPDATE_LANES),
    .ROWS(ROWS),
    .COUNT_BITS(COUNT_BITS),
    .SIDE_BITS(SideBits),
    .SOURCE_FILE(SOURCE_FILE)
  ) u_rows (
    .clk_i,
    .rst_ni,
    .source_valid_i(source_valid),
    .source_ready_o(source_ready),
    .source_i(source),
    .side_i({32'(source) < Drains * UPDATE_LANES, source_spike, source_inhibitory, source_learns, source_change}),
    .row_valid_o(row_valid),
    .row_o(row),
    .side_o(side),
    .done_o(rows_done)
  );

  // --- rows: new weights, and what they deliver ----------------------------------------------------------------------------
  logic [LANES-1:0] add6, carry7;
  logic [LANES-1:0][GroupBits-1:0] groups6;
  logic [LANES-1:0][SeenBits-1:0] seen7;

  nhw_learning_pass #(
    .ROWS(ROWS),
    .LANES(LANES),
    .UPDATE_LANES(UPDATE_LANES),
    .NEURONS(NEURONS),
    .WORDS(Words),
    .WEIGHT_BITS(WEIGHT_BITS),
    .HIDDEN_BITS(HIDDEN_BITS),
    .INPUT_LIMIT(INPUT_LIMIT),
    .POPULATION_LIMIT(POPULATION_LIMIT),
    .INPUT_CROSSES(INPUT_CROSSES),
    .POPULATION_CROSSES(POPULATION_CROSSES),
    .WEIGHT_FILE(WEIGHT_FILE),
    .TARGET_FILE(TARGET_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_pass (
    .clk_i,
    .rst_ni,
    .known_valid_i(known_valid),
    .known_word_i(known_word),
    .known_spikes_i(known_spikes),
    .known_potentiation_i(known_potentiation),
    .known_depression_i(known_depression),
    .row_valid_i(row_valid),
    .row_i(row),
    .side_i(side),
    .sample_end_i(sample_end),
    .step_done_i(step_done),
    .host_may_i(host_may_o),
    .host_row_i,
    .host_write_i,
    .host_weights_i,
    .host_weights_o,
    .add_o(add6),
    .groups_o(groups6),
    .weights_o(seen7),
    .carries_o(carry7)
  );

  // --- sums, neurons, output -------------------------------------------------------------------------------------------------
  logic sums_valid, sums_last, sums_sample_end, sums_initialise;
  logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums;

  nhw_learning_accumulator #(
    .LANES(LANES),
    .UPDATE_LANES(UPDATE_LANES),
    .GROUPS(Groups),
    .WEIGHT_BITS(SeenBits),
    .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_accumulator (
    .clk_i,
    .rst_ni,
    .add_i(add6),
    .groups_i(groups6),
    .weights_i(seen7),
    .carries_i(carry7),
    .drain_i(drain),
    .drain_last_i(drain_last),
    .drain_sample_end_i(sample_end),
    .drain_initialise_i(initialise),
    .drain_group_i(drain_group),
    .drain_part_i(drain_part),
    .sums_valid_o(sums_valid),
    .sums_last_o(sums_last),
    .sums_sample_end_o(sums_sample_end),
    .sums_initialise_o(sums_initialise),
    .sums_o(sums)
  );

  // no astrocyte modulates these neurons: theirs sets the depression
  logic unused_gain_read, unused_gain_last, unused_addition_read, unused_addition_last;
  logic [UPDATE_LANES*MEMBRANE_BITS-1:0] unused_membranes;
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
    .PARAMETER_FILE(PARAMETER_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_neuron_update (
    .clk_i,
    .rst_ni,
    .sums_valid_i(sums_valid),
    .sums_last_i(sums_last),
    .sums_sample_end_i(sums_sample_end),
    .sums_initialise_i(sums_initialise),
    .sums_i(sums),
    .gain_read_o(unused_gain_read),
    .gain_last_o(unused_gain_last),
    .gain_i('0),
    .addition_read_o(unused_addition_read),
    .addition_last_o(unused_addition_last),
    .addition_i('0),
    .word_valid_o(word_valid),
    .word_last_o(word_last),
    .word_sample_end_o(word_sample_end),
    .spikes_o(spikes),
    .membranes_o(unused_membranes),
    .saturated_o
  );

  nhw_spike_output #(
    .UPDATE_LANES(UPDATE_LANES),
    .QUEUE_WORDS(QueueWords),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_spike_output (
    .clk_i,
    .rst_ni,
    .word_valid_i(word_valid),
    .word_last_i(word_last),
    .word_sample_end_i(word_sample_end),
    .spikes_i(spikes),
    .credit_return_o(word_left),
    .m_axis_tvalid,
    .m_axis_tready,
    .m_axis_tdata,
    .m_axis_tlast,
    .m_axis_tuser
  );
endmodule
