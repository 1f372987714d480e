// SPDX-License-Identifier: Apache-2.0
// One step of all neurons of a layer: UPDATE_LANES pipelines, the state memories and the parameter memory.
//
// Word w (neurons w*UPDATE_LANES ...) of a step comes with the w-th `sums_valid_i` of that step. After the last step of a sample,
// and while initialising, the states become 0. With SPIKING the spikes of every word leave at `spikes_o`; without,
// the membranes leave at `membranes_o` in the last step of a sample. Neurons beyond NEURONS never spike.
//
// MODULATES: the membranes of every word of every step leave, after the clears, those of the initialisation among them.
// GAIN, ADDITION: `gain_read_o` (`addition_read_o`) asks for the gains (additions to the thresholds) of the next word, `*_last_o` tells the last word
// of the step; they are there 2 clocks later.
//
// `saturated_o`: of how many neurons of a word a state has saturated, 2 clocks after DoneClock; 0 in all other clocks, and while initialising.
//
// Latency: `word_valid_o` follows `sums_valid_i` by DoneClock + 1 clocks, 5 to 11. One word a clock, no stall. The same word must not
// come again within 8 clocks (the step control sees to that): its states would not be written yet.
//
// PARAMETER_FILE: WORDS words of the fields that the neuron uses, see docs/hardware.md.
module nhw_neuron_update #(
  parameter int unsigned LAYER_ID = 0,
  parameter int unsigned NEURONS = 16,
  parameter int unsigned UPDATE_LANES = 2,
  parameter int unsigned ACCUMULATOR_BITS = 12,
  parameter int unsigned CURRENT_BITS = 16,
  parameter int unsigned MEMBRANE_BITS = 16,
  parameter int unsigned WEIGHT_EXPONENT = 0,
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
  parameter bit MODULATES = 1'b0,
  parameter bit GAIN = 1'b0,
  parameter bit ADDITION = 1'b0,
  parameter int unsigned ADDITION_BITS = 15,
  parameter PARAMETER_FILE = "",
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned SaturatedBits = $clog2(UPDATE_LANES + 1)
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic sums_valid_i,
  input  logic sums_last_i,
  input  logic sums_sample_end_i,
  input  logic sums_initialise_i,
  input  logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_i,

  output logic gain_read_o,
  output logic gain_last_o,
  input  logic [UPDATE_LANES*10-1:0] gain_i,
  output logic addition_read_o,
  output logic addition_last_o,
  input  logic [UPDATE_LANES*ADDITION_BITS-1:0] addition_i,

  output logic word_valid_o,       // SPIKING: a word of spikes; otherwise a word of membranes at the end of a sample
  output logic word_last_o,        // last word of the step
  output logic word_sample_end_o,
  output logic [UPDATE_LANES-1:0] spikes_o,
  output logic [UPDATE_LANES*MEMBRANE_BITS-1:0] membranes_o,
  output logic [SaturatedBits-1:0] saturated_o
);
  localparam int unsigned Words = (NEURONS + UPDATE_LANES - 1) / UPDATE_LANES;
  localparam int unsigned WordBits = (Words > 1) ? $clog2(Words) : 1;

  // --- which states and parameters there are ---------------------------------------------------------------------------
  localparam bit HasCurrent = SYNAPSE_KIND != 0;
  localparam bit Adaptive = SPIKING && ADAPTATION_KIND != 0;
  localparam bit SoftDelayed = SPIKING && DELAYED_RESET && !HARD_RESET && !RESET_NONE;
  // a delayed hard reset is done when v is stored, so that its pending flag is only reported
  localparam bit HasRefractory = SPIKING && (DELAYED_RESET ? (SoftDelayed || CLEARS_CURRENT) : REFRACTORY_STEPS > 0);
  localparam int unsigned RefractoryBits = (REFRACTORY_STEPS > 0) ? $clog2(REFRACTORY_STEPS + 1) : 1;
  localparam int unsigned AdaptationBits = MEMBRANE_BITS - 1;  // never negative

  // fields of the parameters of one neuron; in a word, each field is that of all lanes, from the least significant bit
  localparam int unsigned FactorBits = 13;
  localparam int unsigned BiasField = 0;
  localparam int unsigned ThresholdField = BiasField + CURRENT_BITS;
  localparam int unsigned ResetField = ThresholdField + (SPIKING ? MEMBRANE_BITS : 0);
  localparam int unsigned DecayField = ResetField + ((SPIKING && HARD_RESET) ? MEMBRANE_BITS : 0);
  localparam int unsigned SynapseField = DecayField + ((DECAY_KIND == 4) ? FactorBits : 0);
  localparam int unsigned AdaptationField = SynapseField + ((SYNAPSE_KIND == 4) ? FactorBits : 0);
  localparam int unsigned StrengthField = AdaptationField + ((Adaptive && ADAPTATION_KIND == 4) ? FactorBits : 0);
  localparam int unsigned ParameterBits = StrengthField + (Adaptive ? MEMBRANE_BITS : 0);

  // --- the schedule of nhw_lif_step ------------------------------------------------------------------------------------
  // Clock 0 is the one of `sums_valid_i`. The membrane meets what is added to it at DriveClock; everything that is read from a
  // memory is there in its clock at the earliest 1, so that Lead clocks have to pass before DriveClock.
  localparam int unsigned DecayClocks = (DECAY_KIND == 1) ? 1 : (DECAY_KIND == 2 || DECAY_KIND == 4) ? 2 : 0;
  localparam int unsigned SynapseClocks = (SYNAPSE_KIND == 1) ? 1 : (SYNAPSE_KIND == 2 || SYNAPSE_KIND == 4) ? 2 : 0;
  localparam int unsigned AdaptationClocks =
      (ADAPTATION_KIND == 1) ? 1 : (ADAPTATION_KIND == 2 || ADAPTATION_KIND == 4) ? 2 : 0;
  // an addition to the threshold is asked for two clocks before it is there, and added in another
  localparam bit HasAddition = SPIKING && ADDITION;
  localparam int unsigned AdditionClocks = HasAddition ? 1 : 0;
  localparam int unsigned OffsetClocks = (MEMBRANE_BIAS || SoftDelayed) ? 1 : 0;
  localparam int unsigned OffsetLead = SoftDelayed ? (Adaptive ? 3 : 2) + (HasAddition ? 2 : 0) : OffsetClocks;
  localparam int unsigned AdaptationLead = !Adaptive ? 0 : HasAddition ? AdaptationClocks + 1 : (AdaptationClocks == 2) ? 1 : 0;
  localparam int unsigned OtherLead = (OffsetLead > AdaptationLead) ? OffsetLead : AdaptationLead;
  localparam int unsigned Lead = (DecayClocks > OtherLead) ? DecayClocks : OtherLead;

  // sum and gain meet in SumClock; the input current is there InputClocks later
  localparam int unsigned SumClock = GAIN ? 2 : 1;
  localparam int unsigned InputClocks = GAIN ? 2 : 1;
  localparam int unsigned InputClock = SumClock + InputClocks;

  // the clock in which input current and decayed current meet; or, without a synaptic current, the input current is used
  localparam int unsigned EarliestDrive = 1 + Lead - OffsetClocks;
  localparam int unsigned EarliestSynapse = (EarliestDrive > 3 + SynapseClocks) ? EarliestDrive - 2 : 1 + SynapseClocks;
  localparam int unsigned EarliestAdd = DELAYED_CURRENT ? EarliestDrive + SynapseClocks
                                        : HasCurrent ? EarliestSynapse : EarliestDrive;
  localparam int unsigned CurrentAddClock = (EarliestAdd > InputClock) ? EarliestAdd : InputClock;
  localparam int unsigned CurrentReadClock = CurrentAddClock - SynapseClocks;
  localparam int unsigned CurrentClock = HasCurrent ? CurrentAddClock + 2 : CurrentAddClock;
  // the current of the step before is there at once; the step is done no earlier than its own current
  localparam int unsigned EarlyDrive = CurrentReadClock + OffsetClocks;
  localparam int unsigned DelayedDrive = (EarlyDrive + 3 > CurrentClock) ? EarlyDrive : CurrentClock - 3;
  localparam int unsigned DriveClock = DELAYED_CURRENT ? DelayedDrive : CurrentClock + OffsetClocks;

  localparam int unsigned MembraneReadClock = DriveClock - DecayClocks;
  localparam int unsigned CompareClock = DriveClock + 2;
  localparam int unsigned DoneClock = SPIKING ? CompareClock + 1 : CompareClock;
  localparam int unsigned OffsetClock = DriveClock - OffsetClocks;  // the offset is added
  localparam int unsigned BiasClock = !MEMBRANE_BIAS ? InputClock - 1 : SoftDelayed ? OffsetClock - 1 : OffsetClock;
  // with an adaptation, in time for decay, rise and saturation before the spike is known
  localparam int unsigned ThresholdClock = SoftDelayed ? OffsetClock - (Adaptive ? 2 : 1)
                                           : Adaptive ? CompareClock - 1 - AdaptationClocks : CompareClock;
  localparam int unsigned BaseClock = ThresholdClock - AdditionClocks;  // threshold and addition
  localparam int unsigned ThetaClock = Adaptive ? ThresholdClock + 1 : ThresholdClock;
  localparam int unsigned StrengthClock = ThresholdClock + AdaptationClocks;
  localparam int unsigned RefractoryReadClock = SoftDelayed ? ThetaClock : CLEARS_CURRENT ? CurrentClock : DoneClock;

  // A state may be read again one clock after it was written. Counted from its last read this is, at most, 5 + DecayClocks for the
  // membrane, 4 + SynapseClocks for the current, 7 for the refractory count, and 8 for the adaptation: never more than 8.

  // --- words and flags on their way ------------------------------------------------------------------------------------
  logic [WordBits-1:0] word_q;
  logic [DoneClock:0] valid, last, sample_end, initialise;
  logic [DoneClock:0][WordBits-1:0] word;
  logic [DoneClock:1] valid_q, last_q, sample_end_q, initialise_q;
  logic [DoneClock:1][WordBits-1:0] word_pipeline_q;

  assign valid = {valid_q, sums_valid_i};
  assign last = {last_q, sums_last_i};
  assign sample_end = {sample_end_q, sums_sample_end_i};
  assign initialise = {initialise_q, sums_initialise_i};
  assign word = {word_pipeline_q, word_q};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      word_q <= '0;
      valid_q <= '0;
    end else begin
      if (sums_valid_i) word_q <= sums_last_i ? '0 : word_q + 1'b1;
      valid_q <= valid[DoneClock-1:0];
    end
    last_q <= last[DoneClock-1:0];
    sample_end_q <= sample_end[DoneClock-1:0];
    initialise_q <= initialise[DoneClock-1:0];
    word_pipeline_q <= word[DoneClock-1:0];
  end

  // Not every clock of the pipelines above is looked at.
  /* verilator lint_off UNUSEDSIGNAL */
  logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums;
  /* verilator lint_on UNUSEDSIGNAL */
  nhw_delay #(
    .BITS(UPDATE_LANES * ACCUMULATOR_BITS),
    .CLOCKS(SumClock)
  ) u_sums (
    .clk_i,
    .data_i(sums_i),
    .data_o(sums)
  );

  // --- what an astrocyte modulates -----------------------------------------------------------------------------------------
  if (GAIN) begin : gen_gain
    assign gain_read_o = valid[SumClock-2] && !initialise[SumClock-2];
    assign gain_last_o = last[SumClock-2];
  end else begin : gen_no_gain
    assign gain_read_o = 1'b0;
    assign gain_last_o = 1'b0;
  end
  if (HasAddition) begin : gen_addition
    assign addition_read_o = valid[BaseClock-2] && !initialise[BaseClock-2];
    assign addition_last_o = last[BaseClock-2];
  end else begin : gen_no_addition
    assign addition_read_o = 1'b0;
    assign addition_last_o = 1'b0;
  end

  // --- parameters: each field is read in the clock in which it is needed ---------------------------------------------------
  logic [UPDATE_LANES-1:0][CURRENT_BITS-1:0] bias;
  nhw_parameter_memory #(
    .WORDS(Words),
    .WORD_BITS(UPDATE_LANES * ParameterBits),
    .FIRST(UPDATE_LANES * BiasField),
    .BITS(UPDATE_LANES * CURRENT_BITS),
    .PARAMETER_FILE(PARAMETER_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_bias (
    .clk_i,
    .address_i(word[BiasClock-1]),
    .data_o(bias)
  );

  logic [UPDATE_LANES-1:0][MEMBRANE_BITS-1:0] threshold;
  if (SPIKING) begin : gen_threshold
    nhw_parameter_memory #(
      .WORDS(Words),
      .WORD_BITS(UPDATE_LANES * ParameterBits),
      .FIRST(UPDATE_LANES * ThresholdField),
      .BITS(UPDATE_LANES * MEMBRANE_BITS),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_threshold (
      .clk_i,
      .address_i(word[BaseClock-1]),
      .data_o(threshold)
    );
  end else begin : gen_no_threshold
    assign threshold = '0;
  end

  logic [UPDATE_LANES-1:0][MEMBRANE_BITS-1:0] v_reset;
  if (SPIKING && HARD_RESET) begin : gen_v_reset
    nhw_parameter_memory #(
      .WORDS(Words),
      .WORD_BITS(UPDATE_LANES * ParameterBits),
      .FIRST(UPDATE_LANES * ResetField),
      .BITS(UPDATE_LANES * MEMBRANE_BITS),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_v_reset (
      .clk_i,
      .address_i(word[CompareClock-1]),
      .data_o(v_reset)
    );
  end else begin : gen_no_v_reset
    assign v_reset = '0;
  end

  logic [UPDATE_LANES-1:0][FactorBits-1:0] decay_factor;
  if (DECAY_KIND == 4) begin : gen_decay_factor
    nhw_parameter_memory #(
      .WORDS(Words),
      .WORD_BITS(UPDATE_LANES * ParameterBits),
      .FIRST(UPDATE_LANES * DecayField),
      .BITS(UPDATE_LANES * FactorBits),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_decay_factor (
      .clk_i,
      .address_i(word[MembraneReadClock-1]),
      .data_o(decay_factor)
    );
  end else begin : gen_no_decay_factor
    assign decay_factor = '0;
  end

  logic [UPDATE_LANES-1:0][FactorBits-1:0] synapse_factor;
  if (SYNAPSE_KIND == 4) begin : gen_synapse_factor
    nhw_parameter_memory #(
      .WORDS(Words),
      .WORD_BITS(UPDATE_LANES * ParameterBits),
      .FIRST(UPDATE_LANES * SynapseField),
      .BITS(UPDATE_LANES * FactorBits),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_synapse_factor (
      .clk_i,
      .address_i(word[CurrentReadClock-1]),
      .data_o(synapse_factor)
    );
  end else begin : gen_no_synapse_factor
    assign synapse_factor = '0;
  end

  logic [UPDATE_LANES-1:0][FactorBits-1:0] adaptation_factor;
  if (Adaptive && ADAPTATION_KIND == 4) begin : gen_adaptation_factor
    nhw_parameter_memory #(
      .WORDS(Words),
      .WORD_BITS(UPDATE_LANES * ParameterBits),
      .FIRST(UPDATE_LANES * AdaptationField),
      .BITS(UPDATE_LANES * FactorBits),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_adaptation_factor (
      .clk_i,
      .address_i(word[ThresholdClock-1]),
      .data_o(adaptation_factor)
    );
  end else begin : gen_no_adaptation_factor
    assign adaptation_factor = '0;
  end

  logic [UPDATE_LANES-1:0][MEMBRANE_BITS-1:0] strength;
  if (Adaptive) begin : gen_strength
    nhw_parameter_memory #(
      .WORDS(Words),
      .WORD_BITS(UPDATE_LANES * ParameterBits),
      .FIRST(UPDATE_LANES * StrengthField),
      .BITS(UPDATE_LANES * MEMBRANE_BITS),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_strength (
      .clk_i,
      .address_i(word[StrengthClock-1]),
      .data_o(strength)
    );
  end else begin : gen_no_strength
    assign strength = '0;
  end

  // --- states ------------------------------------------------------------------------------------------------------------
  logic [UPDATE_LANES-1:0][MEMBRANE_BITS-1:0] membrane, membrane_now, membrane_next;
  logic [UPDATE_LANES-1:0][CURRENT_BITS-1:0] current, current_now, current_next;
  logic [UPDATE_LANES-1:0][RefractoryBits-1:0] refractory, refractory_now, refractory_next;
  logic [UPDATE_LANES-1:0][AdaptationBits-1:0] adaptation, adaptation_now, adaptation_next;
  logic [UPDATE_LANES-1:0] spikes, saturated, saturated_q;
  logic clear, clear_current;

  assign clear = sample_end[DoneClock] || initialise[DoneClock];
  assign clear_current = sample_end[CurrentClock] || initialise[CurrentClock];

  nhw_memory #(
    .WORDS(Words),
    .BITS(UPDATE_LANES * MEMBRANE_BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_membrane (
    .clk_i,
    .write_enable_i(valid[DoneClock]),
    .write_address_i(word[DoneClock]),
    .write_data_i(membrane_next),
    .read_enable_i(1'b1),
    .read_clear_i(1'b0),
    .read_address_i(word[MembraneReadClock-1]),
    .read_data_o(membrane)
  );

  if (HasCurrent) begin : gen_current
    nhw_memory #(
      .WORDS(Words),
      .BITS(UPDATE_LANES * CURRENT_BITS),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_current (
      .clk_i,
      .write_enable_i(valid[CurrentClock]),
      .write_address_i(word[CurrentClock]),
      .write_data_i(current_next),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(word[CurrentReadClock-1]),
      .read_data_o(current)
    );
  end else begin : gen_no_current
    logic unused_current;
    assign unused_current = &{1'b0, current_next};
    assign current = '0;
  end

  if (HasRefractory) begin : gen_refractory
    nhw_memory #(
      .WORDS(Words),
      .BITS(UPDATE_LANES * RefractoryBits),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_refractory (
      .clk_i,
      .write_enable_i(valid[DoneClock]),
      .write_address_i(word[DoneClock]),
      .write_data_i(refractory_next),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(word[RefractoryReadClock-1]),
      .read_data_o(refractory)
    );
  end else begin : gen_no_refractory
    logic unused_refractory;
    assign unused_refractory = &{1'b0, refractory_next};
    assign refractory = '0;
  end

  if (Adaptive) begin : gen_adaptation
    nhw_memory #(
      .WORDS(Words),
      .BITS(UPDATE_LANES * AdaptationBits),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_adaptation (
      .clk_i,
      .write_enable_i(valid[DoneClock]),
      .write_address_i(word[DoneClock]),
      .write_data_i(adaptation_next),
      .read_enable_i(1'b1),
      .read_clear_i(1'b0),
      .read_address_i(word[ThresholdClock-1]),
      .read_data_o(adaptation)
    );
  end else begin : gen_no_adaptation
    logic unused_adaptation;
    assign unused_adaptation = &{1'b0, adaptation_next};
    assign adaptation = '0;
  end

  // --- arithmetic ----------------------------------------------------------------------------------------------------------
  for (genvar lane = 0; lane < UPDATE_LANES; lane++) begin : gen_lane
    nhw_lif_step #(
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .CURRENT_BITS(CURRENT_BITS),
      .MEMBRANE_BITS(MEMBRANE_BITS),
      .REFRACTORY_BITS(RefractoryBits),
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
      .GAIN(GAIN),
      .ADDITION(HasAddition),
      .ADDITION_BITS(ADDITION_BITS),
      .REFRACTORY_STEPS(REFRACTORY_STEPS),
      .SPIKING(SPIKING),
      .INPUT_DELAY(CurrentAddClock - InputClock),
      .DRIVE_DELAY(DELAYED_CURRENT ? OffsetClock - CurrentReadClock : 0),
      .HOLD_CLOCKS(DoneClock - MembraneReadClock),
      .THETA_DELAY(CompareClock - ThetaClock),
      .REFRACTORY_CURRENT_DELAY(CLEARS_CURRENT ? CurrentClock - RefractoryReadClock : 0),
      .REFRACTORY_DONE_DELAY(DoneClock - RefractoryReadClock),
      .CURRENT_DONE_DELAY(DoneClock - CurrentClock),
      .ADAPTATION_DELAY(Adaptive ? DoneClock - StrengthClock - 2 : 0)
    ) u_lif_step (
      .clk_i,
      .sum_i(sums[lane*ACCUMULATOR_BITS+:ACCUMULATOR_BITS]),
      .gain_i(gain_i[lane*10+:10]),
      .bias_i(bias[lane]),
      .current_i(current[lane]),
      .synapse_factor_i(synapse_factor[lane]),
      .membrane_i(membrane[lane]),
      .decay_factor_i(decay_factor[lane]),
      .threshold_i(threshold[lane]),
      .addition_i(addition_i[lane*ADDITION_BITS+:ADDITION_BITS]),
      .v_reset_i(v_reset[lane]),
      .refractory_i(refractory[lane]),
      .adaptation_i(adaptation[lane]),
      .adaptation_factor_i(adaptation_factor[lane]),
      .strength_i(strength[lane]),
      .clear_current_i(clear_current),
      .clear_i(clear),
      .current_o(current_now[lane]),
      .current_next_o(current_next[lane]),
      .membrane_o(membrane_now[lane]),
      .membrane_next_o(membrane_next[lane]),
      .refractory_o(refractory_now[lane]),
      .refractory_next_o(refractory_next[lane]),
      .adaptation_o(adaptation_now[lane]),
      .adaptation_next_o(adaptation_next[lane]),
      .spike_o(spikes[lane]),
      .saturated_o(saturated[lane])
    );
  end

  // --- output --------------------------------------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    word_valid_o <= rst_ni && valid[DoneClock] && (MODULATES || (!initialise[DoneClock] && (SPIKING || sample_end[DoneClock])));
    word_last_o <= last[DoneClock];
    word_sample_end_o <= sample_end[DoneClock];
    spikes_o <= spikes;
    membranes_o <= MODULATES ? membrane_next : membrane_now;
  end

  // --- how many states saturate, in registers of its own: nothing waits for it -------------------------------------------
  logic [SaturatedBits-1:0] saturated_count;
  always_comb begin
    saturated_count = '0;
    for (int unsigned lane = 0; lane < UPDATE_LANES; lane++) saturated_count += SaturatedBits'(saturated_q[lane]);
  end

  always_ff @(posedge clk_i) begin
    saturated_q <= saturated & {UPDATE_LANES{rst_ni && valid[DoneClock] && !initialise[DoneClock]}};
    saturated_o <= saturated_count;
  end

  // --- probe: simulation only ------------------------------------------------------------------------------------------
`ifdef NHW_PROBE
  import "DPI-C" function void nhw_probe(input int layer, input int neuron, input int spike, input int membrane,
                                         input int current, input int refractory, input int adaptation);

  logic [UPDATE_LANES-1:0][CURRENT_BITS-1:0] probed_current;
  nhw_delay #(
    .BITS(UPDATE_LANES * CURRENT_BITS),
    .CLOCKS(DoneClock - CurrentClock)
  ) u_probed_current (
    .clk_i,
    .data_i(current_now),
    .data_o(probed_current)
  );

  always_ff @(posedge clk_i) begin
    if (rst_ni && valid[DoneClock] && !initialise[DoneClock]) begin
      for (int unsigned lane = 0; lane < UPDATE_LANES; lane++) begin
        if (32'(word[DoneClock]) * UPDATE_LANES + lane < NEURONS) begin
          nhw_probe(int'(LAYER_ID), int'(32'(word[DoneClock]) * UPDATE_LANES + lane), int'(spikes[lane]),
                    32'($signed(membrane_now[lane])), 32'($signed(probed_current[lane])),
                    int'(32'(refractory_now[lane])), int'(32'(adaptation_now[lane])));
        end
      end
    end
  end
`else
  // `_now` values of all states but the membrane, and the layer's index, are looked at by the probe only
  logic unused_probe;
  assign unused_probe = &{1'b0, LAYER_ID[0], current_now, refractory_now, adaptation_now};
`endif
endmodule
