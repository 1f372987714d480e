// SPDX-License-Identifier: Apache-2.0
// Native harness: streams samples through a Verilated nhw_network and records what it did.
//
// usage: harness STIMULUS RESULT [states] [idle=P] [backpressure=P] [seed=N] [fst=FILE]
// The binary formats are written and read by neurohw/hardware/verify/harness.py; all numbers are little-endian.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vnhw_network.h"
#include "verilated.h"
#ifdef NHW_TRACE
#include "verilated_fst_c.h"
#endif

namespace {

struct Layer {
  std::vector<int32_t> slots;  // the neuron in every slot of the hardware, -1 for none
  uint32_t neurons = 0;
  uint64_t calls = 0;          // probes so far; calls / slots is the number of the sweep
  size_t offset = 0;           // of the layer's first neuron within one step of a result
};

struct Recording {
  uint32_t samples = 0, steps = 0, outputs = 0, membranes = 0, total = 0;
  bool states = false;
  std::vector<Layer> layers;
  std::vector<uint8_t> spikes;
  std::vector<int32_t> values;  // v, c, r, a in turn
  bool overrun = false;
};

Recording recording;

uint32_t read_word(std::istream& in) {
  uint8_t b[4];
  if (!in.read(reinterpret_cast<char*>(b), 4)) {
    std::cerr << "stimulus is truncated\n";
    std::exit(2);
  }
  return b[0] | b[1] << 8 | b[2] << 16 | static_cast<uint32_t>(b[3]) << 24;
}

template <typename T>
void write_all(std::ostream& out, const std::vector<T>& data) {
  out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size() * sizeof(T)));
}

}  // namespace

extern "C" void nhw_probe(int layer, int slot, int spike, int membrane, int current, int refractory,
                          int adaptation) {
  Recording& r = recording;
  Layer& l = r.layers[static_cast<size_t>(layer)];
  const uint64_t sweep = l.calls++ / l.slots.size();
  if (sweep >= static_cast<uint64_t>(r.samples) * r.steps) {
    r.overrun = true;
    return;
  }
  const int32_t neuron = l.slots[static_cast<size_t>(slot)];
  if (neuron < 0) {
    if (spike) r.overrun = true;
    return;
  }
  const size_t place = sweep * r.total + l.offset + static_cast<size_t>(neuron);
  r.spikes[place] = static_cast<uint8_t>(spike);
  if (r.states) {
    r.values[4 * place] = membrane;
    r.values[4 * place + 1] = current;
    r.values[4 * place + 2] = refractory;
    r.values[4 * place + 3] = adaptation;
  }
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: harness STIMULUS RESULT [states] [idle=P] [backpressure=P] [seed=N] [fst=FILE]\n";
    return 2;
  }
  double idle = 0, backpressure = 0;
  unsigned seed = 1;
  std::string fst;
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string value = word.substr(word.find('=') + 1);
    if (word == "states") recording.states = true;
    else if (word.rfind("idle=", 0) == 0) idle = std::stod(value);
    else if (word.rfind("backpressure=", 0) == 0) backpressure = std::stod(value);
    else if (word.rfind("seed=", 0) == 0) seed = static_cast<unsigned>(std::stoul(value));
    else if (word.rfind("fst=", 0) == 0) fst = value;
    else { std::cerr << "unknown argument " << word << "\n"; return 2; }
  }

  // --- stimulus: samples, steps, layers, projections, output layer, output kind; per layer its slots; then per sample and step a count
  // and that many addresses
  std::ifstream in(argv[1], std::ios::binary);
  Recording& r = recording;
  r.samples = read_word(in);
  r.steps = read_word(in);
  r.layers.resize(read_word(in));
  const uint32_t projections = read_word(in);
  const uint32_t output = read_word(in);
  r.membranes = read_word(in);
  for (Layer& l : r.layers) {
    l.slots.resize(read_word(in));
    for (int32_t& neuron : l.slots) {
      neuron = static_cast<int32_t>(read_word(in));
      if (neuron >= 0) ++l.neurons;
    }
    l.offset = r.total;
    r.total += l.neurons;
  }
  r.outputs = r.layers[output].neurons;
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
  const size_t cells = static_cast<size_t>(r.samples) * r.steps;
  r.spikes.assign(cells * r.total, 0);
  if (r.states) r.values.assign(4 * cells * r.total, 0);
  // what left through m_axis: membranes [sample, neuron], or spike counts [sample, step, neuron]
  std::vector<int32_t> sent((r.membranes ? r.samples : cells) * r.outputs, 0);
  std::vector<uint64_t> entered(r.samples, 0), left(r.samples, 0);

  const auto context = std::make_unique<VerilatedContext>();
  const auto top = std::make_unique<Vnhw_network>(context.get());
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
#ifdef NHW_TRACE
  std::unique_ptr<VerilatedFstC> trace;
  if (!fst.empty()) {
    context->traceEverOn(true);
    trace = std::make_unique<VerilatedFstC>();
    top->trace(trace.get(), 99);
    trace->open(fst.c_str());
  }
#else
  if (!fst.empty()) {
    std::cerr << "this harness was built without waveforms\n";
    return 2;
  }
#endif

  uint64_t cycle = 0;
  const auto settle = [&] { top->clk_i = 0; top->eval();
#ifdef NHW_TRACE
    if (trace) trace->dump(cycle * 2);
#endif
  };
  const auto tick = [&] { top->clk_i = 1; top->eval();
#ifdef NHW_TRACE
    if (trace) trace->dump(cycle * 2 + 1);
#endif
    ++cycle;
  };

  top->rst_ni = 0;
  top->s_axis_tvalid = 0;
  top->m_axis_tready = 0;
  top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = 0;
  top->s_axil_bready = top->s_axil_rready = 1;
  for (int i = 0; i < 8; ++i) { settle(); tick(); }
  top->rst_ni = 1;

  size_t next = 0, in_sample = 0, out_sample = 0, out_step = 0, out_neuron = 0;
  bool offered = false;
  uint64_t quiet = 0;
  while (out_sample < r.samples) {
    // valid, once raised, stays until it is accepted
    if (!offered && next < beats.size()) offered = idle == 0 || uniform(random) >= idle;
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
      if (in_sample < r.samples && next == first_beat[in_sample]) entered[in_sample] = cycle;
      if (beats[next] & 0x20000u) ++in_sample;
      ++next;
      offered = false;
      quiet = 0;
    }
    if (top->m_axis_tvalid && top->m_axis_tready) {
      quiet = 0;
      bool sample_done = false;
      if (r.membranes) {
        if (out_neuron >= r.outputs) { std::cerr << "more membranes than outputs in sample " << out_sample << "\n"; return 4; }
        sent[out_sample * r.outputs + out_neuron++] = static_cast<int32_t>(top->m_axis_tdata);
        sample_done = top->m_axis_tlast;
        if (sample_done != (out_neuron == r.outputs)) { std::cerr << "tlast not at the last membrane of sample " << out_sample << "\n"; return 4; }
      } else if (top->m_axis_tlast) {
        sample_done = ++out_step == r.steps;
        if (sample_done != static_cast<bool>(top->m_axis_tuser)) { std::cerr << "tuser not at the last step of sample " << out_sample << "\n"; return 4; }
      } else {
        if (out_step >= r.steps || top->m_axis_tdata >= r.outputs) { std::cerr << "impossible output event in sample " << out_sample << "\n"; return 4; }
        ++sent[(out_sample * r.steps + out_step) * r.outputs + top->m_axis_tdata];
      }
      if (sample_done) {
        left[out_sample++] = cycle;
        out_neuron = out_step = 0;
      }
    }
    tick();
    if (quiet > 2000000) {
      std::cerr << "no progress for 2,000,000 clocks: sample " << out_sample << " hangs\n";
      return 3;
    }
  }

  // --- what nobody waits for, such as the last step of an astrocyte, ends a little later
  top->s_axis_tvalid = 0;
  top->m_axis_tready = 1;
  const auto swept = [&] {
    for (const Layer& l : r.layers) {
      if (l.calls < cells * l.slots.size()) return false;
    }
    return true;
  };
  for (int i = 0; i < 2000000 && !swept(); ++i) { settle(); tick(); }

  // --- counters, through the bus that a host uses
  // counters lag by a scan over all of them
  for (int i = 0; i < 100; ++i) { settle(); tick(); }
  const auto write_register = [&](uint8_t address, uint32_t value) {
    top->s_axil_awaddr = address;
    top->s_axil_wdata = value;
    top->s_axil_wstrb = 0xF;
    top->s_axil_awvalid = top->s_axil_wvalid = 1;
    for (int i = 0; i < 100; ++i) {
      settle();
      const bool address_taken = top->s_axil_awready, data_taken = top->s_axil_wready, done = top->s_axil_bvalid;
      tick();
      if (address_taken) top->s_axil_awvalid = 0;
      if (data_taken) top->s_axil_wvalid = 0;
      if (done) return;
    }
    std::cerr << "register " << static_cast<int>(address) << " does not answer a write\n";
    std::exit(4);
  };
  const auto read_register = [&](uint8_t address) {
    top->s_axil_araddr = address;
    top->s_axil_arvalid = 1;
    bool accepted = false;
    for (int i = 0; i < 100; ++i) {
      settle();
      const bool address_taken = top->s_axil_arvalid && top->s_axil_arready;
      const bool valid = top->s_axil_rvalid;
      const uint32_t data = top->s_axil_rdata;
      tick();
      if (address_taken) { accepted = true; top->s_axil_arvalid = 0; }
      if (accepted && valid) return data;
    }
    std::cerr << "register " << static_cast<int>(address) << " does not answer\n";
    std::exit(4);
  };
  std::vector<uint32_t> counters;
  for (uint8_t address : {0x00, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x2C}) counters.push_back(read_register(address));
  for (uint8_t word = 0; word < 8; ++word) counters.push_back(read_register(static_cast<uint8_t>(0x40 + 4 * word)));
  for (size_t k = 0; k < projections; ++k) {
    counters.push_back(read_register(static_cast<uint8_t>(0x80 + 8 * k)));
    counters.push_back(read_register(static_cast<uint8_t>(0x84 + 8 * k)));
  }
  for (uint32_t k = 0; k < r.layers.size(); ++k) {
    write_register(0x24, k);
    counters.push_back(read_register(0x28));
  }
#ifdef NHW_TRACE
  if (trace) trace->close();
#endif
  top->final();
  for (const Layer& l : r.layers) {
    if (l.calls != cells * l.slots.size()) r.overrun = true;
  }
  if (r.overrun) {
    std::cerr << "a layer swept another number of steps than it was given\n";
    return 4;
  }

  std::ofstream out(argv[2], std::ios::binary);
  write_all(out, r.spikes);
  write_all(out, r.values);
  write_all(out, sent);
  write_all(out, entered);
  write_all(out, left);
  write_all(out, counters);
  out.flush();
  return out ? 0 : 2;
}
