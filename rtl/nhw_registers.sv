// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite registers of a network: identity, shape, digest and counters.
//
// The streams are only observed: every counter is derived here from the handshakes of the network's input and
// output, so that the generated top stays a list of instances. Observations pass one register first, so that the
// paths of the streams end here.
//
// AXI4-Lite: AW and W are accepted independently, in any order; every ready depends on registers only. One write and
// one read are in hand at a time. Latency: write response 2 clocks after the later of AW and W; read data 3 clocks
// after AR, for a counter up to 4 + Counters, the number of them below. A counter is at most 4 + Counters clocks old when
// it is read, and stays at 2^32 - 1 when it gets there.
// Responses are always OKAY: unknown addresses read 0, writes to them are ignored.
module nhw_registers #(
  parameter int unsigned PROJECTIONS = 1,
  parameter int unsigned POPULATIONS = 1,
  parameter int unsigned UPDATE_LANES = 4,  // the most of any population
  parameter int unsigned INPUTS = 1,
  parameter int unsigned OUTPUTS = 1,
  parameter bit OUTPUT_MEMBRANES = 1'b0,
  parameter logic [255:0] DIGEST = '0,
  localparam int unsigned SaturatedBits = $clog2(UPDATE_LANES + 1)
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  // AXI4-Lite slave
  input  logic        s_axil_awvalid,
  output logic        s_axil_awready,
  input  logic [7:0]  s_axil_awaddr,
  input  logic        s_axil_wvalid,
  output logic        s_axil_wready,
  input  logic [31:0] s_axil_wdata,
  input  logic [3:0]  s_axil_wstrb,
  output logic        s_axil_bvalid,
  input  logic        s_axil_bready,
  output logic [1:0]  s_axil_bresp,
  input  logic        s_axil_arvalid,
  output logic        s_axil_arready,
  input  logic [7:0]  s_axil_araddr,
  output logic        s_axil_rvalid,
  input  logic        s_axil_rready,
  output logic [31:0] s_axil_rdata,
  output logic [1:0]  s_axil_rresp,

  // observed: the network's input and output streams, one bit a projection for "an event was accepted in this clock" and
  // "an event is in hand or waiting", and of how many neurons of each population a state has saturated
  input  logic              input_tvalid_i,
  input  logic              input_tready_i,
  input  logic [15:0]       input_tdata_i,
  input  logic              input_tlast_i,
  input  logic              input_tuser_i,
  input  logic              output_tvalid_i,
  input  logic              output_tready_i,
  input  logic              output_tlast_i,
  input  logic              output_tuser_i,
  input  logic [PROJECTIONS-1:0] projection_event_i,
  input  logic [PROJECTIONS-1:0] projection_waiting_i,
  input  logic [POPULATIONS-1:0][SaturatedBits-1:0] population_saturated_i
);
  localparam logic [31:0] Identity = 32'h4E48_5732;  // "NHW2"
  localparam logic [31:0] Shape = {OUTPUTS[15:0], INPUTS[15:0]};
  localparam logic [31:0] Projections = {8'd0, POPULATIONS[7:0], 7'd0, OUTPUT_MEMBRANES, PROJECTIONS[7:0]};

  // word addresses (byte address / 4)
  localparam logic [5:0] ControlWord = 6'h03;
  localparam logic [5:0] PopulationWord = 6'h09;
  localparam logic [5:0] SaturationsWord = 6'h0A;
  localparam logic [5:0] InvalidWord = 6'h0B;

  if (PROJECTIONS < 1 || PROJECTIONS > 15) begin : gen_bad_projections
    $error("nhw_registers: PROJECTIONS must be 1 to 15");
  end
  if (POPULATIONS < 1 || POPULATIONS > 15) begin : gen_bad_populations
    $error("nhw_registers: POPULATIONS must be 1 to 15");
  end
  if (INPUTS < 1 || INPUTS > 32768) begin : gen_bad_inputs
    $error("nhw_registers: INPUTS must be 1 to 32768");
  end
  if (OUTPUTS < 1 || OUTPUTS > 65535) begin : gen_bad_outputs
    $error("nhw_registers: OUTPUTS must be 1 to 65535");
  end

  // ---------------------------------------------------------------------------------------------- observation
  logic input_beat_q, input_step_q, input_sample_q, input_invalid_q;
  logic output_spike_q, output_sample_q;
  logic [PROJECTIONS-1:0] projection_event_q, projection_waiting_q;
  logic [POPULATIONS-1:0][SaturatedBits-1:0] population_saturated_q;

  wire input_beat = input_tvalid_i && input_tready_i;
  wire output_beat = output_tvalid_i && output_tready_i;
  // a membrane frame is sent once a sample, so that its tlast alone ends the sample
  wire output_end = output_tlast_i && (OUTPUT_MEMBRANES || output_tuser_i);

  always_ff @(posedge clk_i) begin
    input_beat_q    <= rst_ni && input_beat;
    input_step_q    <= rst_ni && input_beat && input_tlast_i;
    input_sample_q  <= rst_ni && input_beat && input_tlast_i && input_tuser_i;
    input_invalid_q <= rst_ni && input_beat && !input_tlast_i && {1'b0, input_tdata_i} >= 17'(INPUTS);
    output_spike_q  <= rst_ni && output_beat && !output_tlast_i && !OUTPUT_MEMBRANES;
    output_sample_q <= rst_ni && output_beat && output_end;
    projection_event_q   <= projection_event_i & {PROJECTIONS{rst_ni}};
    projection_waiting_q <= projection_waiting_i & {PROJECTIONS{rst_ni}};
    population_saturated_q <= population_saturated_i & {POPULATIONS * SaturatedBits{rst_ni}};
  end

  // Samples whose last step was accepted but has not left yet. Every such sample holds at least one barrier in a queue
  // of the network, so 12 bits are far beyond what the queues of 15 layers can hold.
  logic [11:0] closed_samples_q;
  logic open_sample_q;  // beats of a sample were accepted, its last step was not
  logic in_flight_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      closed_samples_q <= '0;
      open_sample_q    <= 1'b0;
      in_flight_q      <= 1'b0;
    end else begin
      if (input_sample_q != output_sample_q) begin
        closed_samples_q <= closed_samples_q + {{11{output_sample_q}}, 1'b1};
      end
      if (input_beat_q) begin
        open_sample_q <= !input_sample_q;
      end
      in_flight_q <= open_sample_q || input_beat_q || closed_samples_q != '0;
    end
  end

  // ---------------------------------------------------------------------------------------------- counters
  // A full counter with its own adder and its own input of the read multiplexer would cost about 90 LUTs. Instead every
  // counter is a word of one small memory and an input counts in a few local bits; a scan visits one counter a clock
  // and adds its local count to the word. A visit comes every Counters clocks, so that the local count cannot overflow.
  // Slots 0..3 by the two low bits of the word address (OUTPUT_SPIKES, CYCLES, STEPS, SAMPLES), then two a projection,
  // INVALID_EVENTS, and one a population.
  localparam int unsigned InvalidSlot = 4 + 2 * PROJECTIONS;
  localparam int unsigned FirstPopulation = InvalidSlot + 1;
  localparam int unsigned Counters = FirstPopulation + POPULATIONS;
  localparam int unsigned SlotBits = $clog2(Counters);
  localparam int unsigned LocalBits = $clog2(Counters * UPDATE_LANES + 1);
  localparam logic [SlotBits-1:0] LastSlot = SlotBits'(Counters - 1);

  logic [FirstPopulation-1:0] count_up;
  logic [Counters-1:0][LocalBits-1:0] local_count;
  logic clear_q;

  assign count_up[3:0] = {output_sample_q, input_step_q, in_flight_q, output_spike_q};
  for (genvar k = 0; k < PROJECTIONS; k++) begin : gen_projection
    assign count_up[4+2*k+:2] = {projection_waiting_q[k], projection_event_q[k]};
  end
  assign count_up[InvalidSlot] = input_invalid_q;

  logic [SlotBits-1:0] visit_q, sum_slot_q, held_slot_q, done_slot_q;
  for (genvar k = 0; k < Counters; k++) begin : gen_local
    localparam int unsigned Bits = (k < FirstPopulation) ? $clog2(Counters + 1) : LocalBits;
    logic [Bits-1:0] count_q, more;
    wire [Bits-1:0] kept = count_q & {Bits{visit_q != SlotBits'(k)}};
    if (k < FirstPopulation) begin : gen_one
      assign more = Bits'(count_up[k]);
    end else begin : gen_several
      assign more = Bits'(population_saturated_q[k-FirstPopulation]);
    end
    always_ff @(posedge clk_i) begin
      if (!rst_ni || clear_q) begin
        count_q <= '0;
      end else begin
        count_q <= kept + more;
      end
    end
    assign local_count[k] = LocalBits'(count_q);
  end

  // The scan: read the word and take the local count; add; hold a full counter at its largest value; write back. The word
  // of a slot is written three clocks after it was read, and read again only Counters (at least 8) clocks after that.
  (* no_rw_check *)
  logic [31:0] word_memory[Counters];
  logic [31:0] word_q, held_q;
  logic [32:0] sum_q;
  logic [LocalBits-1:0] taken_q;
  // After a clear the words count as 0 for one whole round. The local counts were cleared at once, so that all counters
  // start from the same clock.
  logic [SlotBits:0] stale_words_q;
  logic word_stale_q;

  always_ff @(posedge clk_i) begin
    word_q <= word_memory[visit_q];
    word_memory[done_slot_q] <= held_q;
  end

  always_ff @(posedge clk_i) begin
    visit_q     <= (!rst_ni || visit_q == LastSlot) ? '0 : visit_q + SlotBits'(1);
    sum_slot_q  <= visit_q;
    held_slot_q <= sum_slot_q;
    done_slot_q <= held_slot_q;
    taken_q     <= local_count[visit_q];
    if (!rst_ni || clear_q) begin
      stale_words_q <= (SlotBits + 1)'(Counters);
    end else if (stale_words_q != '0) begin
      stale_words_q <= stale_words_q - (SlotBits + 1)'(1);
    end
    word_stale_q <= stale_words_q != '0;
    sum_q <= {1'b0, word_stale_q ? 32'd0 : word_q} + 33'(taken_q);
    held_q <= sum_q[32] ? '1 : sum_q[31:0];
  end

  // sticky, until the counters are cleared
  logic saturated_q, invalid_q;
  always_ff @(posedge clk_i) begin
    saturated_q <= rst_ni && !clear_q && (saturated_q || population_saturated_q != '0);
    invalid_q   <= rst_ni && !clear_q && (invalid_q || input_invalid_q);
  end

  // ---------------------------------------------------------------------------------------------- writes
  logic address_held_q, data_held_q;
  logic address_is_control_q, address_is_population_q, data_strobe_q;
  logic [3:0] data_q, population_q;

  assign s_axil_awready = !address_held_q;
  assign s_axil_wready = !data_held_q;
  assign s_axil_bresp = 2'b00;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      address_held_q <= 1'b0;
      data_held_q    <= 1'b0;
      s_axil_bvalid  <= 1'b0;
      clear_q        <= 1'b0;
      population_q   <= '0;
    end else begin
      clear_q <= 1'b0;
      if (s_axil_awvalid && s_axil_awready) begin
        address_held_q <= 1'b1;
      end
      if (s_axil_wvalid && s_axil_wready) begin
        data_held_q <= 1'b1;
      end
      if (s_axil_bvalid) begin
        if (s_axil_bready) begin
          s_axil_bvalid  <= 1'b0;
          address_held_q <= 1'b0;
          data_held_q    <= 1'b0;
        end
      end else if (address_held_q && data_held_q) begin
        s_axil_bvalid <= 1'b1;
        clear_q       <= address_is_control_q && data_strobe_q && data_q[0];
        if (address_is_population_q && data_strobe_q) begin
          population_q <= data_q;
        end
      end
    end
    if (!address_held_q) begin
      address_is_control_q    <= s_axil_awaddr[7:2] == ControlWord;
      address_is_population_q <= s_axil_awaddr[7:2] == PopulationWord;
    end
    if (!data_held_q) begin
      data_q        <= s_axil_wdata[3:0];
      data_strobe_q <= s_axil_wstrb[0];
    end
  end

  // ---------------------------------------------------------------------------------------------- reads
  // A constant is known one clock after its address; a counter is caught when the scan passes it.
  typedef enum logic [1:0] {
    ReadIdle,
    ReadDecode,
    ReadCatch,
    ReadOffer
  } read_state_t;
  read_state_t read_state_q;
  logic [5:0] read_word_q;
  logic [5:0] read_slot_q;
  logic read_counter_q;
  logic [31:0] constant;

  always_comb begin
    constant = '0;
    case (read_word_q)
      6'h00: constant = Identity;
      6'h01: constant = Shape;
      6'h02: constant = Projections;
      6'h04: constant = {29'd0, invalid_q, saturated_q, in_flight_q};
      PopulationWord: constant = 32'(population_q);
      6'h10, 6'h11, 6'h12, 6'h13, 6'h14, 6'h15, 6'h16, 6'h17:
        constant = DIGEST[32*(7-int'(read_word_q[2:0]))+:32];
      default: constant = '0;
    endcase
  end

  wire read_global = read_word_q >= 6'h05 && read_word_q <= 6'h08;
  wire read_projection = read_word_q[5] && {1'b0, read_word_q[4:0]} < 6'(2 * PROJECTIONS);
  wire read_population = read_word_q == SaturationsWord && population_q < 4'(POPULATIONS);
  wire read_invalid = read_word_q == InvalidWord;

  assign s_axil_arready = read_state_q == ReadIdle;
  assign s_axil_rvalid = read_state_q == ReadOffer;
  assign s_axil_rresp = 2'b00;

  always_ff @(posedge clk_i) begin
    read_counter_q <= read_global || read_projection || read_population || read_invalid;
    read_slot_q    <= read_word_q[5] ? {1'b0, read_word_q[4:0]} + 6'd4
                      : read_population ? 6'(population_q) + 6'(FirstPopulation)
                      : read_invalid ? 6'(InvalidSlot) : {4'd0, read_word_q[1:0]};
    case (read_state_q)
      ReadIdle: begin
        read_word_q <= s_axil_araddr[7:2];
        if (s_axil_arvalid) begin
          read_state_q <= ReadDecode;
        end
      end
      ReadDecode: begin
        s_axil_rdata <= constant;
        read_state_q <= ReadCatch;
      end
      ReadCatch: begin
        if (!read_counter_q) begin
          read_state_q <= ReadOffer;
        end else if (6'(done_slot_q) == read_slot_q) begin
          s_axil_rdata <= held_q;
          read_state_q <= ReadOffer;
        end
      end
      default: begin
        if (s_axil_rready) begin
          read_state_q <= ReadIdle;
        end
      end
    endcase
    if (!rst_ni) begin
      read_state_q <= ReadIdle;
    end
  end

  // the byte offset of an address and the rest of a control word carry nothing
  wire unused = &{1'b0, s_axil_awaddr[1:0], s_axil_araddr[1:0], s_axil_wdata[31:4], s_axil_wstrb[3:1], 1'b0};
endmodule
