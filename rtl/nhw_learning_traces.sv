// SPDX-License-Identifier: Apache-2.0
// Traces of all neurons, and the amounts by which they change weights.
//
// One sweep a step: word after word of spikes, UPDATE_LANES neurons each, those of the population (POPULATION_WORDS) and then those of the input. Of every neuron
//
//   potentiation P = (POTENTIATION * r + half) >>> SHIFT         both rounded half up and clipped to +-(2^(AMOUNT_BITS-1) - 1),
//   depression   D = (amplitude * r + half) >>> SHIFT            with r as it was before the step
//   r <- decay(r + INCREMENT * spike)                            r * (4096 - DECAY) / 4096, rounded toward zero; 0 after the last step of a sample
//
// leave at `out_*`: P, -D, and the change that the neuron makes as a source: -D with its inhibitory bit, else P; 0 where it does not learn.
// CLASS_FILE: one word per word of neurons, {learns of all lanes, inhibitory of all lanes}. `surplus_o` holds, from `swept_o` on, the spikes of the population
// less those of the input. With `in_initialise_i` a word of traces becomes 0 and nothing leaves.
//
// Latency: `out_*` follow a word by 5 clocks, `swept_o` comes with the last. One word a clock. Sweeps start at least 8 clocks apart.
module nhw_learning_traces #(
  parameter int unsigned WORDS = 4,
  parameter int unsigned POPULATION_WORDS = 2,
  parameter int unsigned UPDATE_LANES = 4,
  parameter int unsigned TRACE_BITS = 11,      // unsigned; holds a trace with its increment
  parameter int unsigned DECAY = 390,
  parameter int unsigned INCREMENT = 102,
  parameter int unsigned POTENTIATION = 614,
  parameter int unsigned AMPLITUDE_BITS = 17,
  parameter int unsigned SHIFT = 13,
  parameter int unsigned AMOUNT_BITS = 13,
  parameter int unsigned SURPLUS_BITS = 6,
  parameter CLASS_FILE = "",
  parameter MEMORY_STYLE = "auto",
  localparam int unsigned WordBits = (WORDS > 1) ? $clog2(WORDS) : 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  input  logic                             in_valid_i,
  input  logic                             in_initialise_i,
  input  logic                             in_sample_end_i,
  input  logic [UPDATE_LANES-1:0]          in_spikes_i,
  input  logic signed [AMPLITUDE_BITS-1:0] amplitude_i,

  output logic                                     out_valid_o,
  output logic [WordBits-1:0]                      out_word_o,
  output logic [UPDATE_LANES-1:0]                  out_spikes_o,
  output logic [UPDATE_LANES-1:0]                  out_inhibitory_o,
  output logic [UPDATE_LANES-1:0]                  out_learns_o,
  output logic [UPDATE_LANES-1:0][AMOUNT_BITS-1:0] out_potentiation_o,
  output logic [UPDATE_LANES-1:0][AMOUNT_BITS-1:0] out_depression_o,  // -D
  output logic [UPDATE_LANES-1:0][AMOUNT_BITS-1:0] out_change_o,
  output logic                                     swept_o,
  output logic signed [SURPLUS_BITS-1:0]           surplus_o
);
`ifdef NHW_PROBE
  import "DPI-C" function void nhw_probe_trace(input int neuron, input int value);
`endif

  localparam int unsigned CountBits = $clog2(UPDATE_LANES + 1);
  localparam int unsigned ProductBits = TRACE_BITS + 1 + ((AMPLITUDE_BITS > 20) ? AMPLITUDE_BITS : 20);
  localparam int unsigned RoundedBits = (ProductBits + 1 > AMOUNT_BITS + SHIFT) ? ProductBits + 1 - SHIFT : AMOUNT_BITS + 1;
  localparam logic signed [ProductBits:0] Half = (SHIFT == 0) ? '0 : (ProductBits + 1)'(1) << ((SHIFT == 0) ? 0 : SHIFT - 1);
  localparam logic signed [RoundedBits-1:0] Most = (RoundedBits'(1) << (AMOUNT_BITS - 1)) - 1'b1;

  if (POTENTIATION >= 2 ** 19) begin : gen_bad_potentiation
    $error("nhw_learning_traces: POTENTIATION must be below 2^19");
  end
  if (POPULATION_WORDS < 1 || POPULATION_WORDS > WORDS) begin : gen_bad_words
    $error("nhw_learning_traces: POPULATION_WORDS must be 1 to WORDS");
  end

  // --- words on their way ------------------------------------------------------------------------------------------------
  localparam logic [WordBits-1:0] LastWord = WordBits'(WORDS - 1);
  logic [WordBits-1:0] word_q;
  logic [3:0] valid_q, initialise_q, sample_end_q;
  logic [3:0][WordBits-1:0] late_word_q;
  logic [3:0][UPDATE_LANES-1:0] spikes_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      word_q <= '0;
      valid_q <= '0;
    end else begin
      if (in_valid_i) word_q <= (word_q == LastWord) ? '0 : word_q + 1'b1;
      valid_q <= {valid_q[2:0], in_valid_i};
    end
    initialise_q <= {initialise_q[2:0], in_initialise_i};
    sample_end_q <= {sample_end_q[2:0], in_sample_end_i};
    late_word_q <= {late_word_q[2:0], word_q};
    spikes_q <= {spikes_q[2:0], in_spikes_i};
  end

  // --- traces --------------------------------------------------------------------------------------------------------------
  logic [UPDATE_LANES-1:0][TRACE_BITS-1:0] traces, decayed, next;

  nhw_memory #(
    .WORDS(WORDS),
    .BITS(UPDATE_LANES * TRACE_BITS),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_traces (
    .clk_i,
    .write_enable_i(valid_q[3]),
    .write_address_i(late_word_q[3]),
    .write_data_i(next),
    .read_enable_i(1'b1),
    .read_clear_i(1'b0),
    .read_address_i(word_q),
    .read_data_o(traces)
  );
  assign next = (initialise_q[3] || sample_end_q[3]) ? '0 : decayed;

  logic [2*UPDATE_LANES-1:0] classes;  // with clock 4
  nhw_parameter_memory #(
    .WORDS(WORDS),
    .WORD_BITS(2 * UPDATE_LANES),
    .FIRST(0),
    .BITS(2 * UPDATE_LANES),
    .PARAMETER_FILE(CLASS_FILE),
    .MEMORY_STYLE(MEMORY_STYLE)
  ) u_classes (
    .clk_i,
    .address_i(late_word_q[2]),
    .data_o(classes)
  );

  for (genvar lane = 0; lane < UPDATE_LANES; lane++) begin : gen_lane
    logic signed [TRACE_BITS:0] trace, raised_q, decayed_trace;
    logic signed [ProductBits-1:0] potentiation_q, depression_q;
    logic signed [RoundedBits-1:0] rounded_potentiation_q, rounded_depression_q, clipped_potentiation, clipped_depression;
    logic signed [AMOUNT_BITS-1:0] amount_potentiation_q, amount_depression_q;
    logic increment;

    assign trace = {1'b0, traces[lane]};
    always_ff @(posedge clk_i) begin
      raised_q <= trace + (spikes_q[0][lane] ? (TRACE_BITS + 1)'(INCREMENT) : '0);
      potentiation_q <= ProductBits'(trace) * ProductBits'(POTENTIATION);
      depression_q <= ProductBits'(trace) * ProductBits'(amplitude_i);
      rounded_potentiation_q <= RoundedBits'(((ProductBits + 1)'(potentiation_q) + Half) >>> SHIFT);
      rounded_depression_q <= RoundedBits'(((ProductBits + 1)'(depression_q) + Half) >>> SHIFT);
      amount_potentiation_q <= clipped_potentiation[AMOUNT_BITS-1:0];
      amount_depression_q <= clipped_depression[AMOUNT_BITS-1:0];
    end
    assign clipped_potentiation = (rounded_potentiation_q > Most) ? Most : rounded_potentiation_q;  // never negative
    assign clipped_depression = (rounded_depression_q > Most) ? Most
                                : (rounded_depression_q < -Most) ? -Most : rounded_depression_q;

    nhw_decay #(
      .BITS(TRACE_BITS + 1),
      .KIND(2),
      .VALUE(DECAY)
    ) u_decay (
      .clk_i,
      .value_i(raised_q),
      .factor_i('0),
      .value_o(decayed_trace),
      .increment_o(increment)
    );
    assign decayed[lane] = decayed_trace[TRACE_BITS-1:0];

    always_ff @(posedge clk_i) begin
      out_potentiation_o[lane] <= amount_potentiation_q;
      out_depression_o[lane] <= -amount_depression_q;
      out_change_o[lane] <= !classes[UPDATE_LANES+lane] ? '0 : classes[lane] ? -amount_depression_q : amount_potentiation_q;
    end
    logic unused_lane;
    assign unused_lane = &{1'b0, increment, decayed_trace[TRACE_BITS], clipped_potentiation[RoundedBits-1:AMOUNT_BITS],
                           clipped_depression[RoundedBits-1:AMOUNT_BITS]};

`ifdef NHW_PROBE
    always_ff @(posedge clk_i) begin
      if (rst_ni && valid_q[3] && !initialise_q[3]) begin
        nhw_probe_trace(32'(late_word_q[3]) * UPDATE_LANES + lane, 32'(decayed[lane]));
      end
    end
`endif
  end

  // --- spikes counted ------------------------------------------------------------------------------------------------------
  logic [CountBits-1:0] count, count_q;
  logic population_q, first_q, counted_q;
  logic signed [SURPLUS_BITS-1:0] wide_count;
  assign wide_count = SURPLUS_BITS'(count_q);

  always_comb begin
    count = '0;
    for (int unsigned lane = 0; lane < UPDATE_LANES; lane++) count = count + CountBits'(spikes_q[0][lane]);
  end

  always_ff @(posedge clk_i) begin
    counted_q <= rst_ni && valid_q[0];
    count_q <= count;
    population_q <= 32'(late_word_q[0]) < POPULATION_WORDS;
    first_q <= late_word_q[0] == '0;
    if (counted_q) begin
      surplus_o <= (first_q ? '0 : surplus_o) + (population_q ? wide_count : -wide_count);
    end
  end

  // --- output --------------------------------------------------------------------------------------------------------------
  always_ff @(posedge clk_i) begin
    out_valid_o <= rst_ni && valid_q[3] && !initialise_q[3];
    swept_o <= rst_ni && valid_q[3] && !initialise_q[3] && late_word_q[3] == LastWord;
    out_word_o <= late_word_q[3];
    out_spikes_o <= spikes_q[3];
    {out_learns_o, out_inhibitory_o} <= classes;
  end
endmodule
