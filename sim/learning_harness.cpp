// SPDX-License-Identifier: Apache-2.0
// Native harness of a learning core: streams samples through a Verilated nhw_network, records every spike, state, trace, weight and the astrocyte, and reads the
// weights back through the registers.
//
// usage: learning_harness STIMULUS RESULT [idle=P] [backpressure=P] [seed=N]
// The binary formats are written and read by neurohw/hardware/verify/learning.py; all numbers are little-endian.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vnhw_network.h"
#include "verilated.h"

namespace {

struct Recording {
  uint32_t samples = 0, steps = 0, neurons = 0, sources = 0, rows = 0, lanes = 0, every = 0;
  uint64_t neuron_calls = 0, trace_calls = 0, astrocyte_calls = 0, step_calls = 0;
  std::vector<uint8_t> spikes;      // [step, neuron]
  std::vector<int32_t> states;      // [step, neuron, (v, c, r, a)]
  std::vector<int32_t> traces;      // [step, source]
  std::vector<int32_t> astrocyte;   // [step]
  std::vector<int32_t> snapshots;   // [snapshot, row, lane]
  uint64_t cells() const { return static_cast<uint64_t>(samples) * steps; }
};

Recording recording;

[[noreturn]] void fail(const std::string& message) {
  std::cerr << message << "\n";
  std::exit(4);
}

uint32_t read_word(std::istream& in) {
  uint8_t b[4];
  if (!in.read(reinterpret_cast<char*>(b), 4)) fail("stimulus is truncated");
  return b[0] | b[1] << 8 | b[2] << 16 | static_cast<uint32_t>(b[3]) << 24;
}

template <typename T>
void write_all(std::ostream& out, const std::vector<T>& data) {
  out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size() * sizeof(T)));
}

}  // namespace

extern "C" void nhw_probe(int, int neuron, int spike, int membrane, int current, int refractory, int adaptation) {
  Recording& r = recording;
  const uint64_t step = r.neuron_calls++ / r.neurons;
  if (step >= r.cells()) fail("the neurons made more steps than they were given");
  const size_t place = step * r.neurons + static_cast<size_t>(neuron);
  r.spikes[place] = static_cast<uint8_t>(spike);
  const int32_t values[] = {membrane, current, refractory, adaptation};
  for (int i = 0; i < 4; ++i) r.states[4 * place + static_cast<size_t>(i)] = values[i];
}

extern "C" void nhw_probe_trace(int source, int value) {
  Recording& r = recording;
  const uint64_t step = r.trace_calls++ / r.sources;
  if (step >= r.cells()) fail("the traces made more steps than they were given");
  r.traces[step * r.sources + static_cast<size_t>(source)] = value;
}

extern "C" void nhw_probe_astrocyte(int state) {
  Recording& r = recording;
  if (r.astrocyte_calls >= r.cells()) fail("the astrocyte made more steps than it was given");
  r.astrocyte[r.astrocyte_calls++] = state;
}

extern "C" int nhw_probe_wanted() {
  Recording& r = recording;
  return ++r.step_calls, r.every != 0 && r.step_calls % r.every == 0;
}

extern "C" void nhw_probe_weight(int, int, int weight) { recording.snapshots.push_back(weight); }

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: learning_harness STIMULUS RESULT [idle=P] [backpressure=P] [seed=N]\n";
    return 2;
  }
  double idle = 0, backpressure = 0;
  unsigned seed = 1;
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string value = word.substr(word.find('=') + 1);
    if (word.rfind("idle=", 0) == 0) idle = std::stod(value);
    else if (word.rfind("backpressure=", 0) == 0) backpressure = std::stod(value);
    else if (word.rfind("seed=", 0) == 0) seed = static_cast<unsigned>(std::stoul(value));
    else fail("unknown argument " + word);
  }

  // --- stimulus: seven numbers; whether each sample learns; then per sample and step a count and that many addresses
  std::ifstream in(argv[1], std::ios::binary);
  Recording& r = recording;
  for (uint32_t* number : {&r.samples, &r.steps, &r.neurons, &r.sources, &r.rows, &r.lanes, &r.every}) *number = read_word(in);
  std::vector<uint32_t> learns(r.samples);
  for (uint32_t& flag : learns) flag = read_word(in);
  std::vector<uint32_t> beats;  // bit 16: barrier, bit 17: last step of the sample
  std::vector<size_t> first_beat;
  for (uint32_t s = 0; s < r.samples; ++s) {
    first_beat.push_back(beats.size());
    for (uint32_t t = 0; t < r.steps; ++t) {
      const uint32_t count = read_word(in);
      for (uint32_t k = 0; k < count; ++k) beats.push_back(read_word(in) & 0xFFFF);
      beats.push_back(0x10000u | (t + 1 == r.steps ? 0x20000u : 0u));
    }
  }
  r.spikes.assign(r.cells() * r.neurons, 0);
  r.states.assign(4 * r.cells() * r.neurons, 0);
  r.traces.assign(r.cells() * r.sources, 0);
  r.astrocyte.assign(r.cells(), 0);
  std::vector<uint8_t> sent(r.cells() * r.neurons, 0);  // what left through m_axis

  const auto context = std::make_unique<VerilatedContext>();
  const auto top = std::make_unique<Vnhw_network>(context.get());
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  uint64_t cycle = 0;
  const auto settle = [&] { top->clk_i = 0; top->eval(); };
  const auto tick = [&] { top->clk_i = 1; top->eval(); ++cycle; };

  const auto write_register = [&](uint8_t address, uint32_t value) {
    top->s_axil_awaddr = address;
    top->s_axil_wdata = value;
    top->s_axil_wstrb = 0xF;
    top->s_axil_awvalid = top->s_axil_wvalid = 1;
    for (int i = 0; i < 100000; ++i) {
      settle();
      const bool address_taken = top->s_axil_awvalid && top->s_axil_awready, data_taken = top->s_axil_wvalid && top->s_axil_wready;
      const bool done = top->s_axil_bvalid;
      tick();
      if (address_taken) top->s_axil_awvalid = 0;
      if (data_taken) top->s_axil_wvalid = 0;
      if (done) return;
    }
    fail("register " + std::to_string(address) + " does not answer a write");
  };
  const auto read_register = [&](uint8_t address) -> uint32_t {
    top->s_axil_araddr = address;
    top->s_axil_arvalid = 1;
    for (int i = 0; i < 100000; ++i) {
      settle();
      const bool taken = top->s_axil_arvalid && top->s_axil_arready, valid = top->s_axil_rvalid;
      const uint32_t data = top->s_axil_rdata;
      tick();
      if (taken) top->s_axil_arvalid = 0;
      if (valid) return data;
    }
    fail("register " + std::to_string(address) + " does not answer");
  };

  top->rst_ni = 0;
  top->s_axis_tvalid = top->m_axis_tready = 0;
  top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = 0;
  top->s_axil_bready = top->s_axil_rready = 1;
  for (int i = 0; i < 8; ++i) { settle(); tick(); }
  top->rst_ni = 1;

  size_t next = 0, in_sample = 0, out_sample = 0, out_step = 0;
  bool offered = false;
  uint32_t learning = 1;  // as after the reset
  uint64_t quiet = 0;
  while (out_sample < r.samples) {
    // a sample that learns otherwise than the one before starts when that has left
    const bool change = !offered && in_sample < r.samples && next == first_beat[in_sample] && learns[in_sample] != learning;
    if (change && out_sample == in_sample) {
      top->s_axis_tvalid = 0;
      learning = learns[in_sample];
      write_register(0x60, learning);
    }
    if (!offered && next < beats.size() && !(change && out_sample != in_sample)) offered = idle == 0 || uniform(random) >= idle;
    top->s_axis_tvalid = offered;
    if (offered) {
      top->s_axis_tdata = static_cast<uint16_t>(beats[next]);
      top->s_axis_tlast = (beats[next] >> 16) & 1;
      top->s_axis_tuser = (beats[next] >> 17) & 1;
    }
    top->m_axis_tready = backpressure == 0 || uniform(random) >= backpressure;
    settle();
    ++quiet;
    if (offered && top->s_axis_tready) {
      if (beats[next] & 0x20000u) ++in_sample;
      ++next;
      offered = false;
      quiet = 0;
    }
    if (top->m_axis_tvalid && top->m_axis_tready) {
      quiet = 0;
      if (top->m_axis_tlast) {
        const bool done = ++out_step == r.steps;
        if (done != static_cast<bool>(top->m_axis_tuser)) fail("tuser not at the last step of sample " + std::to_string(out_sample));
        if (done) { ++out_sample; out_step = 0; }
      } else {
        if (top->m_axis_tdata >= r.neurons) fail("impossible output event in sample " + std::to_string(out_sample));
        ++sent[(out_sample * r.steps + out_step) * r.neurons + top->m_axis_tdata];
      }
    }
    tick();
    if (quiet > 2000000) fail("no progress for 2,000,000 clocks: sample " + std::to_string(out_sample) + " hangs");
  }
  top->s_axis_tvalid = 0;
  top->m_axis_tready = 1;

  // --- what a host would fetch: the weights, which wait for the end of the last pass; then the counters
  write_register(0x64, 0);
  std::vector<int32_t> fetched;
  for (uint64_t k = 0; k < static_cast<uint64_t>(r.rows) * r.lanes; ++k) fetched.push_back(static_cast<int32_t>(read_register(0x68)));
  for (int i = 0; i < 64; ++i) { settle(); tick(); }
  std::vector<uint32_t> counters;
  for (uint8_t address : {0x00, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x28, 0x2C, 0x60, 0x6C, 0x70, 0x80, 0x84, 0x88, 0x8C}) counters.push_back(read_register(address));
  for (uint8_t word = 0; word < 8; ++word) counters.push_back(read_register(static_cast<uint8_t>(0x40 + 4 * word)));
  top->final();
  if (r.neuron_calls != r.cells() * r.neurons || r.trace_calls != r.cells() * r.sources || r.astrocyte_calls != r.cells() ||
      r.step_calls != r.cells()) {
    fail("the core made another number of steps than it was given");
  }

  std::ofstream out(argv[2], std::ios::binary);
  write_all(out, r.spikes);
  write_all(out, r.states);
  write_all(out, r.traces);
  write_all(out, r.astrocyte);
  write_all(out, fetched);
  write_all(out, sent);
  write_all(out, counters);
  write_all(out, r.snapshots);
  out.flush();
  return out ? 0 : 2;
}
