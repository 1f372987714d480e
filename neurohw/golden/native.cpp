// The integer step of neurohw/step.py for whole samples: event driven in the synapses, one pass over the neurons.
//
// native.py hands over flat arrays; it keeps the layout of the structures below. T is the type of every state and sum: 32 bits where all
// formats leave room for one addition, else 64. Threads take samples in turn; nothing is shared between samples.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

enum Decay : int32_t { kNone = 0, kShift = 1, kMultiply = 2 };
enum Flags : int32_t {
  kSpiking = 1, kSoft = 2, kHard = 4, kStrict = 8, kDelayedReset = 16, kMembraneBias = 32,
  kDelayedCurrent = 64, kClearsCurrent = 128, kSynapse = 256, kAdaptation = 512, kIntegratesRefractory = 1024,
  kGain = 2048, kRise = 4096
};

constexpr int64_t kHalfTable = 64;
constexpr int32_t kGainFractionBits = 8;

template <typename T>
T decayed(T value, int32_t kind, int32_t constant) {
  if (kind == kShift) return value - (value >> constant);
  if (kind == kMultiply) {
    const int64_t magnitude = (static_cast<int64_t>(value < 0 ? -value : value) * (4096 - constant)) >> 12;
    return static_cast<T>(value < 0 ? -magnitude : magnitude);
  }
  return value;
}

}  // namespace

extern "C" {

struct NativePopulation {
  int64_t size;
  int32_t flags, refractory;
  int32_t decay_kind[3];         // membrane, current, adaptation
  const int32_t* decay_value[3]; // [neuron]
  const int64_t *bias, *threshold, *v_reset, *strength;
  int64_t membrane_min, membrane_max, current_min, current_max;
  uint8_t* spikes;               // [time, sample, neuron]
  int64_t* states[4];            // v, c, r, a [time, sample, neuron], or null
};

struct NativeProjection {
  int32_t source, target;        // positions in the update order; source -1 is the input
  int64_t delay;
  const int64_t* first;          // sparse: [source + 1]; null: dense
  const int32_t* targets;        // sparse: [synapse]
  const int32_t* weights;        // shifted by the exponent; dense [source, target], sparse [synapse]
};

struct NativeModulation {
  int32_t source, target;        // positions in the update order
  int64_t shift;
  const int32_t* table;          // factors of a gain; null: a rise of the threshold
  const int64_t* offset;         // [domain]
};

}  // extern "C"

namespace {

struct Event {
  int32_t neuron, count;
};

template <typename T>
struct Neurons {
  std::vector<T> v, c, r, a, sum;
  std::vector<T> bias, threshold, v_reset, strength;
  std::vector<T> gain, rise;  // of this step, by astrocytes
  explicit Neurons(const NativePopulation& p)
      : v(p.size), c(p.size), r(p.size), a(p.size), sum(p.size), bias(p.bias, p.bias + p.size),
        threshold(p.threshold, p.threshold + p.size), v_reset(p.v_reset, p.v_reset + p.size),
        strength(p.strength, p.strength + p.size), gain(p.size), rise(p.size) {}
  void rest() {
    for (auto* state : {&v, &c, &r, &a}) std::fill(state->begin(), state->end(), T(0));
  }
};

template <typename T>
void arrive(const NativeProjection& projection, const std::vector<Event>& events, std::vector<T>& sum) {
  for (const Event& event : events) {
    if (projection.first == nullptr) {
      const int32_t* row = projection.weights + static_cast<int64_t>(event.neuron) * static_cast<int64_t>(sum.size());
      if (event.count == 1) {
        for (size_t i = 0; i < sum.size(); i++) sum[i] += static_cast<T>(row[i]);
      } else {
        for (size_t i = 0; i < sum.size(); i++) sum[i] += static_cast<T>(row[i]) * static_cast<T>(event.count);
      }
    } else {
      for (int64_t k = projection.first[event.neuron]; k < projection.first[event.neuron + 1]; k++) {
        sum[static_cast<size_t>(projection.targets[k])] += static_cast<T>(projection.weights[k]) * static_cast<T>(event.count);
      }
    }
  }
}

// What an astrocyte does in this step, from its membranes after the step before.
template <typename T>
void modulate(const NativeModulation& m, const Neurons<T>& astrocyte, Neurons<T>& target) {
  const size_t domains = astrocyte.v.size(), block = target.v.size() / domains;
  for (size_t k = 0; k < domains; k++) {
    const int64_t level = static_cast<int64_t>(astrocyte.v[k]) + m.offset[k];
    if (m.table) {
      const int64_t entry = std::clamp(level >> m.shift, -kHalfTable, kHalfTable - 1) + kHalfTable;
      std::fill_n(target.gain.begin() + k * block, block, static_cast<T>(m.table[entry]));
    } else {
      const int64_t above = std::max<int64_t>(level, 0);
      std::fill_n(target.rise.begin() + k * block, block, static_cast<T>(m.shift < 0 ? above << -m.shift : above >> m.shift));
    }
  }
}

template <typename T>
void advance(const NativePopulation& p, Neurons<T>& n, std::vector<Event>& fired, uint8_t* spikes) {
  const T v_min = static_cast<T>(p.membrane_min), v_max = static_cast<T>(p.membrane_max);
  const T c_min = static_cast<T>(p.current_min), c_max = static_cast<T>(p.current_max);
  const int32_t flags = p.flags;
  const bool delayed = flags & kDelayedReset;
  for (size_t i = 0; i < n.v.size(); i++) {
    T current = n.sum[i];
    if (flags & kGain) current = static_cast<T>((static_cast<int64_t>(current) * n.gain[i]) >> kGainFractionBits);
    if (!(flags & kMembraneBias)) current += n.bias[i];
    if (flags & kSynapse) {
      current = std::clamp<T>(decayed(n.c[i], p.decay_kind[1], p.decay_value[1][i]) + current, c_min, c_max);
    }
    const bool pending = n.r[i] > 0;
    if ((flags & kClearsCurrent) && pending) current = 0;
    T drive = (flags & kDelayedCurrent) ? n.c[i] : current;
    if (flags & kMembraneBias) drive += n.bias[i];
    T threshold = n.threshold[i] + n.a[i];
    if (flags & kRise) threshold += n.rise[i];
    T before = n.v[i];
    if (delayed && pending) {
      if (flags & kHard) before = n.v_reset[i];
      if (flags & kSoft) drive -= threshold;
    }
    const T u = std::clamp<T>(decayed(before, p.decay_kind[0], p.decay_value[0][i]) + drive, v_min, v_max);
    const bool able = (flags & kSpiking) && (delayed || !pending);
    const bool spike = able && ((flags & kStrict) ? u > threshold : u >= threshold);
    T after = u;
    if (spike && !delayed) {
      if (flags & kSoft) after = u - threshold;
      if (flags & kHard) after = n.v_reset[i];
    }
    n.c[i] = current;
    if (able || !(flags & kSpiking) || (flags & kIntegratesRefractory)) n.v[i] = after;
    if (delayed) n.r[i] = spike ? 1 : 0;
    else n.r[i] = spike ? static_cast<T>(p.refractory) : (pending ? n.r[i] - 1 : 0);
    if (flags & kAdaptation) {
      const T raised = decayed(n.a[i], p.decay_kind[2], p.decay_value[2][i]) + (spike ? n.strength[i] : T(0));
      n.a[i] = std::clamp<T>(raised, v_min, v_max);
    }
    spikes[i] = spike;
    if (spike) fired.push_back({static_cast<int32_t>(i), 1});
  }
}

template <typename T>
void run_samples(int64_t steps, int64_t samples, const uint8_t* input, int64_t inputs,
                 const NativePopulation* populations, int32_t count, const NativeProjection* projections,
                 int32_t projection_count, const NativeModulation* modulations, int32_t modulation_count,
                 std::atomic<int64_t>& next) {
  std::vector<Neurons<T>> neurons;
  for (int32_t k = 0; k < count; k++) neurons.emplace_back(populations[k]);
  // events of every population and step of the sample; position 0 is the input
  std::vector<std::vector<std::vector<Event>>> events(static_cast<size_t>(count) + 1);
  for (auto& by_step : events) by_step.resize(static_cast<size_t>(steps));
  for (int64_t sample = next++; sample < samples; sample = next++) {
    for (auto& n : neurons) n.rest();
    for (int64_t t = 0; t < steps; t++) {
      auto& arriving = events[0][static_cast<size_t>(t)];
      arriving.clear();
      const uint8_t* row = input + (t * samples + sample) * inputs;
      for (int64_t j = 0; j < inputs; j++) {
        if (row[j]) arriving.push_back({static_cast<int32_t>(j), row[j]});
      }
      for (int32_t m = 0; m < modulation_count; m++) {
        const NativeModulation& modulation = modulations[m];
        modulate(modulation, neurons[static_cast<size_t>(modulation.source)], neurons[static_cast<size_t>(modulation.target)]);
      }
      for (int32_t k = 0; k < count; k++) {
        const NativePopulation& p = populations[k];
        Neurons<T>& n = neurons[static_cast<size_t>(k)];
        std::fill(n.sum.begin(), n.sum.end(), T(0));
        for (int32_t q = 0; q < projection_count; q++) {
          const NativeProjection& projection = projections[q];
          if (projection.target != k || t < projection.delay) continue;
          arrive(projection, events[static_cast<size_t>(projection.source + 1)][static_cast<size_t>(t - projection.delay)], n.sum);
        }
        auto& fired = events[static_cast<size_t>(k) + 1][static_cast<size_t>(t)];
        fired.clear();
        const int64_t place = (t * samples + sample) * p.size;
        advance(p, n, fired, p.spikes + place);
        const std::vector<T>* states[4] = {&n.v, &n.c, &n.r, &n.a};
        for (int s = 0; s < 4; s++) {
          if (p.states[s]) std::copy(states[s]->begin(), states[s]->end(), p.states[s] + place);
        }
      }
    }
  }
}

}  // namespace

extern "C" void neurohw_run(int64_t steps, int64_t samples, const uint8_t* input, int64_t inputs,
                            const NativePopulation* populations, int32_t count, const NativeProjection* projections,
                            int32_t projection_count, const NativeModulation* modulations,
                            int32_t modulation_count, int32_t wide, int32_t threads) {
  std::atomic<int64_t> next{0};
  auto work = [&] {
    auto run = wide ? run_samples<int64_t> : run_samples<int32_t>;
    run(steps, samples, input, inputs, populations, count, projections, projection_count, modulations, modulation_count, next);
  };
  std::vector<std::thread> pool;
  for (int32_t i = 1; i < threads; i++) pool.emplace_back(work);
  work();
  for (auto& thread : pool) thread.join();
}
