// SPDX-License-Identifier: Apache-2.0
// The Verilated design and nothing else: a stimulus in memory goes in as fast as the design takes it, nothing is recorded. Prints clocks and processor seconds.
//
// usage: floor STIMULUS, of the format of sim/harness.cpp
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "Vnhw_network.h"
#include "verilated.h"

extern "C" void nhw_probe(int, int, int, int, int, int, int) {}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::ifstream in(argv[1], std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const uint32_t* word = reinterpret_cast<const uint32_t*>(bytes.data());
  const uint32_t samples = word[0], steps = word[1], layers = word[2];
  word += 6;
  for (uint32_t i = 0; i < layers; ++i) word += 1 + word[0];
  std::vector<uint32_t> beats;  // bit 16: barrier, bit 17: last step of the sample
  for (uint32_t i = 0; i < samples * steps; ++i) {
    const uint32_t count = *word++;
    beats.insert(beats.end(), word, word + count);
    word += count;
    beats.push_back(0x10000u | ((i + 1) % steps == 0 ? 0x20000u : 0u));
  }
  const auto context = std::make_unique<VerilatedContext>();
  const auto top = std::make_unique<Vnhw_network>(context.get());
  const auto clock = [&](int value) { top->clk_i = value; top->eval(); };
  top->rst_ni = 0;
  top->m_axis_tready = 1;
  top->s_axis_tvalid = top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = 0;
  for (int i = 0; i < 8; ++i) { clock(0); clock(1); }
  top->rst_ni = 1;
  const std::clock_t start = std::clock();
  uint64_t clocks = 0;
  for (size_t next = 0, ended = 0; ended < samples; ++clocks) {
    top->s_axis_tvalid = next < beats.size();
    if (next < beats.size()) {
      top->s_axis_tdata = static_cast<uint16_t>(beats[next]);
      top->s_axis_tlast = (beats[next] >> 16) & 1;
      top->s_axis_tuser = (beats[next] >> 17) & 1;
    }
    clock(0);
    next += next < beats.size() && top->s_axis_tready;
    ended += top->m_axis_tvalid && top->m_axis_tlast && top->m_axis_tuser;
    clock(1);
  }
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(clocks), static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  return 0;
}
