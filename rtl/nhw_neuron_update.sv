// One step of all neurons of a layer: UPDATE_LANES pipelines, the state memories and the parameter memory.
//
// Word w (neurons w*UPDATE_LANES ...) of a step comes with the w-th `sums_valid_i` of that step. After the last step of a sample,
// and while initialising, the states become 0. With SPIKING the spikes of every word leave at `spikes_o`; without,
// the membranes leave at `membranes_o` in the last step of a sample. Neurons beyond NEURONS never spike.
//
// Latency: `word_valid_o` follows `sums_valid_i` by DoneClock + 1 clocks, 5 to 9. One word a clock, no stall. The same word must not
// come again within 8 clocks (nhw_event_input sees to that): its states would not be written yet.
//
// PARAMETER_FILE: WORDS words, lane l at l*(2*MEMBRANE_BITS + CURRENT_BITS): threshold, v_reset, bias.
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
  parameter bit HARD_RESET = 1'b0,
  parameter int unsigned REFRACTORY_STEPS = 0,
  parameter bit SPIKING = 1'b1,
  parameter PARAMETER_FILE = "",
  parameter MEMORY_STYLE = "auto"
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic sums_valid_i,
  input  logic sums_last_i,
  input  logic sums_sample_end_i,
  input  logic sums_initialise_i,
  input  logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_i,

  output logic word_valid_o,       // SPIKING: a word of spikes; otherwise a word of membranes at the end of a sample
  output logic word_last_o,        // last word of the step
  output logic word_sample_end_o,
  output logic [UPDATE_LANES-1:0] spikes_o,
  output logic [UPDATE_LANES*MEMBRANE_BITS-1:0] membranes_o
);
  localparam int unsigned Words = (NEURONS + UPDATE_LANES - 1) / UPDATE_LANES;
  localparam int unsigned WordBits = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned ParameterBits = 2 * MEMBRANE_BITS + CURRENT_BITS;
  localparam int unsigned RefractoryBits = (REFRACTORY_STEPS > 0) ? $clog2(REFRACTORY_STEPS + 1) : 1;

  // The schedule of nhw_lif_step. Clock 0 is the one of `sums_valid_i`.
  localparam int unsigned DecayClocks = DECAY_KIND;
  localparam int unsigned SynapseClocks = (SYNAPSE_KIND == 3) ? 0 : SYNAPSE_KIND;
  localparam int unsigned FirstDecayClocks = (SYNAPSE_KIND == 0) ? DecayClocks : SynapseClocks;
  localparam int unsigned CurrentAddClock = (FirstDecayClocks > 1) ? 1 + FirstDecayClocks : 2;
  localparam int unsigned CurrentClock = (SYNAPSE_KIND == 0) ? CurrentAddClock : CurrentAddClock + 2;
  localparam int unsigned MembraneReadClock = CurrentClock - DecayClocks;
  localparam int unsigned DoneClock = SPIKING ? CurrentClock + 3 : CurrentClock + 2;

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

  // Not every clock of the pipelines above is looked at, and a layer uses only some of the fields of its parameters.
  /* verilator lint_off UNUSEDSIGNAL */
  logic [UPDATE_LANES*ACCUMULATOR_BITS-1:0] sums_q;
  logic [UPDATE_LANES-1:0][ParameterBits-1:0] early_parameters, late_parameters;
  /* verilator lint_on UNUSEDSIGNAL */
  always_ff @(posedge clk_i) sums_q <= sums_i;

  // --- parameters ------------------------------------------------------------------------------------------------------
  nhw_parameter_memory #(
    .WORDS(Words),
    .BITS(UPDATE_LANES * ParameterBits),
    .PARAMETER_FILE(PARAMETER_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_early_parameters (
    .clk_i,
    .address_i(word[0]),
    .data_o(early_parameters)
  );

  if (SPIKING) begin : gen_late_parameters
    nhw_parameter_memory #(
      .WORDS(Words),
      .BITS(UPDATE_LANES * ParameterBits),
      .PARAMETER_FILE(PARAMETER_FILE),
      .MEMORY_STYLE(MEMORY_STYLE)
    ) u_late_parameters (
      .clk_i,
      .address_i(word[CurrentClock+1]),
      .data_o(late_parameters)
    );
  end else begin : gen_no_late_parameters
    assign late_parameters = '0;
  end

  // --- states ------------------------------------------------------------------------------------------------------------
  logic [UPDATE_LANES-1:0][MEMBRANE_BITS-1:0] membrane, membrane_now, membrane_next;
  logic [UPDATE_LANES-1:0][CURRENT_BITS-1:0] current, current_now, current_next;
  logic [UPDATE_LANES-1:0][RefractoryBits-1:0] refractory, refractory_now, refractory_next;
  logic [UPDATE_LANES-1:0] spikes;
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

  if (SYNAPSE_KIND != 0) begin : gen_current
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
      .read_address_i(word[CurrentAddClock-SynapseClocks-1]),
      .read_data_o(current)
    );
  end else begin : gen_no_current
    logic unused_current;
    assign unused_current = &{1'b0, current_next};
    assign current = '0;
  end

  if (SPIKING && REFRACTORY_STEPS > 0) begin : gen_refractory
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
      .read_address_i(word[DoneClock-1]),
      .read_data_o(refractory)
    );
  end else begin : gen_no_refractory
    logic unused_refractory;
    assign unused_refractory = &{1'b0, refractory_next};
    assign refractory = '0;
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
      .HARD_RESET(HARD_RESET),
      .REFRACTORY_STEPS(REFRACTORY_STEPS),
      .SPIKING(SPIKING),
      .CURRENT_ADD_CLOCK(CurrentAddClock),
      .HOLD_CLOCKS(DoneClock - MembraneReadClock)
    ) u_lif_step (
      .clk_i,
      .sum_i(sums_q[lane*ACCUMULATOR_BITS+:ACCUMULATOR_BITS]),
      .bias_i(early_parameters[lane][2*MEMBRANE_BITS+:CURRENT_BITS]),
      .current_i(current[lane]),
      .membrane_i(membrane[lane]),
      .threshold_i(late_parameters[lane][0+:MEMBRANE_BITS]),
      .v_reset_i(late_parameters[lane][MEMBRANE_BITS+:MEMBRANE_BITS]),
      .refractory_i(refractory[lane]),
      .clear_current_i(clear_current),
      .clear_i(clear),
      .current_o(current_now[lane]),
      .current_next_o(current_next[lane]),
      .membrane_o(membrane_now[lane]),
      .membrane_next_o(membrane_next[lane]),
      .refractory_o(refractory_now[lane]),
      .refractory_next_o(refractory_next[lane]),
      .spike_o(spikes[lane])
    );
  end

  // --- output --------------------------------------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    word_valid_o <= rst_ni && valid[DoneClock] && !initialise[DoneClock] && (SPIKING || sample_end[DoneClock]);
    word_last_o <= last[DoneClock];
    word_sample_end_o <= sample_end[DoneClock];
    spikes_o <= spikes;
    membranes_o <= membrane_now;
  end

  // --- probe: simulation only ------------------------------------------------------------------------------------------
`ifdef NHW_PROBE
  import "DPI-C" function void nhw_probe(input int layer, input int neuron, input int spike,
                                         input int membrane, input int current, input int refractory);

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
                    int'(32'(refractory_now[lane])));
        end
      end
    end
  end
`else
  // `_now` values of current and refractory count, and the layer's index, are looked at by the probe only
  logic unused_probe;
  assign unused_probe = &{1'b0, LAYER_ID[0], current_now, refractory_now};
`endif
endmodule
