// SPDX-License-Identifier: Apache-2.0
// A population with one dense projection: events in, events (or membranes) out. Structure only.
//
// A step with n events costs about n*GROUPS + WORDS + 2 clocks, GROUPS = ceil(NEURONS/LANES), WORDS = ceil(NEURONS/UPDATE_LANES).
// Handshake: AXI-Stream on both sides; see docs/hardware.md for the beats, the parameters and the images.
module nhw_layer #(
  parameter int unsigned LAYER_ID = 0,
  parameter int unsigned INPUTS = 16,
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
  parameter WEIGHT_FILE = "",
  parameter PARAMETER_FILE = "",
  parameter int unsigned BANK_ROWS = 1024,
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned SaturatedBits = $clog2(UPDATE_LANES + 1)
) (
  input  logic        clk_i,
  input  logic        rst_ni,

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

  output logic        event_o,    // an event is accepted in this clock
  output logic        waiting_o,  // an event is in hand or waiting
  output logic [SaturatedBits-1:0] saturated_o
);
  localparam int unsigned Groups = (NEURONS + LANES - 1) / LANES;
  localparam int unsigned Rows = INPUTS * Groups;
  localparam int unsigned RowBits = (Rows > 1) ? $clog2(Rows) : 1;
  localparam int unsigned GroupBits = (Groups > 1) ? $clog2(Groups) : 1;

  logic op_valid, op_ready, op_barrier, op_sample_end;
  logic [RowBits-1:0] op_row;
  logic [GroupBits-1:0] op_group;

  nhw_dense_rows #(
    .INPUTS(INPUTS),
    .GROUPS(Groups),
    .ROW_BITS(RowBits)
  ) u_rows (
    .clk_i,
    .rst_ni,
    .s_axis_tvalid,
    .s_axis_tready,
    .s_axis_tdata,
    .s_axis_tlast,
    .s_axis_tuser,
    .op_valid_o(op_valid),
    .op_ready_i(op_ready),
    .op_barrier_o(op_barrier),
    .op_sample_end_o(op_sample_end),
    .op_row_o(op_row),
    .op_group_o(op_group),
    .event_o,
    .waiting_o
  );

  // nothing modulates it
  logic unused_step, unused_word_valid, unused_word_last, unused_gain_read, unused_gain_last, unused_addition_read, unused_addition_last;
  logic [UPDATE_LANES*MEMBRANE_BITS-1:0] unused_membranes;

  nhw_population #(
    .ROWS(Rows),
    .LAYER_ID(LAYER_ID),
    .NEURONS(NEURONS),
    .LANES(LANES),
    .UPDATE_LANES(UPDATE_LANES),
    .WEIGHT_BITS(WEIGHT_BITS),
    .WEIGHT_EXPONENT(WEIGHT_EXPONENT),
    .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
    .CURRENT_BITS(CURRENT_BITS),
    .MEMBRANE_BITS(MEMBRANE_BITS),
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
    .WEIGHT_FILE(WEIGHT_FILE),
    .PARAMETER_FILE(PARAMETER_FILE),
    .BANK_ROWS(BANK_ROWS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_population (
    .clk_i,
    .rst_ni,
    .in_valid_i(op_valid),
    .in_ready_o(op_ready),
    .in_barrier_i(op_barrier),
    .in_sample_end_i(op_sample_end),
    .in_row_i(op_row),
    .in_group_i(op_group),
    .allowed_i(1'b1),
    .step_o(unused_step),
    .word_valid_o(unused_word_valid),
    .word_last_o(unused_word_last),
    .membranes_o(unused_membranes),
    .gain_read_o(unused_gain_read),
    .gain_last_o(unused_gain_last),
    .gain_i({(UPDATE_LANES * 10) {1'b0}}),
    .addition_read_o(unused_addition_read),
    .addition_last_o(unused_addition_last),
    .addition_i({UPDATE_LANES{1'b0}}),
    .m_axis_tvalid,
    .m_axis_tready,
    .m_axis_tdata,
    .m_axis_tlast,
    .m_axis_tuser,
    .saturated_o
  );
endmodule
