// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic of one neuron's step, one neuron a clock; the states live outside.
//
//   I = sum << WEIGHT_EXPONENT, plus bias unless MEMBRANE_BIAS; with GAIN (sum << WEIGHT_EXPONENT) * gain >>> 8 in the place of the shifted sum
//   c = I, or saturate(decay(c) + I) with a synaptic current; 0 where r > 0 with CLEARS_CURRENT
//   x = c, or the c of the step before with DELAYED_CURRENT; plus bias with MEMBRANE_BIAS
//   theta = threshold + a, plus an addition >= 0 with ADDITION
//   r > 0 (not with DELAYED_RESET):  s = 0, v unchanged (v = u with INTEGRATES_REFRACTORY), r - 1
//   otherwise:        u = saturate(decay(v) + x); s = SPIKING and u >= theta (u > theta with STRICT);
//                     v = s ? (HARD_RESET ? v_reset : RESET_NONE ? u : u - theta) : u;  r = s ? REFRACTORY_STEPS : 0
//   DELAYED_RESET:    u = saturate(decay(r > 0 ? v_reset : v) + x) with HARD_RESET, saturate(decay(v) + x - (r > 0 ? theta : 0))
//                     with a soft reset;  v = u, r = s
//   a = saturate(decay(a) + s * strength) with an adaptation
//
// `saturated_o` tells that a saturation of c, u or a changed its value, also a u that a refractory neuron does not keep.
//
// A delayed hard reset needs no second path: what is stored (`membrane_next_o`) is v_reset, what is reported (`membrane_o`) is u.
//
// Inputs and outputs belong to different clocks (nhw_neuron_update, which holds the schedule, reads every memory just in time,
// instead of delaying the data). Counted from the clock before the one of `sum_i`, with the names used there:
//   `sum_i`, `gain_i` SumClock; `bias_i` BiasClock; `current_i`, `synapse_factor_i` CurrentReadClock; `current_o` and clear_current_i CurrentClock;
//   `membrane_i`, `decay_factor_i` MembraneReadClock; `threshold_i`, `addition_i` BaseClock; `adaptation_i`, `adaptation_factor_i` ThresholdClock;
//   `v_reset_i` CompareClock; `strength_i` StrengthClock; `refractory_i` RefractoryReadClock; everything else DoneClock.
// The *_DELAY and *_CLOCKS parameters are the distances that are left. `clear_*` make the new states 0. No stall.
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
  parameter bit GAIN = 1'b0,
  parameter bit ADDITION = 1'b0,
  parameter int unsigned ADDITION_BITS = 15,
  parameter int unsigned REFRACTORY_STEPS = 0,
  parameter bit SPIKING = 1'b1,
  parameter int unsigned INPUT_DELAY = 0,               // the input current waits for the decayed one, or for the membrane
  parameter int unsigned DRIVE_DELAY = 0,               // DELAYED_CURRENT: current_i to the integration
  parameter int unsigned HOLD_CLOCKS = 4,               // membrane_i to DoneClock
  parameter int unsigned THETA_DELAY = 0,               // theta to its comparison
  parameter int unsigned REFRACTORY_CURRENT_DELAY = 0,  // refractory_i to CurrentClock
  parameter int unsigned REFRACTORY_DONE_DELAY = 0,     // refractory_i to DoneClock
  parameter int unsigned CURRENT_DONE_DELAY = 0,        // CurrentClock to DoneClock
  parameter int unsigned ADAPTATION_DELAY = 0           // risen adaptation to DoneClock
) (
  input  logic                               clk_i,
  input  logic signed [ACCUMULATOR_BITS-1:0] sum_i,
  input  logic [9:0]                         gain_i,          // 8 fraction bits
  input  logic signed [CURRENT_BITS-1:0]     bias_i,
  input  logic signed [CURRENT_BITS-1:0]     current_i,
  input  logic [12:0]                        synapse_factor_i,
  input  logic signed [MEMBRANE_BITS-1:0]    membrane_i,
  input  logic [12:0]                        decay_factor_i,
  input  logic signed [MEMBRANE_BITS-1:0]    threshold_i,
  input  logic [ADDITION_BITS-1:0]           addition_i,      // never negative
  input  logic signed [MEMBRANE_BITS-1:0]    v_reset_i,
  input  logic [REFRACTORY_BITS-1:0]         refractory_i,
  input  logic [MEMBRANE_BITS-2:0]           adaptation_i,    // never negative
  input  logic [12:0]                        adaptation_factor_i,
  input  logic signed [MEMBRANE_BITS-1:0]    strength_i,
  input  logic                               clear_current_i,
  input  logic                               clear_i,
  output logic signed [CURRENT_BITS-1:0]     current_o,       // before the clear
  output logic signed [CURRENT_BITS-1:0]     current_next_o,
  output logic signed [MEMBRANE_BITS-1:0]    membrane_o,      // before the clear
  output logic signed [MEMBRANE_BITS-1:0]    membrane_next_o,
  output logic [REFRACTORY_BITS-1:0]         refractory_o,    // before the clear
  output logic [REFRACTORY_BITS-1:0]         refractory_next_o,
  output logic [MEMBRANE_BITS-2:0]           adaptation_o,    // before the clear
  output logic [MEMBRANE_BITS-2:0]           adaptation_next_o,
  output logic                               spike_o,
  output logic                               saturated_o
);
  localparam bit SoftDelayed = SPIKING && DELAYED_RESET && !HARD_RESET && !RESET_NONE;
  localparam bit Adaptive = SPIKING && ADAPTATION_KIND != 0;

  if (SYNAPSE_KIND > 4) begin : gen_bad_synapse_kind
    $error("nhw_lif_step: SYNAPSE_KIND must be 0 (no current), 1 (shift), 2 (multiply), 3 (no decay) or 4 (multiply, per neuron)");
  end
  if (ADAPTATION_KIND > 4) begin : gen_bad_adaptation_kind
    $error("nhw_lif_step: ADAPTATION_KIND must be 0 (none), 1 (shift), 2 (multiply), 3 (no decay) or 4 (multiply, per neuron)");
  end
  if (MEMBRANE_BITS < 2 || CURRENT_BITS < 2) begin : gen_bad_bits
    $error("nhw_lif_step: MEMBRANE_BITS and CURRENT_BITS must be at least 2");
  end
  if (HARD_RESET && RESET_NONE) begin : gen_bad_reset
    $error("nhw_lif_step: HARD_RESET and RESET_NONE exclude each other");
  end
  if (DELAYED_RESET && REFRACTORY_STEPS > 0) begin : gen_bad_delayed_reset
    $error("nhw_lif_step: DELAYED_RESET needs REFRACTORY_STEPS = 0");
  end
  if (DELAYED_RESET && INTEGRATES_REFRACTORY) begin : gen_bad_integrates_refractory
    $error("nhw_lif_step: INTEGRATES_REFRACTORY and DELAYED_RESET exclude each other");
  end
  if ((DELAYED_CURRENT || CLEARS_CURRENT) && SYNAPSE_KIND == 0) begin : gen_bad_current
    $error("nhw_lif_step: DELAYED_CURRENT and CLEARS_CURRENT need a SYNAPSE_KIND above 0");
  end

  // --- input current -------------------------------------------------------------------------------------------------
  logic signed [CURRENT_BITS-1:0] shifted, input_current_q, input_current;

  if (GAIN) begin : gen_gain
    // the product of the narrow sum: what the exponent shifts in is 0
    localparam int unsigned ProductBits = ACCUMULATOR_BITS + 11;
    localparam int unsigned Left = (WEIGHT_EXPONENT > 8) ? WEIGHT_EXPONENT - 8 : 0;
    localparam int unsigned Right = (WEIGHT_EXPONENT < 8) ? 8 - WEIGHT_EXPONENT : 0;
    logic signed [10:0] gain;
    logic signed [ProductBits-1:0] product_q;
    assign gain = {1'b0, gain_i};
    always_ff @(posedge clk_i) product_q <= ProductBits'(sum_i) * ProductBits'(gain);
    assign shifted = CURRENT_BITS'((CURRENT_BITS + Left)'(product_q >>> Right) <<< Left);
  end else begin : gen_no_gain
    logic unused_gain;
    assign unused_gain = &{1'b0, gain_i};
    assign shifted = CURRENT_BITS'((CURRENT_BITS + WEIGHT_EXPONENT)'(sum_i) <<< WEIGHT_EXPONENT);
  end

  if (MEMBRANE_BIAS) begin : gen_input_without_bias
    always_ff @(posedge clk_i) input_current_q <= shifted;
  end else begin : gen_input_with_bias
    always_ff @(posedge clk_i) input_current_q <= shifted + bias_i;
  end

  nhw_delay #(
    .BITS(CURRENT_BITS),
    .CLOCKS(INPUT_DELAY)
  ) u_input_current (
    .clk_i,
    .data_i(input_current_q),
    .data_o(input_current)
  );

  // --- synaptic current ----------------------------------------------------------------------------------------------
  logic signed [CURRENT_BITS-1:0] integrated_current;  // before CLEARS_CURRENT
  logic current_saturated;                             // in DoneClock

  if (SYNAPSE_KIND == 0) begin : gen_no_synapse
    logic unused_current;
    assign unused_current = &{1'b0, current_i, synapse_factor_i};
    assign integrated_current = input_current;
    assign current_saturated = 1'b0;
  end else begin : gen_synapse
    logic signed [CURRENT_BITS-1:0] decayed_current;
    logic current_increment, saturated;

    nhw_decay #(
      .BITS(CURRENT_BITS),
      .KIND(SYNAPSE_KIND),
      .VALUE(SYNAPSE_VALUE)
    ) u_decay (
      .clk_i,
      .value_i(current_i),
      .factor_i(synapse_factor_i),
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
      .sum_o(integrated_current),
      .saturated_o(saturated)
    );

    nhw_delay #(
      .BITS(1),
      .CLOCKS(CURRENT_DONE_DELAY)
    ) u_saturated (
      .clk_i,
      .data_i(saturated),
      .data_o(current_saturated)
    );
  end

  if (CLEARS_CURRENT) begin : gen_clears_current
    logic [REFRACTORY_BITS-1:0] refractory_of_current;
    nhw_delay #(
      .BITS(REFRACTORY_BITS),
      .CLOCKS(REFRACTORY_CURRENT_DELAY)
    ) u_refractory_of_current (
      .clk_i,
      .data_i(refractory_i),
      .data_o(refractory_of_current)
    );
    assign current_o = (refractory_of_current != '0) ? '0 : integrated_current;
  end else begin : gen_keeps_current
    assign current_o = integrated_current;
  end

  assign current_next_o = clear_current_i ? '0 : current_o;

  // --- what is added to the membrane -----------------------------------------------------------------------------------
  // theta has one bit more than the threshold where an adaptation is added, and one for an addition; its sum with a current another two
  localparam int unsigned BaseBits = !ADDITION ? MEMBRANE_BITS : ((ADDITION_BITS < MEMBRANE_BITS) ? MEMBRANE_BITS : ADDITION_BITS + 1) + 1;
  localparam int unsigned ThetaBits = Adaptive ? BaseBits + 1 : BaseBits;
  localparam int unsigned OffsetBits = ((CURRENT_BITS > ThetaBits) ? CURRENT_BITS : ThetaBits) + 1;
  localparam int unsigned DriveBits = (MEMBRANE_BIAS || SoftDelayed) ? OffsetBits + 1 : CURRENT_BITS;

  logic signed [CURRENT_BITS-1:0] own_current;
  logic signed [BaseBits-1:0] base;
  logic signed [ThetaBits-1:0] theta;
  logic signed [DriveBits-1:0] drive;

  if (DELAYED_CURRENT) begin : gen_current_before
    nhw_delay #(
      .BITS(CURRENT_BITS),
      .CLOCKS(DRIVE_DELAY)
    ) u_current_before (
      .clk_i,
      .data_i(current_i),
      .data_o(own_current)
    );
  end else if (DELAYED_RESET || INTEGRATES_REFRACTORY) begin : gen_current_cleared
    assign own_current = current_o;
  end else begin : gen_current_now
    // this refractory neuron ignores u: the mux of CLEARS_CURRENT can stay out of the integration
    assign own_current = integrated_current;
  end

  if (SoftDelayed) begin : gen_delayed_reset_offset
    logic signed [OffsetBits-1:0] offset_q, reset, bias;
    logic signed [DriveBits-1:0] drive_q;
    assign reset = (refractory_i != '0) ? OffsetBits'(theta) : '0;
    assign bias = MEMBRANE_BIAS ? OffsetBits'(bias_i) : '0;
    always_ff @(posedge clk_i) begin
      offset_q <= bias - reset;
      drive_q <= DriveBits'(own_current) + DriveBits'(offset_q);
    end
    assign drive = drive_q;
  end else if (MEMBRANE_BIAS) begin : gen_bias_offset
    logic signed [DriveBits-1:0] drive_q;
    always_ff @(posedge clk_i) drive_q <= DriveBits'(own_current) + DriveBits'(bias_i);
    assign drive = drive_q;
  end else begin : gen_no_offset
    assign drive = own_current;
  end

  // --- membrane --------------------------------------------------------------------------------------------------------
  logic signed [MEMBRANE_BITS-1:0] decayed_membrane, integrated;
  logic membrane_increment, integrated_saturated;
  logic membrane_saturated, adaptation_saturated;  // in DoneClock

  nhw_decay #(
    .BITS(MEMBRANE_BITS),
    .KIND(DECAY_KIND),
    .VALUE(DECAY_VALUE)
  ) u_decay (
    .clk_i,
    .value_i(membrane_i),
    .factor_i(decay_factor_i),
    .value_o(decayed_membrane),
    .increment_o(membrane_increment)
  );

  nhw_saturating_add #(
    .BITS(MEMBRANE_BITS),
    .INPUT_BITS(DriveBits)
  ) u_integrate (
    .clk_i,
    .state_i(decayed_membrane),
    .increment_i(membrane_increment),
    .input_i(drive),
    .sum_o(integrated),
    .saturated_o(integrated_saturated)
  );

  nhw_delay #(
    .BITS(1),
    .CLOCKS(SPIKING ? 1 : 0)
  ) u_membrane_saturated (
    .clk_i,
    .data_i(integrated_saturated),
    .data_o(membrane_saturated)
  );

  assign saturated_o = current_saturated || membrane_saturated || adaptation_saturated;

  // --- threshold with its addition ---------------------------------------------------------------------------------------
  if (ADDITION && SPIKING) begin : gen_addition
    logic signed [BaseBits-1:0] base_q;
    always_ff @(posedge clk_i) base_q <= BaseBits'(threshold_i) + BaseBits'({1'b0, addition_i});
    assign base = base_q;
  end else begin : gen_no_addition
    logic unused_addition;
    assign unused_addition = &{1'b0, addition_i};
    assign base = BaseBits'(threshold_i);
  end

  // --- adaptive threshold ------------------------------------------------------------------------------------------------
  // Both outcomes are there before the spike is known. Nothing is negative, so that a decay needs no increment.
  if (Adaptive) begin : gen_adaptation
    logic signed [MEMBRANE_BITS-1:0] adaptation, decayed, raised;
    logic [MEMBRANE_BITS-2:0] lowered, late_lowered, late_raised;
    logic signed [ThetaBits-1:0] theta_q;
    logic increment, raised_saturated, late_saturated;

    assign adaptation = {1'b0, adaptation_i};
    always_ff @(posedge clk_i) theta_q <= ThetaBits'(base) + ThetaBits'(adaptation);
    assign theta = theta_q;

    nhw_decay #(
      .BITS(MEMBRANE_BITS),
      .KIND(ADAPTATION_KIND),
      .VALUE(ADAPTATION_VALUE)
    ) u_decay (
      .clk_i,
      .value_i(adaptation),
      .factor_i(adaptation_factor_i),
      .value_o(decayed),
      .increment_o(increment)
    );

    nhw_saturating_add #(
      .BITS(MEMBRANE_BITS),
      .INPUT_BITS(MEMBRANE_BITS)
    ) u_raise (
      .clk_i,
      .state_i(decayed),
      .increment_i(1'b0),
      .input_i(strength_i),
      .sum_o(raised),
      .saturated_o(raised_saturated)
    );

    nhw_delay #(
      .BITS(MEMBRANE_BITS - 1),
      .CLOCKS(2)
    ) u_lowered (
      .clk_i,
      .data_i(decayed[MEMBRANE_BITS-2:0]),
      .data_o(lowered)
    );

    nhw_delay #(
      .BITS(2 * (MEMBRANE_BITS - 1) + 1),
      .CLOCKS(ADAPTATION_DELAY)
    ) u_outcomes (
      .clk_i,
      .data_i({raised_saturated, raised[MEMBRANE_BITS-2:0], lowered}),
      .data_o({late_saturated, late_raised, late_lowered})
    );

    assign adaptation_o = spike_o ? late_raised : late_lowered;
    assign adaptation_saturated = spike_o && late_saturated;
    logic unused_sign;
    assign unused_sign = &{1'b0, raised[MEMBRANE_BITS-1], increment};
  end else begin : gen_fixed_threshold
    assign theta = base;
    assign adaptation_o = '0;
    assign adaptation_saturated = 1'b0;
    logic unused_adaptation;
    assign unused_adaptation = &{1'b0, adaptation_i, adaptation_factor_i, strength_i};
  end

  assign adaptation_next_o = clear_i ? '0 : adaptation_o;

  // --- threshold and reset ---------------------------------------------------------------------------------------------
  if (!SPIKING) begin : gen_integrator
    logic unused_spiking;
    assign unused_spiking = &{1'b0, theta, v_reset_i, refractory_i};
    assign spike_o = 1'b0;
    assign membrane_o = integrated;
    assign membrane_next_o = clear_i ? '0 : membrane_o;
    assign refractory_o = '0;
  end else begin : gen_spiking
    logic signed [ThetaBits-1:0] late_theta;
    logic signed [ThetaBits:0] above_q;                   // u - theta
    logic signed [MEMBRANE_BITS-1:0] integrated_q, after_spike, reset;
    logic refractory, enough;

    nhw_delay #(
      .BITS(ThetaBits),
      .CLOCKS(THETA_DELAY)
    ) u_late_theta (
      .clk_i,
      .data_i(theta),
      .data_o(late_theta)
    );

    always_ff @(posedge clk_i) begin
      above_q <= (ThetaBits + 1)'(integrated) - (ThetaBits + 1)'(late_theta);
      integrated_q <= integrated;
    end

    if (STRICT) begin : gen_strict
      logic equal_q;
      always_ff @(posedge clk_i) equal_q <= ThetaBits'(integrated) == late_theta;
      assign enough = !above_q[ThetaBits] && !equal_q;
    end else begin : gen_not_strict
      assign enough = !above_q[ThetaBits];
    end

    assign spike_o = enough && !refractory;

    if (HARD_RESET) begin : gen_hard
      logic signed [MEMBRANE_BITS-1:0] v_reset_q;
      always_ff @(posedge clk_i) v_reset_q <= v_reset_i;
      assign reset = v_reset_q;
    end else if (RESET_NONE || DELAYED_RESET) begin : gen_kept
      assign reset = integrated_q;
    end else begin : gen_soft
      // not negative, and no more than u
      assign reset = above_q[MEMBRANE_BITS-1:0];
    end
    logic unused_reset;
    assign unused_reset = &{1'b0, v_reset_i, above_q[ThetaBits-1:0]};

    assign after_spike = spike_o ? reset : integrated_q;

    if (DELAYED_RESET) begin : gen_delayed_reset
      assign refractory = 1'b0;
      assign membrane_o = integrated_q;
      assign membrane_next_o = clear_i ? '0 : after_spike;
      assign refractory_o = REFRACTORY_BITS'(spike_o);
      logic unused_pending;
      assign unused_pending = &{1'b0, refractory_i};
    end else if (REFRACTORY_STEPS == 0) begin : gen_not_refractory
      logic unused_refractory;
      assign unused_refractory = &{1'b0, refractory_i};
      assign refractory = 1'b0;
      assign membrane_o = after_spike;
      assign membrane_next_o = clear_i ? '0 : membrane_o;
      assign refractory_o = '0;
    end else begin : gen_refractory
      logic [REFRACTORY_BITS-1:0] count;
      nhw_delay #(
        .BITS(REFRACTORY_BITS),
        .CLOCKS(REFRACTORY_DONE_DELAY)
      ) u_count (
        .clk_i,
        .data_i(refractory_i),
        .data_o(count)
      );
      assign refractory = count != '0;
      if (INTEGRATES_REFRACTORY) begin : gen_integrates
        assign membrane_o = after_spike;
      end else begin : gen_holds
        logic signed [MEMBRANE_BITS-1:0] held;
        nhw_delay #(
          .BITS(MEMBRANE_BITS),
          .CLOCKS(HOLD_CLOCKS)
        ) u_held (
          .clk_i,
          .data_i(membrane_i),
          .data_o(held)
        );
        assign membrane_o = refractory ? held : after_spike;
      end
      assign membrane_next_o = clear_i ? '0 : membrane_o;
      always_comb begin
        refractory_o = '0;
        if (refractory) refractory_o = count - 1'b1;
        else if (spike_o) refractory_o = REFRACTORY_BITS'(REFRACTORY_STEPS);
      end
    end
  end

  assign refractory_next_o = clear_i ? '0 : refractory_o;

  // A neuron without a bias at this place, or without these delays, does not look at them; and a sum may have more bits than the current that it
  // is proved to fit: weights that cancel, or are all zero, need the accumulator only on the way.
  logic unused_inputs;
  assign unused_inputs = &{1'b0, sum_i, bias_i, refractory_i};
endmodule
