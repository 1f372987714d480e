// SPDX-License-Identifier: Apache-2.0
// The integer step of neurohw/step.py for whole samples: event driven in the synapses, one pass or a few over the neurons of a population, all in its cache.
//
// native.py hands over flat arrays; it keeps the layout of structures.h. A population computes in 16 bits first, and looks whether a number comes
// near their end. A sample in which one does is run again with the bits that native.py has proved to be enough, 32 or 64; after a few such samples the
// population stays there. Arrays of neurons are padded with neurons that never fire to whole vectors, so that no loop has a rest; the compiler maps vectors
// of 64 bytes to what the processor has. Threads take samples in turn; nothing is shared between samples.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "events.h"
#include "neurons.h"
#include "structures.h"
#include "synapses.h"

namespace {

constexpr int kPatience = 3;      // samples that a population may spoil before it computes in more bits
constexpr int64_t kAhead = 3;  // steps whose input is on its way from memory

// What one thread has: every population in proved bits and, where these are more than 16, in trusted ones.
struct Worker {
  const Job& job;
  const std::vector<Weights>& weights;
  std::atomic<bool>& beyond;
  std::vector<std::unique_ptr<Population>> proved, trusting;
  std::vector<Population*> active;
  std::vector<int> spoiled;
  bool counting = false;
  std::vector<int64_t> saturations;  // by population, of all samples
  int64_t depth = 1;  // events are kept for as many steps as the longest delay
  std::vector<std::vector<Events>> events;  // of the input (position 0) and of every population

  Worker(const Job& j, const std::vector<Weights>& w, std::atomic<bool>& b) : job(j), weights(w), beyond(b), spoiled(static_cast<size_t>(j.count)), saturations(static_cast<size_t>(j.count)) {
    for (int32_t k = 0; k < job.count; k++) {
      const NativePopulation& p = job.populations[k];
      if (p.bits == 16) proved.push_back(std::make_unique<Neurons<int16_t>>(p, false));
      else if (p.bits == 32) proved.push_back(std::make_unique<Neurons<int32_t>>(p, false));
      else proved.push_back(std::make_unique<Neurons<int64_t>>(p, false));
      const bool hopeful = p.bits > 16 && Neurons<int16_t>::trusted_room(p) > 0;
      trusting.push_back(hopeful ? std::make_unique<Neurons<int16_t>>(p, true) : nullptr);
      active.push_back(hopeful ? trusting.back().get() : proved.back().get());
    }
    for (int32_t q = 0; q < job.projection_count; q++) depth = std::max(depth, job.projections[q].delay + 1);
    events.emplace_back(static_cast<size_t>(depth), Events(job.inputs));
    for (int32_t k = 0; k < job.count; k++) events.emplace_back(static_cast<size_t>(depth), Events(job.populations[k].size));
  }

  void sample(int64_t index) {
    const int32_t failed = counted(index);
    if (failed < 0) return;
    const size_t k = static_cast<size_t>(failed);
    const std::vector<Population*> before = active;
    for (size_t i = 0; i < active.size(); i++) active[i] = proved[i].get();
    counted(index);
    active = before;
    if (++spoiled[k] == kPatience) active[k] = proved[k].get();
  }

  // An attempt. The first sample in which a state saturates runs once more, and neurons are counted from there on.
  int32_t counted(int64_t index) {
    int32_t failed = attempt(index);
    if (failed < 0 && !counting && std::any_of(active.begin(), active.end(), [](const Population* p) { return p->saturated; })) {
      counting = true;
      for (const auto* all : {&proved, &trusting}) for (const auto& population : *all) if (population) population->counting = true;
      failed = attempt(index);
    }
    if (failed < 0) for (size_t k = 0; k < active.size(); k++) saturations[k] += active[k]->saturations;
    return failed;
  }

  void prefetch(const uint8_t* row) const {
    for (int64_t j = 0; j < job.inputs; j += static_cast<int64_t>(kLine)) __builtin_prefetch(row + j);
    __builtin_prefetch(row + job.inputs - 1);
  }

  // The population whose numbers did not fit, or -1.
  int32_t attempt(int64_t index) {
    for (Population* population : active) population->rest();
    for (int64_t t = 0; t < job.steps; t++) {
      const size_t now = static_cast<size_t>(t % depth);
      const uint8_t* row = job.input + t * job.step_stride + index * job.sample_stride;
      if (t + kAhead < job.steps) prefetch(row + kAhead * job.step_stride);
      collect(row, static_cast<size_t>(job.inputs), events[0][now]);
      for (const auto& event : events[0][now].counted) {
        if (event.second > job.largest_count) {
          beyond = true;
          return -1;
        }
      }
      for (int32_t m = 0; m < job.modulation_count; m++) {
        const NativeModulation& q = job.modulations[m];
        active[static_cast<size_t>(q.target)]->modulate(q, *active[static_cast<size_t>(q.source)]);
      }
      for (int32_t k = 0; k < job.count; k++) {
        Population& population = *active[static_cast<size_t>(k)];
        for (const Weights& w : weights) {
          const NativeProjection& q = w.projection;
          if (q.target == k && t >= q.delay) population.arrive(w, events[static_cast<size_t>(q.source + 1)][static_cast<size_t>((t - q.delay) % depth)]);
        }
        if (!population.advance(events[static_cast<size_t>(k) + 1][now])) return k;
        population.record(job, t, index);
      }
    }
    return -1;
  }
};

}  // namespace

// 1 where the input has a count above the largest that the bits are proved for, and the result is worth nothing; else 0
extern "C" int32_t neurohw_run(int64_t steps, int64_t samples, const uint8_t* input, int64_t inputs, int64_t step_stride, int64_t sample_stride,
                            const NativePopulation* populations, int32_t count, const NativeProjection* projections,
                            int32_t projection_count, const NativeModulation* modulations,
                            int32_t modulation_count, int32_t largest_count, int64_t* saturations, int32_t threads) {
  const Job job{steps, samples, input, inputs, step_stride, sample_stride, populations, count, projections, projection_count, modulations, modulation_count, largest_count, saturations};
  std::vector<Weights> weights;
  for (int32_t q = 0; q < projection_count; q++) weights.emplace_back(projections[q], populations[projections[q].target].size);
  std::atomic<int64_t> next{0};
  std::atomic<bool> beyond{false};
  std::mutex adding;
  const auto work = [&] {
    Worker worker(job, weights, beyond);
    for (int64_t index = next++; index < samples && !beyond; index = next++) worker.sample(index);
    const std::lock_guard<std::mutex> lock(adding);
    for (size_t k = 0; k < worker.saturations.size(); k++) saturations[k] += worker.saturations[k];
  };
  std::vector<std::thread> pool;
  for (int32_t i = 1; i < threads; i++) pool.emplace_back(work);
  work();
  for (auto& thread : pool) thread.join();
  return beyond;
}
