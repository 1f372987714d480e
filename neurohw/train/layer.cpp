// A population with the projection that feeds it and the one on itself, all steps, forward and back, in float32. Called by layer.py.
//
// Currents never reach the memory: a step of a sample sums the rows of weights of its events and advances the neurons at once. Going back, a block of samples takes
// its steps in the caches: gradient of the neurons, its product with the weights for the population before (and, in a loop, for the steps before), and its
// share in the gradient of every weight whose source fired.
//
// Arrays are [time, sample, neuron]; events are those of rows [time, sample]. Weights come as [source, target], targets padded with 0 to whole lines.
// Sums of gradients over samples are made in parts that depend on the shape alone, so that the result does not depend on the number of threads.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "lines.h"
#include "neuron.h"
#include "panels.h"
#include "parallel.h"

namespace {

constexpr int64_t kTargets = 128;     // of a task going forward: their weights stay in the second cache
constexpr int64_t kBlock = 16;        // samples that go back together
constexpr int64_t kParts = 32;        // of the samples, at most
constexpr int64_t kPartial = 4 << 20;  // floats of sums in all parts together, if there is more than one

}  // namespace

extern "C" {

// Rows [time, sample] of events; begins: null for no projection.
struct LayerEvents {
  const int64_t* first;  // [row + 1]
  const int32_t* source;
  const float* value;    // null: all are 1
  int64_t sources, delay;
};

struct Layer {
  int64_t steps, samples, neurons;
  int64_t reset, surrogate, refractory, integrates, strict, through_reset;
  double slope;
  const float* constants;      // [6, neuron], padded
  LayerEvents feed, loop;      // of the loop going forward only `sources` and `delay`
  const float *feed_weight, *loop_weight;  // [source, padded target]; or null
  const float *bias, *current; // [padded target], or [time, sample, neuron]: all but the loop
  int32_t threads;
};

}  // extern "C"

namespace {

Events row_of(const LayerEvents& events, int64_t row) {
  const int64_t first = events.first[row];
  return {events.source + first, events.value ? events.value + first : nullptr, events.first[row + 1] - first};
}

Model<float> model_of(const Layer& p) { return {p.refractory, p.integrates != 0, p.strict != 0, p.through_reset != 0, static_cast<float>(p.slope)}; }

// The spikes of a population in its last steps, as events.
class Past {
 public:
  Past(int64_t delay, int64_t neurons) : delay_(delay), source_(static_cast<size_t>(delay), std::vector<int32_t>(static_cast<size_t>(neurons))), count_(static_cast<size_t>(delay)) {}

  Events of(int64_t step) const {
    const size_t slot = static_cast<size_t>(step % delay_);
    return {source_[slot].data(), nullptr, count_[slot]};
  }

  void keep(int64_t step, const float* spikes, int64_t neurons) {
    const size_t slot = static_cast<size_t>(step % delay_);
    int32_t* to = source_[slot].data();
    int64_t count = 0;
    for (int64_t n = 0; n < neurons; n++) {
      to[count] = static_cast<int32_t>(n);
      count += spikes[n] != 0;
    }
    count_[slot] = count;
  }

 private:
  int64_t delay_;
  std::vector<std::vector<int32_t>> source_;
  std::vector<int64_t> count_;
};

// Rows in whole lines, whose rest stays 0.
class Rows {
 public:
  Rows(int64_t count, int64_t size) : stride(whole_lines(size)), values_(count * whole_lines(size)) {}
  float* at(int64_t row) { return values_.data() + row * stride; }
  const int64_t stride;

 private:
  Aligned values_;
};

// The neurons that a task has: `size` from `begin`, which fill up `padded`.
struct Chunk {
  int64_t begin, size, padded;
};

// The currents of one step of a sample, without those of the loop.
void arrive(const Layer& p, const Chunk& chunk, int64_t t, int64_t sample, float* current) {
  if (p.current) {
    std::copy_n(p.current + (t * p.samples + sample) * p.neurons + chunk.begin, chunk.size, current);
    return;
  }
  const float* bias = p.bias + chunk.begin;
  if (t < p.feed.delay) {
    std::copy_n(bias, chunk.padded, current);
    return;
  }
  sum_rows(row_of(p.feed, (t - p.feed.delay) * p.samples + sample), p.feed_weight + chunk.begin, whole_lines(p.neurons), chunk.padded, current);
  for (int64_t i = 0; i < chunk.padded; i++) current[i] += bias[i];
}

// `count` samples from `first`; in a loop a chunk has all neurons.
void forward(const Layer& p, const Model<float>& model, Step<float> advance, int64_t first, int64_t count, const Chunk& chunk, float* spikes, float* above, float* membrane) {
  const int64_t padded = chunk.padded;
  Rows v(count, padded), c(count, padded), a(count, padded), left(count, padded), current(1, padded), looping(1, padded), fired(1, padded), x(1, padded);
  const Constants<float> k = Constants<float>(p.constants, whole_lines(p.neurons)).from(chunk.begin);
  std::vector<Past> past(p.loop_weight ? static_cast<size_t>(count) : 0, Past(p.loop.delay, p.neurons));
  for (int64_t t = 0; t < p.steps; t++) {
    for (int64_t s = 0; s < count; s++) {
      float* in = current.at(0);
      arrive(p, chunk, t, first + s, in);
      if (p.loop_weight && t >= p.loop.delay) {
        sum_rows(past[static_cast<size_t>(s)].of(t - p.loop.delay), p.loop_weight, padded, padded, looping.at(0));
        for (int64_t i = 0; i < padded; i++) in[i] += looping.at(0)[i];
      }
      advance(model, k, {v.at(s), c.at(s), a.at(s), left.at(s)}, in, padded, fired.at(0), x.at(0));
      if (p.loop_weight) past[static_cast<size_t>(s)].keep(t, fired.at(0), p.neurons);
      const int64_t here = (t * p.samples + first + s) * p.neurons + chunk.begin;
      std::copy_n(fired.at(0), chunk.size, spikes + here);
      if (above) std::copy_n(x.at(0), chunk.size, above + here);
      if (membrane) std::copy_n(v.at(s), chunk.size, membrane + here);
    }
  }
}

int64_t part_count(const Layer& p) {
  const int64_t sums = std::max<int64_t>(1, (p.feed.sources + p.loop.sources) * whole_lines(p.neurons));
  return std::max<int64_t>(1, std::min({kParts, (p.samples + kBlock - 1) / kBlock, kPartial / sums}));
}

// What a part adds to the gradients of weights [source, padded target] and bias [padded target].
struct Sums {
  Aligned feed, loop, bias;

  Sums(const Layer& p, bool feed_wanted, bool loop_wanted, bool bias_wanted)
      : feed(feed_wanted ? p.feed.sources * whole_lines(p.neurons) : 0),
        loop(loop_wanted ? p.loop.sources * whole_lines(p.neurons) : 0),
        bias(bias_wanted ? whole_lines(p.neurons) : 0) {}
};

struct Given {
  const float *above, *by_spikes, *by_membrane;
  float *by_current, *by_source;  // or null
};

// The samples from `begin`, kBlock at most.
void backward(const Layer& p, const Model<float>& model, StepBack<float> retreat, const Given& given, const Panels* feed, const Panels* loop, int64_t begin, int64_t count, Sums& sums) {
  const int64_t n = p.neurons, delay = p.loop.delay;
  const Constants<float> k(p.constants, whole_lines(n));
  Rows v(count, n), c(count, n), a(count, n), x(count, n), by_spikes(count, n), by_membrane(count, n);
  // gradients by the currents of the latest steps
  std::vector<Rows> by_current(static_cast<size_t>(loop ? delay + 1 : 1), Rows(count, n));
  Aligned product(count * std::max(feed ? feed->padded() : 0, loop ? loop->padded() : 0));
  Gathered by_feed(sums.feed.data(), p.feed.sources, v.stride, v.stride), by_loop(sums.loop.data(), p.loop.sources, v.stride, v.stride);
  for (int64_t t = p.steps - 1; t >= 0; t--) {
    Rows& out = by_current[static_cast<size_t>(t) % by_current.size()];
    for (int64_t s = 0; s < count; s++) {
      const int64_t here = (t * p.samples + begin + s) * n;
      std::copy_n(given.above + here, n, x.at(s));
      if (given.by_spikes) std::copy_n(given.by_spikes + here, n, by_spikes.at(s));
      else if (loop) std::fill_n(by_spikes.at(s), n, 0.0f);
      if (given.by_membrane) std::copy_n(given.by_membrane + here, n, by_membrane.at(s));
    }
    if (loop && t + delay < p.steps) {
      loop->multiply(by_current[static_cast<size_t>(t + delay) % by_current.size()].at(0), count, out.stride, product.data());
      for (int64_t s = 0; s < count; s++) {
        for (int64_t i = 0; i < n; i++) by_spikes.at(s)[i] += product.data()[s * loop->padded() + i];
      }
    }
    for (int64_t s = 0; s < count; s++) {
      retreat(model, k, {v.at(s), c.at(s), a.at(s), nullptr}, x.at(s), by_spikes.at(s), by_membrane.at(s), out.stride, out.at(s));
      if (given.by_current) std::copy_n(out.at(s), n, given.by_current + (t * p.samples + begin + s) * n);
      if (!sums.bias.empty()) for (int64_t i = 0; i < out.stride; i++) sums.bias.data()[i] += out.at(s)[i];
      if (!sums.feed.empty() && t >= p.feed.delay) by_feed.add(row_of(p.feed, (t - p.feed.delay) * p.samples + begin + s), out.at(s));
      if (!sums.loop.empty() && t >= delay) by_loop.add(row_of(p.loop, (t - delay) * p.samples + begin + s), out.at(s));
    }
    if (feed && t >= p.feed.delay) {
      feed->multiply(out.at(0), count, out.stride, product.data());
      for (int64_t s = 0; s < count; s++) {
        std::copy_n(product.data() + s * feed->padded(), p.feed.sources, given.by_source + ((t - p.feed.delay) * p.samples + begin + s) * p.feed.sources);
      }
    }
  }
  by_feed.flush();
  by_loop.flush();
}

void add_up(const std::vector<Sums>& parts, Aligned Sums::*which, int64_t size, float* total, int32_t threads) {
  if (!total) return;
  const int64_t share = 1 << 14;
  parallel((size + share - 1) / share, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * share, end = std::min(size, begin + share);
    std::copy((parts[0].*which).data() + begin, (parts[0].*which).data() + end, total + begin);
    for (size_t part = 1; part < parts.size(); part++) {
      const float* __restrict from = (parts[part].*which).data();
      for (int64_t i = begin; i < end; i++) total[i] += from[i];
    }
  });
}

}  // namespace

extern "C" {

// Writes spikes, and where they are not null u - threshold and membranes.
void neurohw_layer(const Layer* layer, float* spikes, float* above, float* membrane) {
  const Layer& p = *layer;
  const Model<float> model = model_of(p);
  const int64_t padded = whole_lines(p.neurons), chunk = p.loop_weight ? padded : std::min(padded, kTargets), chunks = (padded + chunk - 1) / chunk;
  const int64_t block = std::clamp<int64_t>(p.samples * chunks / (2 * p.threads), 1, kBlock), blocks = (p.samples + block - 1) / block;
  const auto advance = step_of<float>(p.reset, Constants<float>(p.constants, padded).plain(model, padded));
  // a chunk after the other: its weights are in the cache
  parallel(blocks * chunks, p.threads, [&](int64_t task, int32_t) {
    const int64_t begin = task / blocks * chunk, first = task % blocks * block;
    forward(p, model, advance, first, std::min(block, p.samples - first), {begin, std::min(chunk, p.neurons - begin), std::min(chunk, padded - begin)}, spikes, above, membrane);
  });
}

// Gradients of the loss, from those by spikes and by membranes (or null): by currents and by the spikes of the source [time, sample, neuron], where they are not null;
// by weights [source, padded target] and by the bias [padded target], likewise. weight: of the feed as it is trained, [target, source]; loop: likewise.
void neurohw_layer_gradient(const Layer* layer, const float* weight, const float* loop, const float* above, const float* by_spikes, const float* by_membrane, float* by_current,
                            float* by_source, float* by_feed, float* by_loop, float* by_bias) {
  const Layer& p = *layer;
  const Model<float> model = model_of(p);
  const auto retreat = step_back_of<float>(p.reset, p.surrogate, Constants<float>(p.constants, whole_lines(p.neurons)).plain(model, whole_lines(p.neurons)));
  const std::unique_ptr<Panels> feed_panels = by_source ? std::make_unique<Panels>(weight, p.neurons, p.feed.sources) : nullptr;
  const std::unique_ptr<Panels> loop_panels = loop ? std::make_unique<Panels>(loop, p.neurons, p.neurons) : nullptr;
  const int64_t parts = part_count(p), share = (p.samples + parts - 1) / parts;
  std::vector<Sums> sums;
  for (int64_t part = 0; part < parts; part++) sums.emplace_back(p, by_feed, by_loop, by_bias);
  parallel(parts, p.threads, [&](int64_t part, int32_t) {
    const int64_t end = std::min(p.samples, (part + 1) * share);
    for (int64_t begin = part * share; begin < end; begin += kBlock) {
      backward(p, model, retreat, {above, by_spikes, by_membrane, by_current, by_source}, feed_panels.get(), loop_panels.get(), begin, std::min(kBlock, end - begin), sums[static_cast<size_t>(part)]);
    }
  });
  const int64_t stride = whole_lines(p.neurons);
  add_up(sums, &Sums::feed, p.feed.sources * stride, by_feed, p.threads);
  add_up(sums, &Sums::loop, p.loop.sources * stride, by_loop, p.threads);
  add_up(sums, &Sums::bias, stride, by_bias, p.threads);
}

}  // extern "C"
