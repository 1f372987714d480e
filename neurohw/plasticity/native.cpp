// SPDX-License-Identifier: Apache-2.0
// The plastic network of neurohw/plasticity/rule.py, event driven, sample after sample: the numbers of reference.py.
//
// A sample works on a copy of the weights: of the rows (synapses by source) whose source has a spike in it, which are all that can change, one after
// the other, so that they stay in the cache. Depression and delivery walk rows, potentiation walks columns (synapses by target). The columns of
// input synapses are built anew for every sample, since most inputs are silent in it; a trace of 0 changes nothing.
// native.py keeps the layout of the structures below.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

extern "C" {

struct PlasticProjection {
  int32_t from_input;           // else from the network to itself
  int32_t plastic;
  int64_t delay;                // steps, at least 1
  const int64_t* first;         // [source + 1], rows in order of source
  const int32_t* target;        // [synapse]
  double* weight;               // [synapse]; written only if `carry`
  const int64_t* column_first;  // [target + 1]
  const int64_t* column_split;  // [target], where the synapses of inhibitory sources begin
  const int32_t* column_position;  // [synapse] of the rows; unused for inputs, as the next
  const int32_t* column_source;
  const uint8_t* inhibitory;    // [source]: obeys the inhibitory rule
  double low[2], high[2];       // bounds of w by excitatory, inhibitory rule
};

struct PlasticModel {
  int64_t inputs, neurons;
  const double *decay, *synapse_decay, *bias, *threshold, *v_reset;  // [neuron]
  int32_t refractory, integrates_refractory;
  int32_t projections, learns, astrocyte;  // learns: 0 where there are no traces and no astrocyte to follow
  const PlasticProjection* projection;
  double potentiation, depression, increment, trace_decay, gain, astrocyte_bias, time_constant, fading;
};

// Either probabilities (Bernoulli) or events.
struct PlasticStimulus {
  const float* rates;           // [sample, input], or null
  uint64_t seed;
  int64_t first_number;         // number of sample 0 in the random stream
  int32_t refractory;
  const int64_t* offsets;       // events: [sample + 1]
  const int32_t *step, *channel;  // [event]; no two alike in a sample
};

// What is kept of every sample; any may be null.
struct PlasticRecord {
  uint16_t* counts;             // [sample, neuron]
  uint8_t* spikes;              // [sample, time, neuron]
  uint8_t* input_spikes;        // [sample, time, input]
  double* depression;           // [sample, time]
  double* states[3];            // v, c, r [sample, time, neuron]
  double* traces;               // [sample, input + neuron], at the end
  double* weights;              // [sample, synapse], projections one after the other, at the end
};

}  // extern "C"

namespace {

uint64_t mixed(uint64_t word) {  // the finalizer of SplitMix64
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return word ^ (word >> 31);
}

constexpr uint64_t kStride = 0x9E3779B97F4A7C15u;

double clipped(double w, double low, double high) {
  const double raised = w < low ? low : w;
  return raised > high ? high : raised;
}

// The two loops over a row, whose targets differ. Rows are short: their ends are masked instead of walked one by one.
#ifdef __AVX512F__

// sum[target[k]] += weight[k]
void add_at(const int32_t* target, const double* weight, int64_t length, double* sum) {
  for (int64_t k = 0; k < length; k += 8) {
    const __mmask8 mask = length - k >= 8 ? 0xff : static_cast<__mmask8>((1 << (length - k)) - 1);
    const __m256i at = _mm512_castsi512_si256(_mm512_maskz_loadu_epi32(mask, target + k));
    const __m512d before = _mm512_mask_i32gather_pd(_mm512_setzero_pd(), mask, at, sum, 8);
    _mm512_mask_i32scatter_pd(sum, mask, at, _mm512_add_pd(before, _mm512_maskz_loadu_pd(mask, weight + k)), 8);
  }
}

// weight[k] = clip(weight[k] + amplitude trace[target[k]])
void add_clipped(double* weight, const int32_t* target, int64_t length, double amplitude, const double* trace, double low, double high) {
  const __m512d lows = _mm512_set1_pd(low), highs = _mm512_set1_pd(high), amplitudes = _mm512_set1_pd(amplitude);
  for (int64_t k = 0; k < length; k += 8) {
    const __mmask8 mask = length - k >= 8 ? 0xff : static_cast<__mmask8>((1 << (length - k)) - 1);
    const __m256i at = _mm512_castsi512_si256(_mm512_maskz_loadu_epi32(mask, target + k));
    const __m512d change = _mm512_mul_pd(amplitudes, _mm512_mask_i32gather_pd(_mm512_setzero_pd(), mask, at, trace, 8));
    const __m512d w = _mm512_add_pd(_mm512_maskz_loadu_pd(mask, weight + k), change);
    _mm512_mask_storeu_pd(weight + k, mask, _mm512_min_pd(_mm512_max_pd(w, lows), highs));
  }
}

#else

void add_at(const int32_t* target, const double* weight, int64_t length, double* sum) {
  for (int64_t k = 0; k < length; k++) sum[target[k]] += weight[k];
}

void add_clipped(double* weight, const int32_t* target, int64_t length, double amplitude, const double* trace, double low, double high) {
  for (int64_t k = 0; k < length; k++) weight[k] = clipped(weight[k] + amplitude * trace[target[k]], low, high);
}

#endif

struct Row {
  const int32_t* target;
  double* weight;
  int64_t length;
};

struct Entry {
  int32_t position, source;
};

// The synapses of a projection for one sample.
struct Synapses {
  const PlasticProjection& p;
  std::vector<double> weight;   // of the rows in use
  std::vector<int64_t> base;    // [source], where its row begins in `weight`
  std::vector<Entry> entries;   // columns, at the places of column_first
  std::vector<int64_t> last;    // [target], end of its column
  std::vector<double> sum;      // [target], current that arrives in this step

  Synapses(const PlasticProjection& projection, int64_t sources, int64_t targets)
      : p(projection), base(static_cast<size_t>(sources)), last(static_cast<size_t>(targets)), sum(static_cast<size_t>(targets)) {
    if (!p.from_input) {
      weight.resize(static_cast<size_t>(p.first[sources]));
      std::copy(p.first, p.first + sources, base.begin());
      std::copy(p.column_first + 1, p.column_first + targets + 1, last.begin());
      for (int64_t k = 0; p.plastic && k < p.first[sources]; k++) entries.push_back({p.column_position[k], p.column_source[k]});
    } else if (p.plastic) {
      entries.resize(static_cast<size_t>(p.first[sources]));
    }
  }

  void begin(const std::vector<int32_t>& active) {
    if (!p.from_input) {
      std::copy(p.weight, p.weight + weight.size(), weight.begin());
      return;
    }
    int64_t size = 0;
    for (const int32_t j : active) {
      base[static_cast<size_t>(j)] = size;
      size += p.first[j + 1] - p.first[j];
    }
    weight.resize(static_cast<size_t>(size));
    for (const int32_t j : active) std::copy(p.weight + p.first[j], p.weight + p.first[j + 1], weight.begin() + base[static_cast<size_t>(j)]);
    if (!p.plastic) return;
    std::copy(p.column_first, p.column_first + last.size(), last.begin());
    Entry* const entry = entries.data();
    int64_t* const end = last.data();
    for (const int32_t j : active) {
      int32_t position = static_cast<int32_t>(base[static_cast<size_t>(j)]);
      for (int64_t k = p.first[j]; k < p.first[j + 1]; k++) entry[end[p.target[k]]++] = {position++, j};
    }
  }

  // Copies what may have changed into the rows of all weights.
  void store(const std::vector<int32_t>& active, double* all) const {
    if (!p.from_input) {
      std::copy(weight.begin(), weight.end(), all);
      return;
    }
    for (const int32_t j : active) {
      const double* own = weight.data() + base[static_cast<size_t>(j)];
      std::copy(own, own + (p.first[j + 1] - p.first[j]), all + p.first[j]);
    }
  }

  Row row(int32_t source) {
    return {p.target + p.first[source], weight.data() + base[static_cast<size_t>(source)], p.first[source + 1] - p.first[source]};
  }

  void deliver(int32_t source) {
    const Row r = row(source);
    add_at(r.target, r.weight, r.length, sum.data());
  }

  // A source has fired: w changes by an amplitude (of excitatory, inhibitory sources) times the trace of each target.
  void change_row(int32_t source, const double (&amplitude)[2], const double* trace) {
    const Row r = row(source);
    const bool inhibitory = p.inhibitory[source];
    add_clipped(r.weight, r.target, r.length, amplitude[inhibitory], trace, p.low[inhibitory], p.high[inhibitory]);
  }

  // A target has fired: w changes by an amplitude times the trace of each source.
  void change_column(int32_t target, const double (&amplitude)[2], const double* trace) {
    const int64_t end = last[static_cast<size_t>(target)];
    const int64_t borders[3] = {p.column_first[target], std::min(p.column_split[target], end), end};
    double* const w = weight.data();
    for (int kind = 0; kind < 2; kind++) {
      const double factor = amplitude[kind], low = p.low[kind], high = p.high[kind];
      for (int64_t k = borders[kind]; k < borders[kind + 1]; k++) {  // as many cache lines as synapses: vectors would not be faster
        const Entry entry = entries[static_cast<size_t>(k)];
        w[entry.position] = clipped(w[entry.position] + factor * trace[entry.source], low, high);
      }
    }
  }
};

// A constant of every neuron; uniform: that of neuron 0.
template <bool Uniform>
struct Constant {
  const double* values;
  double first;
  explicit Constant(const double* all) : values(all), first(all[0]) {}
  double operator[](size_t i) const { return Uniform ? first : values[i]; }
};

// What one thread needs.
class Worker {
 public:
  Worker(const PlasticModel& model, int64_t steps) : m(model), steps_(steps), inputs_(static_cast<size_t>(m.inputs)), neurons_(static_cast<size_t>(m.neurons)) {
    for (int32_t k = 0; k < m.projections; k++) {
      const PlasticProjection& p = m.projection[k];
      synapses_.emplace_back(p, p.from_input ? m.inputs : m.neurons, m.neurons);
    }
    for (auto* array : {&v_, &c_, &r_, &fired_, &trace_}) array->resize(neurons_);
    input_trace_.resize(inputs_);
    for (const double* values : {m.decay, m.synapse_decay, m.bias, m.threshold, m.v_reset}) {
      uniform_ = uniform_ && std::all_of(values, values + m.neurons, [&](double value) { return value == values[0]; });
    }
    now_.resize(std::max(neurons_, inputs_) + 1);
    input_first_.resize(static_cast<size_t>(steps) + 1);
    network_first_.resize(static_cast<size_t>(steps) + 1);
    seen_.resize(inputs_);
  }

  void run(const PlasticStimulus& stimulus, int64_t sample, bool carry, const PlasticRecord& record) {
    if (stimulus.rates != nullptr) draw(stimulus, sample);
    else place(stimulus, sample);
    find_active();
    for (auto& s : synapses_) s.begin(active_);
    for (auto* array : {&v_, &c_, &r_, &trace_, &input_trace_}) std::fill(array->begin(), array->end(), 0.0);
    network_events_.clear();
    potentiation_ = m.potentiation;
    depression_ = m.depression;
    gain_ = m.gain;
    bias_ = m.astrocyte_bias;
    for (int64_t t = 0; t < steps_; t++) {
      step(t);
      write(t, sample, record);
    }
    finish(sample, carry, record);
  }

 private:
  // A draw of the sample's stream per step and input. An input keeps a draw in its refractory steps, and fires after them.
  void draw(const PlasticStimulus& stimulus, int64_t sample) {
    const float* rates = stimulus.rates + sample * m.inputs;
    const uint64_t key = mixed(mixed(stimulus.seed) + static_cast<uint64_t>(stimulus.first_number + sample));
    live_.clear();
    for (int32_t i = 0; i < m.inputs; i++) {
      if (rates[i] > 0) live_.push_back(static_cast<uint64_t>(i));
    }
    const size_t size = live_.size();
    limit_.resize(size);
    drawn_.resize(size);
    pending_.assign(size, 0);
    wait_.assign(size, 0);
    // word < 2^53 rate, both whole numbers below 2^53, is as exact as (word 2^-53) < rate
    for (size_t k = 0; k < size; k++) limit_[k] = static_cast<uint64_t>(std::ceil(static_cast<double>(rates[live_[k]]) * 0x1p53));
    input_events_.clear();
    for (int64_t t = 0; t < steps_; t++) {
      input_first_[static_cast<size_t>(t)] = static_cast<int64_t>(input_events_.size());
      const uint64_t begin = static_cast<uint64_t>(t) * static_cast<uint64_t>(m.inputs);
#pragma GCC ivdep
      for (size_t k = 0; k < size; k++) drawn_[k] = (mixed(key + (begin + live_[k]) * kStride) >> 11) < limit_[k];
      size_t count = 0;
      for (size_t k = 0; k < size; k++) {
        const int32_t pending = pending_[k] | static_cast<int32_t>(drawn_[k]);
        const int32_t fires = pending & (wait_[k] == 0);
        now_[count] = static_cast<int32_t>(live_[k]);
        count += static_cast<size_t>(fires);
        pending_[k] = pending & (fires ^ 1);
        wait_[k] = fires ? stimulus.refractory : std::max(wait_[k] - 1, 0);
      }
      input_events_.insert(input_events_.end(), now_.begin(), now_.begin() + static_cast<int64_t>(count));
    }
    input_first_[static_cast<size_t>(steps_)] = static_cast<int64_t>(input_events_.size());
  }

  // The events of a sample, sorted by step and channel.
  void place(const PlasticStimulus& stimulus, int64_t sample) {
    input_events_.clear();
    int64_t k = stimulus.offsets[sample];
    for (int64_t t = 0; t < steps_; t++) {
      input_first_[static_cast<size_t>(t)] = static_cast<int64_t>(input_events_.size());
      for (; k < stimulus.offsets[sample + 1] && stimulus.step[k] == t; k++) input_events_.push_back(stimulus.channel[k]);
    }
    input_first_[static_cast<size_t>(steps_)] = static_cast<int64_t>(input_events_.size());
  }

  void find_active() {
    std::fill(seen_.begin(), seen_.end(), 0);
    for (const int32_t i : input_events_) seen_[static_cast<size_t>(i)] = 1;
    active_.clear();
    for (int32_t i = 0; i < m.inputs; i++) {
      if (seen_[static_cast<size_t>(i)]) active_.push_back(i);
    }
  }

  template <typename Work>
  void each_event(bool from_input, int64_t t, Work work) {
    if (t < 0) return;
    const auto& events = from_input ? input_events_ : network_events_;
    const auto& first = from_input ? input_first_ : network_first_;
    for (int64_t k = first[static_cast<size_t>(t)]; k < first[static_cast<size_t>(t) + 1]; k++) work(events[static_cast<size_t>(k)]);
  }

  void step(int64_t t) {
    for (auto& s : synapses_) {
      std::fill(s.sum.begin(), s.sum.end(), 0.0);
      each_event(s.p.from_input, t - s.p.delay, [&](int32_t j) { s.deliver(j); });
    }
    for (size_t k = 1; k < synapses_.size(); k++) {
      double* __restrict total = synapses_[0].sum.data();
      const double* __restrict part = synapses_[k].sum.data();
      for (size_t i = 0; i < neurons_; i++) total[i] += part[i];
    }
    uniform_ ? advance<true>(t) : advance<false>(t);
    if (!m.learns) return;
    change(t);
    for (size_t i = 0; i < neurons_; i++) trace_[i] = m.trace_decay * (trace_[i] + m.increment * fired_[i]);
    each_event(true, t, [&](int32_t j) { input_trace_[static_cast<size_t>(j)] += m.increment; });
    for (double& trace : input_trace_) trace *= m.trace_decay;
    if (m.astrocyte) {
      const auto events = [t](const std::vector<int64_t>& first) { return first[static_cast<size_t>(t) + 1] - first[static_cast<size_t>(t)]; };
      const double surplus = static_cast<double>(events(network_first_) - events(input_first_));
      depression_ = depression_ + (gain_ * surplus + bias_ - depression_) / m.time_constant;
    }
  }

  template <bool Uniform>
  void advance(int64_t t) {
    network_first_[static_cast<size_t>(t)] = static_cast<int64_t>(network_events_.size());
    if (synapses_.empty()) return;
    const double* __restrict arriving = synapses_[0].sum.data();
    double *__restrict v = v_.data(), *__restrict c = c_.data(), *__restrict r = r_.data();
    const Constant<Uniform> decay(m.decay), synapse_decay(m.synapse_decay), bias(m.bias), threshold(m.threshold), v_reset(m.v_reset);
    double* __restrict fired = fired_.data();
    const double refractory = m.refractory, integrates = m.integrates_refractory;
#pragma GCC ivdep  // in vectors: choices between numbers, no branches
    for (size_t i = 0; i < neurons_; i++) {
      const double current = synapse_decay[i] * c[i] + (arriving[i] + bias[i]);
      const double u = decay[i] * v[i] + current;
      const double able = r[i] > 0.0 ? 0.0 : 1.0;
      const double spike = u >= threshold[i] ? able : 0.0;
      const double held = able + integrates > 0.0 ? u : v[i];
      const double left = r[i] > 1.0 ? r[i] - 1.0 : 0.0;
      c[i] = current;
      v[i] = spike > 0.0 ? v_reset[i] : held;
      r[i] = spike > 0.0 ? refractory : left;
      fired[i] = spike;
    }
    size_t count = 0;
    for (size_t i = 0; i < neurons_; i++) {  // every neuron is written, and stays if it fired: branches would be guessed wrong
      now_[count] = static_cast<int32_t>(i);
      count += fired[i] > 0.0;
    }
    network_events_.insert(network_events_.end(), now_.begin(), now_.begin() + static_cast<int64_t>(count));
    network_first_[static_cast<size_t>(t) + 1] = static_cast<int64_t>(network_events_.size());
  }

  void change(int64_t t) {
    const double by_source[2] = {-depression_, potentiation_}, by_target[2] = {potentiation_, -depression_};
    for (auto& s : synapses_) {
      if (!s.p.plastic) continue;
      each_event(s.p.from_input, t, [&](int32_t j) { s.change_row(j, by_source, trace_.data()); });
      const double* trace = s.p.from_input ? input_trace_.data() : trace_.data();
      each_event(false, t, [&](int32_t i) { s.change_column(i, by_target, trace); });
    }
  }

  void write(int64_t t, int64_t sample, const PlasticRecord& record) {
    const int64_t place = sample * steps_ + t;
    if (record.depression != nullptr) record.depression[place] = depression_;
    if (record.spikes != nullptr) each_event(false, t, [&](int32_t i) { record.spikes[place * m.neurons + i] = 1; });
    if (record.input_spikes != nullptr) each_event(true, t, [&](int32_t j) { record.input_spikes[place * m.inputs + j] = 1; });
    const std::vector<double>* own[3] = {&v_, &c_, &r_};
    for (int k = 0; k < 3; k++) {
      if (record.states[k] != nullptr) std::copy(own[k]->begin(), own[k]->end(), record.states[k] + place * m.neurons);
    }
    // after the record: A of this step is the one before it fades
    potentiation_ *= m.fading;
    depression_ *= m.fading;
    gain_ *= m.fading;
    bias_ *= m.fading;
  }

  void finish(int64_t sample, bool carry, const PlasticRecord& record) {
    if (record.counts != nullptr) {
      uint16_t* counts = record.counts + sample * m.neurons;
      std::fill(counts, counts + m.neurons, uint16_t{0});
      for (const int32_t i : network_events_) counts[i]++;
    }
    if (record.traces != nullptr) {
      double* traces = record.traces + sample * (m.inputs + m.neurons);
      std::copy(input_trace_.begin(), input_trace_.end(), traces);
      std::copy(trace_.begin(), trace_.end(), traces + m.inputs);
    }
    if (record.weights != nullptr) {
      int64_t total = 0, begin = 0;
      for (const auto& s : synapses_) total += s.p.first[s.base.size()];
      for (const auto& s : synapses_) {
        const int64_t size = s.p.first[s.base.size()];
        double* all = record.weights + sample * total + begin;
        std::copy(s.p.weight, s.p.weight + size, all);
        s.store(active_, all);
        begin += size;
      }
    }
    for (const auto& s : synapses_) {
      if (carry && s.p.plastic) s.store(active_, s.p.weight);
    }
  }

  const PlasticModel& m;
  int64_t steps_;
  size_t inputs_, neurons_;
  std::vector<Synapses> synapses_;
  std::vector<double> v_, c_, r_, fired_, trace_, input_trace_;
  std::vector<uint8_t> seen_;
  std::vector<int32_t> input_events_, network_events_, active_, now_;
  std::vector<int64_t> input_first_, network_first_;
  std::vector<uint64_t> live_, limit_, drawn_;
  std::vector<int32_t> pending_, wait_;
  bool uniform_ = true;
  double potentiation_ = 0, depression_ = 0, gain_ = 0, bias_ = 0;
};

}  // namespace

extern "C" {

// Samples [0, samples). carry: each begins with the weights that the one before left (one thread).
void neurohw_plastic_run(const PlasticModel* model, const PlasticStimulus* stimulus, int64_t samples, int64_t steps, int32_t carry, int32_t threads,
                         const PlasticRecord* record) {
  const int32_t used = carry ? 1 : std::max<int32_t>(1, static_cast<int32_t>(std::min<int64_t>(threads, samples)));
  std::atomic<int64_t> next{0};
  auto work = [&] {
    Worker worker(*model, steps);
    for (int64_t sample = next++; sample < samples; sample = next++) worker.run(*stimulus, sample, carry != 0, *record);
  };
  std::vector<std::thread> pool;
  for (int32_t i = 1; i < used; i++) pool.emplace_back(work);
  work();
  for (auto& thread : pool) thread.join();
}

}  // extern "C"
