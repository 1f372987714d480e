// Integer arithmetic of one neuron's step, one neuron a clock; the states live outside.
//
//   I = (sum << WEIGHT_EXPONENT) + bias
//   c = I, or saturate(decay(c) + I) with a synaptic current
//   refractory count r > 0:  spike = 0, v unchanged, r - 1
//   otherwise:  u = saturate(decay(v) + c); spike = SPIKING and u >= threshold;
//               v = spike ? (HARD_RESET ? v_reset : u - threshold) : u; r = spike ? REFRACTORY_STEPS : 0
//
// Inputs and outputs belong to different clocks, counted from the clock before the one of `sum_i` (nhw_neuron_update
// reads every memory just in time, instead of delaying the data):
//   `sum_i`, `bias_i` 1; `current_i` CURRENT_READ_CLOCK; `current_o` CURRENT_CLOCK; `membrane_i` MEMBRANE_READ_CLOCK;
//   `threshold_i`, `v_reset_i` CURRENT_CLOCK + 2; `refractory_i` and all other outputs DONE_CLOCK, which is
//   CURRENT_CLOCK + 3 for a spiking neuron and CURRENT_CLOCK + 2 for an integrator.
// `clear_i` (DONE_CLOCK) makes the new states 0, `clear_current_i` (CURRENT_CLOCK) that of the current. No stall.
module nhw_lif_step #(
  parameter int unsigned ACCUMULATOR_BITS = 12,
  parameter int unsigned CURRENT_BITS = 16,
  parameter int unsigned MEMBRANE_BITS = 16,
  parameter int unsigned REFRACTORY_BITS = 1,
  parameter int unsigned WEIGHT_EXPONENT = 0,
  parameter int unsigned DECAY_KIND = 1,
  parameter int unsigned DECAY_VALUE = 4,
  parameter int unsigned SYNAPSE_KIND = 0,
  parameter int unsigned SYNAPSE_VALUE = 4,
  parameter bit HARD_RESET = 1'b0,
  parameter int unsigned REFRACTORY_STEPS = 0,
  parameter bit SPIKING = 1'b1,
  parameter int unsigned CURRENT_ADD_CLOCK = 2,  // the input current meets the decayed one; without a synapse: is used
  parameter int unsigned HOLD_CLOCKS = 4         // membrane_i to DONE_CLOCK
) (
  input  logic                               clk_i,
  input  logic signed [ACCUMULATOR_BITS-1:0] sum_i,
  input  logic signed [CURRENT_BITS-1:0]     bias_i,
  input  logic signed [CURRENT_BITS-1:0]     current_i,
  input  logic signed [MEMBRANE_BITS-1:0]    membrane_i,
  input  logic signed [MEMBRANE_BITS-1:0]    threshold_i,
  input  logic signed [MEMBRANE_BITS-1:0]    v_reset_i,
  input  logic [REFRACTORY_BITS-1:0]         refractory_i,
  input  logic                               clear_current_i,
  input  logic                               clear_i,
  output logic signed [CURRENT_BITS-1:0]     current_o,       // before the clear
  output logic signed [CURRENT_BITS-1:0]     current_next_o,
  output logic signed [MEMBRANE_BITS-1:0]    membrane_o,      // before the clear
  output logic signed [MEMBRANE_BITS-1:0]    membrane_next_o,
  output logic [REFRACTORY_BITS-1:0]         refractory_o,    // before the clear
  output logic [REFRACTORY_BITS-1:0]         refractory_next_o,
  output logic                               spike_o
);
  if (SYNAPSE_KIND > 3) begin : gen_bad_synapse_kind
    $error("nhw_lif_step: SYNAPSE_KIND must be 0 (none), 1 (shift), 2 (multiply) or 3 (no decay)");
  end
  if (MEMBRANE_BITS < 2 || CURRENT_BITS < 2) begin : gen_bad_bits
    $error("nhw_lif_step: MEMBRANE_BITS and CURRENT_BITS must be at least 2");
  end

  // --- input current -------------------------------------------------------------------------------------------------
  logic signed [CURRENT_BITS-1:0] input_current_q, input_current;

  always_ff @(posedge clk_i) input_current_q <= (CURRENT_BITS'(sum_i) <<< WEIGHT_EXPONENT) + bias_i;

  nhw_delay #(
    .BITS(CURRENT_BITS),
    .CLOCKS(CURRENT_ADD_CLOCK - 2)
  ) u_input_current (
    .clk_i,
    .data_i(input_current_q),
    .data_o(input_current)
  );

  // --- synaptic current ----------------------------------------------------------------------------------------------
  if (SYNAPSE_KIND == 0) begin : gen_no_synapse
    logic unused_current;
    assign unused_current = &{1'b0, current_i};
    assign current_o = input_current;
  end else begin : gen_synapse
    logic signed [CURRENT_BITS-1:0] decayed_current;
    logic current_increment;

    nhw_decay #(
      .BITS(CURRENT_BITS),
      .KIND((SYNAPSE_KIND == 3) ? 0 : SYNAPSE_KIND),
      .VALUE(SYNAPSE_VALUE)
    ) u_decay (
      .clk_i,
      .value_i(current_i),
      .value_o(decayed_current),
      .increment_o(current_increment)
    );

    nhw_saturating_add #(
      .BITS(CURRENT_BITS),
      .INPUT_BITS(CURRENT_BITS)
    ) u_add (
      .clk_i,
      .state_i(decayed_current),
      .increment_i(current_increment),
      .input_i(input_current),
      .sum_o(current_o)
    );
  end

  assign current_next_o = clear_current_i ? '0 : current_o;

  // --- membrane --------------------------------------------------------------------------------------------------------
  logic signed [MEMBRANE_BITS-1:0] decayed_membrane, integrated;
  logic membrane_increment;

  nhw_decay #(
    .BITS(MEMBRANE_BITS),
    .KIND(DECAY_KIND),
    .VALUE(DECAY_VALUE)
  ) u_decay (
    .clk_i,
    .value_i(membrane_i),
    .value_o(decayed_membrane),
    .increment_o(membrane_increment)
  );

  nhw_saturating_add #(
    .BITS(MEMBRANE_BITS),
    .INPUT_BITS(CURRENT_BITS)
  ) u_integrate (
    .clk_i,
    .state_i(decayed_membrane),
    .increment_i(membrane_increment),
    .input_i(current_o),
    .sum_o(integrated)
  );

  // --- threshold and reset ---------------------------------------------------------------------------------------------
  if (!SPIKING) begin : gen_integrator
    logic unused_spiking;
    assign unused_spiking = &{1'b0, threshold_i, v_reset_i, refractory_i};
    assign spike_o = 1'b0;
    assign membrane_o = integrated;
    assign refractory_o = '0;
  end else begin : gen_spiking
    logic signed [MEMBRANE_BITS:0] above_q;               // u - threshold
    logic signed [MEMBRANE_BITS-1:0] integrated_q, after_spike;
    logic refractory;

    always_ff @(posedge clk_i) begin
      above_q <= (MEMBRANE_BITS + 1)'(integrated) - (MEMBRANE_BITS + 1)'(threshold_i);
      integrated_q <= integrated;
    end

    assign spike_o = !above_q[MEMBRANE_BITS] && !refractory;

    if (HARD_RESET) begin : gen_hard
      logic signed [MEMBRANE_BITS-1:0] v_reset_q;
      logic unused_above;
      always_ff @(posedge clk_i) v_reset_q <= v_reset_i;
      assign after_spike = v_reset_q;
      assign unused_above = &{1'b0, above_q[MEMBRANE_BITS-1:0]};
    end else begin : gen_soft
      logic unused_v_reset;
      assign unused_v_reset = &{1'b0, v_reset_i};
      assign after_spike = above_q[MEMBRANE_BITS-1:0];
    end

    if (REFRACTORY_STEPS == 0) begin : gen_not_refractory
      logic unused_refractory;
      assign unused_refractory = &{1'b0, refractory_i};
      assign refractory = 1'b0;
      assign membrane_o = spike_o ? after_spike : integrated_q;
      assign refractory_o = '0;
    end else begin : gen_refractory
      logic signed [MEMBRANE_BITS-1:0] held;
      nhw_delay #(
        .BITS(MEMBRANE_BITS),
        .CLOCKS(HOLD_CLOCKS)
      ) u_held (
        .clk_i,
        .data_i(membrane_i),
        .data_o(held)
      );
      assign refractory = refractory_i != '0;
      assign membrane_o = refractory ? held : (spike_o ? after_spike : integrated_q);
      always_comb begin
        refractory_o = '0;
        if (refractory) refractory_o = refractory_i - 1'b1;
        else if (spike_o) refractory_o = REFRACTORY_BITS'(REFRACTORY_STEPS);
      end
    end
  end

  assign membrane_next_o = clear_i ? '0 : membrane_o;
  assign refractory_next_o = clear_i ? '0 : refractory_o;
endmodule
