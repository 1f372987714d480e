// SPDX-License-Identifier: Apache-2.0
// Populations that feed each other in a chain, each perhaps with a projection on itself, all steps, forward and back, in float32. Called by chain.py.
//
// A block of samples goes through all populations and steps in the caches: events of the source add their rows of weights to the currents, the neurons advance, and
// their events feed the next population. What is written to memory is what is wanted and, for the way back, u - threshold, from which the spikes are known as well.
// Going back, a block takes the populations and steps from the last to the first; gradients by currents and by spikes stay in the caches.
//
// Arrays outside are [time, sample, neuron], those of a block [step of a sample, neuron] with rows in whole lines, and u - threshold is kept as [sample, step, neuron].
// Weights come as [target, source], and are turned to [source, padded target]: an event adds one contiguous row. Sums of gradients over samples are made in parts that
// depend on the shapes alone, so that the result does not depend on the number of threads.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "lines.h"
#include "neuron.h"
#include "panels.h"
#include "parallel.h"

namespace {

constexpr int64_t kTargets = 128;      // whose weights stay in the second cache while the steps of a block go by
constexpr int64_t kBlock = 8;          // samples
constexpr int64_t kBackward = 2;       // the same going back without loops: the arrays of a block then stay in the second cache
constexpr int64_t kAhead = 4;          // steps whose events are fetched beforehand
constexpr int64_t kParts = 32;         // of the samples, at most
constexpr int64_t kPartial = 4 << 20;  // floats of sums in all parts together, if there is more than one

}  // namespace

extern "C" {

struct Population {
  int64_t neurons, sources, delay, loop_delay;  // sources: of the feed, 0 without one
  int64_t reset, refractory, integrates, strict;
  const float* constants;    // [6, padded neuron]
  const float *feed, *loop;  // weights [target, source]; null where there are none and, going back, where nobody asks for the gradient by spikes
  const float* bias;         // [neuron]; null without a feed
  float *spikes, *membrane;  // [time, sample, neuron]; or null
  // going back; each may be null
  const float *by_spikes, *by_membrane;  // [time, sample, neuron]
  float *by_feed, *by_loop, *by_bias;    // like the weights and the bias
};

struct Chain {
  int64_t steps, samples, count, surrogate, through_reset;
  double slope;
  const Population* populations;
  const float* currents;  // into the first one, [time, sample, neuron], all but its loop; or null, and its feed has events
  const int64_t* first;   // events of the rows [time, sample] of the stimulus: where they begin [row + 1]
  const int32_t* source;
  const float* value;  // null: all are 1
  float* kept;         // u - threshold of all populations, each [sample, time, padded neuron]; or null
  float *by_currents, *by_stimulus;
  int32_t threads;
};

}  // extern "C"

namespace {

// Rows in whole lines, whose rest is 0.
class Rows {
 public:
  Rows(int64_t count, int64_t size) : stride(whole_lines(size)), values_(count * whole_lines(size)) {}
  float* at(int64_t row) { return values_.data() + row * stride; }
  const int64_t stride;

 private:
  Aligned values_;
};

// What the way forward needs of a population: weights [source, padded target], and the padded bias.
struct Turned {
  Aligned feed, loop, bias;
};

constexpr int64_t kTurn = 16;  // rows and columns that are turned at once

// [rows, columns] to [columns, stride], in shares of kTurn columns
void turn(const float* from, int64_t rows, int64_t columns, int64_t begin, float* to, int64_t stride) {
  const int64_t end = std::min(columns, begin + kTurn);
  for (int64_t i = 0; i < rows; i += kTurn) {
    for (int64_t j = begin; j < end; j++) {
      for (int64_t k = i; k < std::min(rows, i + kTurn); k++) to[j * stride + k] = from[k * columns + j];
    }
  }
}

// The events of rows that are written one after the other, and stay where they are.
class Written {
 public:
  // for at most `rows` of `neurons`, whole lines
  void clear(int64_t rows, int64_t neurons) {
    neurons_ = neurons;
    if (rows * neurons > room_) {
      room_ = rows * neurons;
      source_.reset(new int32_t[static_cast<size_t>(room_ + kLine)]);  // memory that is never touched costs nothing
    }
    first_.reserve(static_cast<size_t>(rows) + 1);
    first_.assign(1, 0);
  }

  // A row of u - threshold.
  void add(const float* above, bool strict) {
    int64_t count = first_.back();
    for (int64_t n = 0; n < neurons_; n += kLine) count += write_places(fired(above + n, strict), static_cast<int32_t>(n), source_.get() + count);
    first_.push_back(count);
  }

  Events of(int64_t row) const {
    const int64_t begin = first_[static_cast<size_t>(row)];
    return {source_.get() + begin, nullptr, first_[static_cast<size_t>(row) + 1] - begin};
  }

 private:
  int64_t neurons_ = 0, room_ = -1;
  std::unique_ptr<int32_t[]> source_;
  std::vector<int64_t> first_;
};

Model<float> model_of(const Chain& c, const Population& p) { return {p.refractory, p.integrates != 0, p.strict != 0, c.through_reset != 0, static_cast<float>(c.slope)}; }

bool is_plain(const Chain& c, const Population& p) { return Constants<float>(p.constants, whole_lines(p.neurons)).plain(model_of(c, p), whole_lines(p.neurons)); }

// A block of samples; `most` of them, and `widest` the most gradients by spikes of a row. Row t count + s of its arrays is step t of its sample s of `count`.
class Block {
 public:
  Block(const Chain& chain, const std::vector<Turned>& turned, int64_t most, int64_t widest)
      : c(chain),
        turned_(turned),
        fired_(static_cast<size_t>(chain.count)),
        by_feed_(static_cast<size_t>(chain.count)),
        by_loop_(static_cast<size_t>(chain.count)),
        given_(c.steps * most * widest),
        most_(most) {
    float* kept = c.kept;
    for (int64_t k = 0; k < c.count; k++) {
      rows_.emplace_back(c.steps * most, c.populations[k].neurons);
      kept_.push_back(kept);
      if (kept) kept += c.samples * c.steps * rows_.back().stride;
    }
  }

  // `count` samples from `begin`
  void forward(int64_t begin, int64_t count) {
    begin_ = begin, count_ = count;
    for (int64_t k = 0; k < c.count; k++) {
      arrive(k);
      advance(k);
    }
  }

  // `narrow`: samples of a part that goes back through all populations. sums: of this part, like by_feed, by_loop and by_bias of every population.
  void backward(int64_t begin, int64_t count, int64_t narrow, const std::vector<std::unique_ptr<Panels>>& feeds, const std::vector<std::unique_ptr<Panels>>& loops,
                std::vector<std::vector<Aligned>>& sums) {
    for (int64_t done = 0; done < count; done += narrow) {
      begin_ = begin + done, count_ = std::min(narrow, count - done), base_ = done * c.steps;
      go_back(feeds, loops, sums);
    }
    for (const auto* all : {&by_feed_, &by_loop_}) {
      for (const auto& gathered : *all) {
        if (gathered) gathered->flush();
      }
    }
    base_ = 0;
  }

 private:
  // The samples from begin_.
  void go_back(const std::vector<std::unique_ptr<Panels>>& feeds, const std::vector<std::unique_ptr<Panels>>& loops, std::vector<std::vector<Aligned>>& sums) {
    for (int64_t k = 0; k < c.count; k++) recall(k);
    bool given = false;  // gradients by spikes from the population behind are in given_
    for (int64_t k = c.count - 1; k >= 0; k--) {
      const Population& p = c.populations[k];
      const int64_t stride = whole_lines(p.neurons);
      retreat(k, given, loops[static_cast<size_t>(k)].get());
      std::vector<Aligned>& own = sums[static_cast<size_t>(k)];
      share(k, own);
      const int64_t steps = std::max<int64_t>(0, c.steps - p.delay);
      if (p.by_feed) {
        Gathered& gathered = gathered_of(by_feed_, k, p.sources);
        gathered.aim(own[0].data());
        for (int64_t t = 0; t < steps; t++) {
          for (int64_t s = 0; s < count_; s++) gathered.add(feed_events(k, t, s), row(k, (t + p.delay) * count_ + s));
        }
      }
      if (p.by_loop) {
        Gathered& gathered = gathered_of(by_loop_, k, p.neurons);
        gathered.aim(own[1].data());
        for (int64_t r = 0; r < (c.steps - p.loop_delay) * count_; r++) gathered.add(fired_[static_cast<size_t>(k)].of(base_ + r), row(k, r + p.loop_delay * count_));
      }
      if (k == 0 && c.by_currents) publish(row(k, 0), stride, p.neurons, c.by_currents);
      const Panels* feed = feeds[static_cast<size_t>(k)].get();
      given = feed != nullptr;
      if (!feed) continue;
      float* out = given_.data();
      feed->multiply(row(k, p.delay * count_), steps * count_, stride, out);
      std::fill(out + steps * count_ * feed->padded(), out + c.steps * count_ * feed->padded(), 0.0f);
      given_stride_ = feed->padded();
      if (k == 0) publish(out, given_stride_, p.sources, c.by_stimulus);
    }
  }

  float* row(int64_t k, int64_t r) { return rows_[static_cast<size_t>(k)].at(base_ + r); }

  Gathered& gathered_of(std::vector<std::unique_ptr<Gathered>>& all, int64_t k, int64_t sources) {
    std::unique_ptr<Gathered>& result = all[static_cast<size_t>(k)];
    const int64_t stride = rows_[static_cast<size_t>(k)].stride;
    if (!result) result = std::make_unique<Gathered>(sources, stride, stride);
    return *result;
  }

  // of a step in the arrays outside
  int64_t place(int64_t t, int64_t s) const { return t * c.samples + begin_ + s; }

  // Copies rows [step of a sample, stride] of `size` to the arrays outside.
  void publish(const float* rows, int64_t stride, int64_t size, float* to) const {
    for (int64_t t = 0; t < c.steps; t++) {
      for (int64_t s = 0; s < count_; s++) std::copy_n(rows + (t * count_ + s) * stride, size, to + place(t, s) * size);
    }
  }

  // Events of the source in a step, whatever the delay.
  Events feed_events(int64_t k, int64_t t, int64_t s) const {
    if (k > 0) return fired_[static_cast<size_t>(k - 1)].of(base_ + t * count_ + s);
    const int64_t* first = c.first + place(t, s);
    if (t + kAhead < c.steps) {  // samples of a block lie far apart
      const int32_t* ahead = c.source + c.first[place(t + kAhead, s)];
      for (int64_t i = 0; i < 3; i++) __builtin_prefetch(ahead + i * kLine);
    }
    return {c.source + first[0], c.value ? c.value + first[0] : nullptr, first[1] - first[0]};
  }

  // The currents of all steps without those of the loop.
  void arrive(int64_t k) {
    const Population& p = c.populations[k];
    const Turned& own = turned_[static_cast<size_t>(k)];
    Rows& current = rows_[static_cast<size_t>(k)];
    const int64_t late = std::min(c.steps, p.delay);
    for (int64_t t = 0; t < c.steps; t++) {
      for (int64_t s = 0; s < count_; s++) {
        float* to = current.at(t * count_ + s);
        if (k == 0 && c.currents) {
          std::fill_n(to + p.neurons, current.stride - p.neurons, 0.0f);
          std::copy_n(c.currents + place(t, s) * p.neurons, p.neurons, to);
        } else if (t < late) {
          std::copy_n(own.bias.data(), current.stride, to);
        }
      }
    }
    if (k == 0 && c.currents) return;
    for (int64_t begin = 0; begin < current.stride; begin += kTargets) {  // these weights stay in the cache
      const int64_t size = std::min(kTargets, current.stride - begin);
      const float* bias = own.bias.data() + begin;
      for (int64_t t = late; t < c.steps; t++) {
        for (int64_t s = 0; s < count_; s++) {
          float* to = current.at(t * count_ + s) + begin;
          sum_rows(feed_events(k, t - late, s), own.feed.data() + begin, current.stride, size, to);
          for (int64_t i = 0; i < size; i++) to[i] += bias[i];
        }
      }
    }
  }

  // u - threshold of a step, as it is kept
  float* kept(int64_t k, int64_t t, int64_t s) const { return kept_[static_cast<size_t>(k)] + ((begin_ + s) * c.steps + t) * rows_[static_cast<size_t>(k)].stride; }

  // The events of a population that has been run.
  void recall(int64_t k) {
    const Population& p = c.populations[k];
    if (k + 1 == c.count && !p.loop_delay) return;
    Written& events = fired_[static_cast<size_t>(k)];
    if (!base_) events.clear(c.steps * most_, rows_[static_cast<size_t>(k)].stride);
    for (int64_t t = 0; t < c.steps; t++) {
      for (int64_t s = 0; s < count_; s++) events.add(kept(k, t, s), p.strict);
    }
  }

  void advance(int64_t k) {
    const Population& p = c.populations[k];
    const int64_t stride = whole_lines(p.neurons);
    const Model<float> model = model_of(c, p);
    const Constants<float> constants(p.constants, stride);
    const auto step = step_of<float>(p.reset, is_plain(c, p));
    Rows &rows = rows_[static_cast<size_t>(k)], v(count_, stride), current(count_, stride), rise(count_, stride), left(count_, stride), looping(1, stride), spikes(1, stride);
    Written& events = fired_[static_cast<size_t>(k)];
    events.clear(c.steps * count_, stride);
    for (int64_t row = 0; row < c.steps * count_; row++) {
      const int64_t t = row / count_, s = row % count_;
      float* here = rows.at(row);
      if (p.loop && t >= p.loop_delay) {
        sum_rows(events.of(row - p.loop_delay * count_), turned_[static_cast<size_t>(k)].loop.data(), stride, stride, looping.at(0));
        for (int64_t i = 0; i < stride; i++) here[i] += looping.at(0)[i];
      }
      float* above = c.kept ? kept(k, t, s) : here;
      step(model, constants, {v.at(s), current.at(s), rise.at(s), left.at(s)}, here, stride, spikes.at(0), above);
      events.add(above, p.strict);
      if (p.spikes) std::copy_n(spikes.at(0), p.neurons, p.spikes + place(t, s) * p.neurons);
      if (p.membrane) std::copy_n(v.at(s), p.neurons, p.membrane + place(t, s) * p.neurons);
    }
  }

  // Makes gradients by currents. given: gradients by spikes from the population behind are in given_.
  void retreat(int64_t k, bool given, const Panels* loop) {
    const Population& p = c.populations[k];
    const int64_t stride = whole_lines(p.neurons), delay = p.loop_delay * count_;
    const Model<float> model = model_of(c, p);
    const Constants<float> constants(p.constants, stride);
    const auto step_back = step_back_of<float>(p.reset, c.surrogate, is_plain(c, p));
    Rows v(count_, stride), current(count_, stride), rise(count_, stride), by_spikes(1, stride), by_membrane(1, stride);
    Aligned looping(loop ? count_ * loop->padded() : 0);
    for (int64_t t = c.steps - 1; t >= 0; t--) {
      const bool loops = loop && (t + p.loop_delay) < c.steps;
      if (loops) loop->multiply(row(k, t * count_ + delay), count_, stride, looping.data());
      for (int64_t s = 0; s < count_; s++) {
        const int64_t here = t * count_ + s;
        float* by = by_spikes.at(0);
        if (p.by_spikes) std::copy_n(p.by_spikes + place(t, s) * p.neurons, p.neurons, by);
        else std::fill_n(by, p.neurons, 0.0f);
        if (given) for (int64_t i = 0; i < p.neurons; i++) by[i] += given_.data()[here * given_stride_ + i];
        if (loops) for (int64_t i = 0; i < p.neurons; i++) by[i] += looping.data()[s * loop->padded() + i];
        if (p.by_membrane) std::copy_n(p.by_membrane + place(t, s) * p.neurons, p.neurons, by_membrane.at(0));
        step_back(model, constants, {v.at(s), current.at(s), rise.at(s), nullptr}, kept(k, t, s), by, by_membrane.at(0), stride, row(k, here));
      }
    }
  }

  void share(int64_t k, std::vector<Aligned>& sums) {
    const int64_t stride = rows_[static_cast<size_t>(k)].stride;
    if (!c.populations[k].by_bias) return;
    for (int64_t r = 0; r < c.steps * count_; r++) {
      for (int64_t i = 0; i < stride; i++) sums[2].data()[i] += row(k, r)[i];
    }
  }

  const Chain& c;
  const std::vector<Turned>& turned_;  // empty going back
  int64_t begin_ = 0, count_ = 0, given_stride_ = 0;
  int64_t base_ = 0;  // row of their first step
  std::vector<Rows> rows_;
  std::vector<float*> kept_;  // u - threshold of every population
  std::vector<Written> fired_;
  std::vector<std::unique_ptr<Gathered>> by_feed_, by_loop_;  // of populations
  Aligned given_;
  const int64_t most_;
};

int64_t part_count(const Chain& c) {
  int64_t sums = 1;
  for (int64_t k = 0; k < c.count; k++) sums += (c.populations[k].sources + c.populations[k].neurons) * whole_lines(c.populations[k].neurons);
  return std::max<int64_t>(1, std::min({kParts, (c.samples + 2 * kBlock - 1) / (2 * kBlock), kPartial / sums}));
}

// total [neuron, source] = the sums [source, padded neuron] of all parts
void add_up(const std::vector<std::vector<std::vector<Aligned>>>& parts, size_t k, size_t which, int64_t sources, int64_t neurons, float* total, int32_t threads) {
  if (!total) return;
  const int64_t stride = whole_lines(neurons);
  parallel((sources + kTurn - 1) / kTurn, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * kTurn, end = std::min(sources, begin + kTurn);
    Aligned sums((end - begin) * stride);
    for (const auto& part : parts) {
      const float* __restrict from = part[k][which].data() + begin * stride;
      float* __restrict to = sums.data();
      for (int64_t i = 0; i < (end - begin) * stride; i++) to[i] += from[i];
    }
    for (int64_t i = 0; i < neurons; i++) {
      for (int64_t j = begin; j < end; j++) total[i * sources + j] = sums.data()[(j - begin) * stride + i];
    }
  });
}

std::vector<Turned> turned_of(const Chain& c) {
  std::vector<Turned> result(static_cast<size_t>(c.count));
  for (int64_t k = 0; k < c.count; k++) {
    const Population& p = c.populations[k];
    const int64_t stride = whole_lines(p.neurons);
    Turned& own = result[static_cast<size_t>(k)];
    const auto turn_all = [&](const float* from, int64_t columns, Aligned& to) {
      to = Aligned(columns * stride);
      parallel((columns + kTurn - 1) / kTurn, c.threads, [&](int64_t task, int32_t) { turn(from, p.neurons, columns, task * kTurn, to.data(), stride); });
    };
    if (p.feed) turn_all(p.feed, p.sources, own.feed);
    if (p.loop) turn_all(p.loop, p.neurons, own.loop);
    if (p.bias) turn_all(p.bias, 1, own.bias);
  }
  return result;
}

}  // namespace

extern "C" {

// Writes spikes, membranes and what the way back needs, where they are wanted.
void neurohw_chain(const Chain* chain) {
  const Chain& c = *chain;
  const int64_t block = std::clamp<int64_t>(c.samples / c.threads, 1, kBlock), blocks = (c.samples + block - 1) / block;
  const std::vector<Turned> turned = turned_of(c);
  std::vector<std::unique_ptr<Block>> own(static_cast<size_t>(c.threads));  // of threads
  parallel(blocks, c.threads, [&](int64_t task, int32_t thread) {
    std::unique_ptr<Block>& mine = own[static_cast<size_t>(thread)];
    if (!mine) mine = std::make_unique<Block>(c, turned, block, 0);
    mine->forward(task * block, std::min(block, c.samples - task * block));
  });
}

// Writes the gradients that are wanted.
void neurohw_chain_gradient(const Chain* chain) {
  const Chain& c = *chain;
  std::vector<std::unique_ptr<Panels>> feeds, loops;
  for (int64_t k = 0; k < c.count; k++) {
    const Population& p = c.populations[k];
    feeds.push_back(p.feed ? std::make_unique<Panels>(p.feed, p.neurons, p.sources) : nullptr);
    loops.push_back(p.loop ? std::make_unique<Panels>(p.loop, p.neurons, p.neurons) : nullptr);
  }
  const int64_t parts = part_count(c), share = (c.samples + parts - 1) / parts;
  std::vector<std::vector<std::vector<Aligned>>> sums(static_cast<size_t>(parts));
  const bool loops_back = std::any_of(loops.begin(), loops.end(), [](const auto& panels) { return panels != nullptr; });
  const int64_t block = std::min(share, kBlock), narrow = std::min(share, loops_back ? kBlock : kBackward);
  int64_t widest = 0;
  for (const auto& panels : feeds) widest = std::max(widest, panels ? panels->padded() : 0);
  const std::vector<Turned> none;
  std::vector<std::unique_ptr<Block>> own(static_cast<size_t>(c.threads));  // of threads
  parallel(parts, c.threads, [&](int64_t part, int32_t thread) {
    std::unique_ptr<Block>& mine = own[static_cast<size_t>(thread)];
    if (!mine) mine = std::make_unique<Block>(c, none, block, widest);
    std::vector<std::vector<Aligned>>& here = sums[static_cast<size_t>(part)];
    for (int64_t k = 0; k < c.count; k++) {
      const Population& p = c.populations[k];
      const int64_t stride = whole_lines(p.neurons);
      here.emplace_back();
      for (int64_t size : {p.by_feed ? p.sources * stride : 0, p.by_loop ? p.neurons * stride : 0, p.by_bias ? stride : 0}) here.back().emplace_back(size);
    }
    const int64_t end = std::min(c.samples, (part + 1) * share);
    for (int64_t begin = part * share; begin < end; begin += block) {
      mine->backward(begin, std::min(block, end - begin), narrow, feeds, loops, here);
    }
  });
  for (int64_t k = 0; k < c.count; k++) {
    const Population& p = c.populations[k];
    const int64_t stride = whole_lines(p.neurons);
    add_up(sums, static_cast<size_t>(k), 0, p.sources, p.neurons, p.by_feed, c.threads);
    add_up(sums, static_cast<size_t>(k), 1, p.neurons, p.neurons, p.by_loop, c.threads);
    add_up(sums, static_cast<size_t>(k), 2, 1, p.neurons, p.by_bias, c.threads);
  }
}

}  // extern "C"
