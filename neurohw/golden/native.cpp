// The integer step of neurohw/step.py for whole samples: event driven in the synapses, a few passes over the neurons of a population, all in its cache.
//
// native.py hands over flat arrays; it keeps the layout of the structures below. A population computes in 16 bits first, and looks whether a number comes
// near their end. A sample in which one does is run again with the bits that native.py has proved to be enough, 32 or 64; after a few such samples the
// population stays there. Arrays of neurons are padded with neurons that never fire to whole vectors, so that no loop has a rest; the compiler maps vectors
// of 64 bytes to what the processor has. Threads take samples in turn; nothing is shared between samples.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>
#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

namespace {

enum Decay : int32_t { kNone = 0, kShift = 1, kMultiply = 2 };
enum Flags : int32_t {
  kSpiking = 1, kSoft = 2, kHard = 4, kStrict = 8, kDelayedReset = 16, kMembraneBias = 32,
  kDelayedCurrent = 64, kClearsCurrent = 128, kSynapse = 256, kAdaptation = 512, kIntegratesRefractory = 1024,
  kGain = 2048, kRise = 4096
};

constexpr int64_t kHalfTable = 64;
constexpr int32_t kGainFractionBits = 8, kLargestGain = 1023;
constexpr size_t kVectorBytes = 64;
constexpr size_t kBlock = 4;      // vectors of sums that stay in registers while events arrive
constexpr size_t kLanes = 32;     // neurons are padded to a multiple of these
constexpr int64_t kTrusted = 8191;  // 16 bits hold a few numbers of this size added up
constexpr int kPatience = 3;      // samples that a population may spoil before it computes in more bits

// holds a state times a factor of 13 bits
template <typename T>
using Product = std::conditional_t<sizeof(T) == 2, int32_t, int64_t>;

// a GCC vector of as many W as there are T in 64 bytes
template <typename T, typename W>
struct Vector {
  static constexpr size_t kSize = kVectorBytes / sizeof(T);
  typedef W type __attribute__((vector_size(kSize * sizeof(W)), aligned(sizeof(W)), may_alias));
};

size_t padded(int64_t size) { return (static_cast<size_t>(size) + kLanes - 1) / kLanes * kLanes; }

}  // namespace

extern "C" {

struct NativePopulation {
  int64_t size, bits;            // bits that hold every number: 16, 32 or 64
  int32_t flags, refractory;
  int32_t decay_kind[3];         // membrane, current, adaptation
  const int32_t* decay_value[3]; // [neuron]
  const int64_t *bias, *threshold, *v_reset, *strength;
  int64_t membrane_min, membrane_max, current_min, current_max;
  uint8_t* spikes;               // [time, sample, neuron], or null
  int64_t* states[4];            // v, c, r, a [time, sample, neuron], or null
  int64_t last;                  // states of the last step only, [sample, neuron]
};

struct NativeProjection {
  int32_t source, target;        // positions in the update order; source -1 is the input
  int64_t delay, sources;        // source neurons
  const int64_t* first;          // sparse: [source + 1]; null: dense
  const int32_t* targets;        // sparse: [synapse]
  const int32_t* weights;        // shifted by the exponent; dense [source, target], sparse [synapse]
};

struct NativeModulation {
  int32_t source, target;        // positions in the update order
  int64_t shift, domains;
  const int32_t* table;          // factors of a gain; null: a rise of the threshold
  const int64_t* offset;         // [domain]
};

}  // extern "C"

namespace {

// Events of one population in one step: neurons that sent one spike, and inputs with larger counts. Each is listed in an array of all neurons.
struct Events {
  std::vector<int32_t> single;
  std::vector<std::pair<int32_t, int32_t>> counted;
  size_t count = 0;  // of single ones
  explicit Events(int64_t neurons) : single(static_cast<size_t>(neurons)) {}
  bool empty() const { return count == 0 && counted.empty(); }
};

// Which of `count` bytes, 64 at most, are 1, and which are more, a bit each.
struct Found {
  uint64_t one = 0, more = 0;
};

Found found(const uint8_t* bytes, size_t count) {
#if defined(__AVX512BW__)
  const __mmask64 used = count == 64 ? ~0ull : (1ull << count) - 1;
  const __m512i block = _mm512_maskz_loadu_epi8(used, bytes), one = _mm512_set1_epi8(1);
  return {_mm512_cmpeq_epi8_mask(block, one), _mm512_cmpgt_epu8_mask(block, one)};
#else
  Found result;
  for (size_t i = 0; i < count; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, std::min<size_t>(8, count - i));
    if (!word) continue;
    for (size_t k = i; k < std::min(i + 8, count); k++) {
      result.one |= static_cast<uint64_t>(bytes[k] == 1) << k;
      result.more |= static_cast<uint64_t>(bytes[k] > 1) << k;
    }
  }
  return result;
#endif
}

void collect(const uint8_t* bytes, size_t size, Events& events) {
  int32_t* out = events.single.data();
  events.counted.clear();
  for (size_t i = 0; i < size; i += 64) {
    Found bits = found(bytes + i, std::min<size_t>(64, size - i));
    for (; bits.one; bits.one &= bits.one - 1) *out++ = static_cast<int32_t>(i) + __builtin_ctzll(bits.one);
    for (; bits.more; bits.more &= bits.more - 1) {
      const int32_t k = static_cast<int32_t>(i) + __builtin_ctzll(bits.more);
      events.counted.emplace_back(k, bytes[k]);
    }
  }
  events.count = static_cast<size_t>(out - events.single.data());
}

int64_t largest(const int64_t* values, int64_t size) {
  int64_t result = 0;
  for (int64_t i = 0; i < size; i++) result = std::max(result, std::abs(values[i]));
  return result;
}

// The weights of a projection, dense in padded rows by source or compressed, in the fewest bytes.
struct Weights {
  const NativeProjection& projection;
  size_t row = 0;
  int64_t largest = 0;
  std::vector<int8_t> bytes;
  std::vector<int16_t> words;
  std::vector<int32_t> longs;

  Weights(const NativeProjection& q, int64_t targets) : projection(q) {
    const int64_t count = q.first ? q.first[q.sources] : q.sources * targets;
    for (int64_t k = 0; k < count; k++) largest = std::max<int64_t>(largest, std::abs(static_cast<int64_t>(q.weights[k])));
    if (!q.first) row = padded(targets);
    const auto copy = [&](auto& to) {
      if (q.first) {
        to.assign(q.weights, q.weights + count);
        return;
      }
      to.assign(row * static_cast<size_t>(q.sources), 0);
      for (int64_t j = 0; j < q.sources; j++) std::copy(q.weights + j * targets, q.weights + (j + 1) * targets, to.begin() + j * static_cast<int64_t>(row));
    };
    if (largest < 128) copy(bytes);
    else if (largest < 32768) copy(words);
    else copy(longs);
  }
};

// kSize weights as numbers of type T
template <typename T, typename W>
typename Vector<T, T>::type widened(const W* weights) {
#if defined(__AVX512BW__)
  // the compiler's own conversion takes these apart
  using Sum = typename Vector<T, T>::type;
  if constexpr (sizeof(T) == 2 && sizeof(W) == 1) {
    return reinterpret_cast<Sum>(_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights))));
  } else if constexpr (sizeof(T) == 4 && sizeof(W) == 1) {
    return reinterpret_cast<Sum>(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights))));
  } else if constexpr (sizeof(T) == 4 && sizeof(W) == 2) {
    return reinterpret_cast<Sum>(_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights))));
  }
#endif
  return __builtin_convertvector(*reinterpret_cast<const typename Vector<T, W>::type*>(weights), typename Vector<T, T>::type);
}

// Add the rows of all events to kVectors vectors of sums, which stay in registers.
template <typename T, typename W, size_t kVectors>
void add_rows(const W* weights, size_t row, const Events& events, T* sum) {
  using Sum = typename Vector<T, T>::type;
  constexpr size_t lanes = Vector<T, T>::kSize;
  Sum total[kVectors];
  for (size_t k = 0; k < kVectors; k++) total[k] = reinterpret_cast<const Sum*>(sum)[k];
  for (size_t e = 0; e < events.count; e++) {
    const W* w = weights + static_cast<size_t>(events.single[e]) * row;
    for (size_t k = 0; k < kVectors; k++) total[k] += widened<T, W>(w + k * lanes);
  }
  for (const auto& [neuron, count] : events.counted) {
    const W* w = weights + static_cast<size_t>(neuron) * row;
    for (size_t k = 0; k < kVectors; k++) total[k] += widened<T, W>(w + k * lanes) * static_cast<T>(count);
  }
  for (size_t k = 0; k < kVectors; k++) reinterpret_cast<Sum*>(sum)[k] = total[k];
}

template <typename T, typename W>
void add(const NativeProjection& q, const W* weights, size_t row, const Events& events, std::vector<T>& sum) {
  if (q.first == nullptr) {
    constexpr size_t lanes = Vector<T, T>::kSize;
    size_t i = 0;
    for (; i + kBlock * lanes <= sum.size(); i += kBlock * lanes) add_rows<T, W, kBlock>(weights + i, row, events, sum.data() + i);
    const size_t rest = (sum.size() - i) / lanes;
    const auto last = rest == 1 ? add_rows<T, W, 1> : rest == 2 ? add_rows<T, W, 2> : add_rows<T, W, 3>;
    if (rest) last(weights + i, row, events, sum.data() + i);
    return;
  }
  const auto scatter = [&](int32_t neuron, T count) {
    for (int64_t k = q.first[neuron]; k < q.first[neuron + 1]; k++) {
      T& total = sum[static_cast<size_t>(q.targets[k])];
      total = static_cast<T>(total + static_cast<T>(weights[k]) * count);
    }
  };
  for (size_t e = 0; e < events.count; e++) scatter(events.single[e], 1);
  for (const auto& [neuron, count] : events.counted) scatter(neuron, static_cast<T>(count));
}

template <typename T>
T multiplied(T value, T constant) {
  const Product<T> magnitude = (static_cast<Product<T>>(value < 0 ? -value : value) * (4096 - constant)) >> 12;
  return static_cast<T>(value < 0 ? -magnitude : magnitude);
}

struct Job {
  int64_t steps, samples;
  const uint8_t* input;
  int64_t inputs, step_stride, sample_stride;  // bytes from a step, and from a sample, to the next
  const NativePopulation* populations;
  int32_t count;
  const NativeProjection* projections;
  int32_t projection_count;
  const NativeModulation* modulations;
  int32_t modulation_count, largest_count;
};

// One population of one sample, whatever the type of its numbers. What returns bool says whether all numbers fitted.
struct Population {
  virtual ~Population() = default;
  virtual void rest() = 0;
  virtual void modulate(const NativeModulation& m, const Population& astrocyte) = 0;
  virtual void arrive(const Weights& weights, const Events& events) = 0;
  virtual bool advance(Events& fired) = 0;
  virtual int64_t membrane(int64_t neuron) const = 0;
  virtual void record(const Job& job, int64_t step, int64_t sample) const = 0;
};

template <typename T>
struct Neurons final : Population {
  const NativePopulation& p;
  const size_t n;
  const bool trusting;        // 16 bits without a proof
  int64_t room = std::numeric_limits<int64_t>::max(), load = 0;  // that sums may reach, and that they may have reached
  bool fits = true;
  std::vector<T> v, c, r, a;
  std::vector<T> bias, threshold, v_reset, strength;
  std::vector<T> decay[3];
  bool uniform[3];            // one decay for all
  std::vector<T> gain, rise;  // of this step, by astrocytes
  std::vector<T> sum, drive, level, spike;
  std::vector<uint8_t> bytes;

  Neurons(const NativePopulation& population, bool unproved) : p(population), n(padded(population.size)), trusting(unproved) {
    for (auto* x : {&v, &c, &r, &a, &sum, &drive, &level, &spike, &gain, &rise}) x->assign(n, T(0));
    const auto fill = [&](std::vector<T>& x, const auto* values, T rest) {
      x.assign(n, rest);
      for (int64_t i = 0; i < p.size; i++) x[static_cast<size_t>(i)] = static_cast<T>(values[i]);
    };
    fill(bias, p.bias, T(0));
    fill(threshold, p.threshold, std::numeric_limits<T>::max() / 2);
    fill(v_reset, p.v_reset, T(0));
    fill(strength, p.strength, T(0));
    for (int k = 0; k < 3; k++) {
      fill(decay[k], p.decay_value[k], T(p.decay_value[k][0]));
      uniform[k] = std::all_of(decay[k].begin(), decay[k].end(), [&](T x) { return x == decay[k][0]; });
    }
    bytes.resize(n);
    if (trusting) room = trusted_room(p);
  }

  // How large a sum may be if states are kTrusted at most; 0 or less where constants are too large for 16 bits.
  // A membrane is decayed v + sum + bias, twice less a threshold: that of the reset before, and that of a reset one step late.
  static int64_t trusted_room(const NativePopulation& p) {
    const int64_t others = std::max({largest(p.strength, p.size), largest(p.v_reset, p.size), static_cast<int64_t>(p.refractory)});
    const int64_t moving = ((p.flags & kAdaptation) ? kTrusted : 0) + ((p.flags & kRise) ? kTrusted : 0);
    const int64_t rest = 32767 - 2 * largest(p.bias, p.size) - 2 * (largest(p.threshold, p.size) + moving) - kTrusted;
    if (others > kTrusted) return 0;
    return (p.flags & kGain) ? (rest - 1) * (1 << kGainFractionBits) / (kLargestGain + 1) : rest;
  }

  void rest() override {
    for (auto* state : {&v, &c, &r, &a}) std::fill(state->begin(), state->end(), T(0));
    fits = true;
    begin();
  }
  void begin() {
    std::fill(sum.begin(), sum.end(), T(0));
    load = 0;
  }
  int64_t membrane(int64_t neuron) const override { return v[static_cast<size_t>(neuron)]; }

  // What an astrocyte does in this step, from its membranes after the step before.
  void modulate(const NativeModulation& m, const Population& astrocyte) override {
    const int64_t block = p.size / m.domains;
    for (int64_t k = 0; k < m.domains; k++) {
      const int64_t above = astrocyte.membrane(k) + m.offset[k];
      int64_t value;
      if (m.table) value = m.table[std::clamp(above >> m.shift, -kHalfTable, kHalfTable - 1) + kHalfTable];
      else value = m.shift < 0 ? std::max<int64_t>(above, 0) << -m.shift : std::max<int64_t>(above, 0) >> m.shift;
      if (trusting && value > kTrusted) fits = false;
      std::fill_n((m.table ? gain : rise).begin() + k * block, block, static_cast<T>(value));
    }
  }

  void arrive(const Weights& weights, const Events& events) override {
    if (trusting) {
      int64_t count = static_cast<int64_t>(events.count);
      for (const auto& [neuron, times] : events.counted) count += times;
      load += count * weights.largest;
      if (load > room) {
        fits = false;
        return;
      }
    }
    if (events.empty()) return;
    const NativeProjection& q = weights.projection;
    if (!weights.bytes.empty()) add(q, weights.bytes.data(), weights.row, events, sum);
    else if (!weights.words.empty()) add(q, weights.words.data(), weights.row, events, sum);
    else if (!weights.longs.empty()) add(q, weights.longs.data(), weights.row, events, sum);
  }

  // x after one step of decay, into `to`, which may be x
  void decayed(const T* x, T* to, int which) const {
    const int32_t kind = p.decay_kind[which];
    const T* constant = decay[which].data();
    if (kind == kShift && uniform[which]) {  // in vectors, as the compiler would go by 32 bits
      using Values = typename Vector<T, T>::type;
      const Values* from = reinterpret_cast<const Values*>(x);
      Values* into = reinterpret_cast<Values*>(to);
      for (size_t k = 0; k < n / Vector<T, T>::kSize; k++) into[k] = from[k] - (from[k] >> constant[0]);
    }
    else if (kind == kShift) for (size_t i = 0; i < n; i++) to[i] = static_cast<T>(x[i] - (x[i] >> constant[i]));
    else if (kind == kMultiply) for (size_t i = 0; i < n; i++) to[i] = multiplied(x[i], constant[i]);
    else if (x != to) std::copy(x, x + n, to);
  }

  // Into a format. In trusted 16 bits a wider format is not reached, or the sample does not fit.
  void saturate(T* x, int64_t low, int64_t high) {
    const size_t size = n;
    if (trusting && (low < -kTrusted || high > kTrusted)) {
      constexpr T most = static_cast<T>(kTrusted);
      T beyond = 0;
      for (size_t i = 0; i < size; i++) beyond |= static_cast<T>((x[i] > most) | (x[i] < -most));
      if (beyond) fits = false;
      if (low < -kTrusted && high > kTrusted) return;
    }
    const T least = static_cast<T>(std::max<int64_t>(low, std::numeric_limits<T>::min()));
    const T most = static_cast<T>(std::min<int64_t>(high, std::numeric_limits<T>::max()));
    for (size_t i = 0; i < size; i++) x[i] = std::clamp(x[i], least, most);
  }

  // One step under the sums. The order of neurohw/step.py, one pass over all neurons for every line that applies.
  bool advance(Events& fired) override {
    const int32_t flags = p.flags;
    const size_t n = this->n;  // here and below: copies that no store of a byte can change, as the compiler must fear
    const bool delayed = flags & kDelayedReset, refractory = p.refractory && !delayed;
    const bool soft = !delayed && (flags & kSoft), hard = !delayed && (flags & kHard);
    T *const current = sum.data(), *const v = this->v.data(), *const c = this->c.data(), *const a = this->a.data(), *const r = this->r.data();
    const T *const bias = this->bias.data(), *const gain = this->gain.data();
    if (flags & kGain) for (size_t i = 0; i < n; i++) current[i] = static_cast<T>((static_cast<Product<T>>(current[i]) * gain[i]) >> kGainFractionBits);
    if (!(flags & kMembraneBias)) for (size_t i = 0; i < n; i++) current[i] = static_cast<T>(current[i] + bias[i]);
    T* driving = current;
    if (flags & kDelayedCurrent) {  // that of the step before, which is about to be overwritten
      driving = drive.data();
      std::copy(c, c + n, driving);
    }
    if (flags & kSynapse) {
      decayed(c, c, 1);
      for (size_t i = 0; i < n; i++) current[i] = static_cast<T>(c[i] + current[i]);
      saturate(current, p.current_min, p.current_max);
    }
    if ((flags & kClearsCurrent) && (delayed || refractory)) for (size_t i = 0; i < n; i++) current[i] = r[i] > 0 ? T(0) : current[i];
    std::copy(current, current + n, c);
    if (flags & kMembraneBias) for (size_t i = 0; i < n; i++) driving[i] = static_cast<T>(driving[i] + bias[i]);

    const T* limit = threshold.data();
    if (flags & (kAdaptation | kRise)) {
      for (size_t i = 0; i < n; i++) level[i] = static_cast<T>(threshold[i] + a[i] + rise[i]);
      limit = level.data();
    }
    if (delayed && (flags & kSoft)) for (size_t i = 0; i < n; i++) driving[i] = static_cast<T>(driving[i] - (r[i] > 0 ? limit[i] : T(0)));
    if (delayed && (flags & kHard)) for (size_t i = 0; i < n; i++) v[i] = r[i] > 0 ? v_reset[i] : v[i];

    // a membrane that survives refractory steps is needed once more
    const bool keeps = refractory && (flags & kSpiking) && !(flags & kIntegratesRefractory);
    T* u = keeps ? spike.data() : v;
    decayed(v, u, 0);
    for (size_t i = 0; i < n; i++) u[i] = static_cast<T>(u[i] + driving[i]);
    saturate(u, p.membrane_min, p.membrane_max);

    if (flags & kSpiking) {
      if (flags & kStrict) fire([](T x, T at) { return T(x > at); }, u, limit, refractory, keeps, soft, hard);
      else fire([](T x, T at) { return T(x >= at); }, u, limit, refractory, keeps, soft, hard);
      if (delayed) std::copy(spike.begin(), spike.end(), r);
      if (flags & kAdaptation) {
        decayed(a, a, 2);
        for (size_t i = 0; i < n; i++) a[i] = static_cast<T>(a[i] + (spike[i] ? strength[i] : T(0)));
        saturate(a, p.membrane_min, p.membrane_max);
      }
      uint8_t* __restrict to = bytes.data();
      const T* __restrict from = spike.data();
      for (size_t i = 0; i < n; i++) to[i] = static_cast<uint8_t>(from[i]);
      collect(bytes.data(), static_cast<size_t>(p.size), fired);
    }
    begin();
    return fits;
  }

  template <typename Above>
  void fire(Above above, const T* u, const T* limit, bool refractory, bool keeps, bool soft, bool hard) {
    const size_t n = this->n;
    T *const v = this->v.data(), *const r = this->r.data(), *const spike = this->spike.data();
    const T* const v_reset = this->v_reset.data();
    if (refractory) {
      const T hold = static_cast<T>(p.refractory);
      for (size_t i = 0; i < n; i++) {
        const bool pending = r[i] > 0;
        const T x = u[i], s = pending ? T(0) : above(x, limit[i]);
        const T after = !s ? x : soft ? static_cast<T>(x - limit[i]) : hard ? v_reset[i] : x;
        v[i] = keeps && pending ? v[i] : after;
        r[i] = s ? hold : pending ? static_cast<T>(r[i] - 1) : T(0);
        spike[i] = s;
      }
      return;
    }
    for (size_t i = 0; i < n; i++) spike[i] = above(u[i], limit[i]);
    if (soft) for (size_t i = 0; i < n; i++) v[i] = static_cast<T>(v[i] - (spike[i] ? limit[i] : T(0)));
    if (hard) for (size_t i = 0; i < n; i++) v[i] = spike[i] ? v_reset[i] : v[i];
  }

  void record(const Job& job, int64_t step, int64_t sample) const override {
    const int64_t place = (step * job.samples + sample) * p.size;
    if (p.spikes && (p.flags & kSpiking)) std::copy(bytes.begin(), bytes.begin() + p.size, p.spikes + place);
    const std::vector<T>* states[4] = {&v, &c, &r, &a};
    if (p.last && step + 1 < job.steps) return;
    for (int s = 0; s < 4; s++) {
      if (p.states[s]) std::copy(states[s]->begin(), states[s]->begin() + p.size, p.states[s] + (p.last ? sample * p.size : place));
    }
  }
};

// What one thread has: every population in proved bits and, where these are more than 16, in trusted ones.
struct Worker {
  const Job& job;
  const std::vector<Weights>& weights;
  std::atomic<bool>& beyond;
  std::vector<std::unique_ptr<Population>> proved, trusting;
  std::vector<Population*> active;
  std::vector<int> spoiled;
  int64_t depth = 1;  // events are kept for as many steps as the longest delay
  std::vector<std::vector<Events>> events;  // of the input (position 0) and of every population

  Worker(const Job& j, const std::vector<Weights>& w, std::atomic<bool>& b) : job(j), weights(w), beyond(b), spoiled(static_cast<size_t>(j.count)) {
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
    const int32_t failed = attempt(index);
    if (failed < 0) return;
    const size_t k = static_cast<size_t>(failed);
    const std::vector<Population*> before = active;
    for (size_t i = 0; i < active.size(); i++) active[i] = proved[i].get();
    attempt(index);
    active = before;
    if (++spoiled[k] == kPatience) active[k] = proved[k].get();
  }

  // The population whose numbers did not fit, or -1.
  int32_t attempt(int64_t index) {
    for (Population* population : active) population->rest();
    for (int64_t t = 0; t < job.steps; t++) {
      const size_t now = static_cast<size_t>(t % depth);
      const uint8_t* row = job.input + t * job.step_stride + index * job.sample_stride;
      if (t + 1 < job.steps) for (int64_t j = 0; j < job.inputs; j += 64) __builtin_prefetch(row + job.step_stride + j);
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
                            int32_t modulation_count, int32_t largest_count, int32_t threads) {
  const Job job{steps, samples, input, inputs, step_stride, sample_stride, populations, count, projections, projection_count, modulations, modulation_count, largest_count};
  std::vector<Weights> weights;
  for (int32_t q = 0; q < projection_count; q++) weights.emplace_back(projections[q], populations[projections[q].target].size);
  std::atomic<int64_t> next{0};
  std::atomic<bool> beyond{false};
  const auto work = [&] {
    Worker worker(job, weights, beyond);
    for (int64_t index = next++; index < samples && !beyond; index = next++) worker.sample(index);
  };
  std::vector<std::thread> pool;
  for (int32_t i = 1; i < threads; i++) pool.emplace_back(work);
  work();
  for (auto& thread : pool) thread.join();
  return beyond;
}
