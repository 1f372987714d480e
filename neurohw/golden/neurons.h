// SPDX-License-Identifier: Apache-2.0
// The neurons of a population through the steps of a sample.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <type_traits>
#include <utility>

#include "events.h"
#include "structures.h"
#include "synapses.h"
#include "vectors.h"

namespace {

constexpr int64_t kHalfTable = 64;
constexpr int32_t kGainFractionBits = 8, kLargestGain = 1023;
constexpr int64_t kTrusted = 8191;  // 16 bits hold a few numbers of this size added up

// holds a state times a factor of 13 bits
template <typename T>
using Product = std::conditional_t<sizeof(T) == 2, int32_t, int64_t>;

template <typename T>
T multiplied(T value, T constant) {
  const Product<T> magnitude = (static_cast<Product<T>>(value < 0 ? -value : value) * (4096 - constant)) >> 12;
  return static_cast<T>(value < 0 ? -magnitude : magnitude);
}

inline int64_t largest(const int64_t* values, int64_t size) {
  int64_t result = 0;
  for (int64_t i = 0; i < size; i++) result = std::max(result, std::abs(values[i]));
  return result;
}

// One population of one sample, whatever the type of its numbers. What returns bool says whether all numbers fitted.
struct Population {
  bool counting = false;    // say which neurons saturate, by a longer way, and not only whether one does
  bool saturated = false;   // a neuron did, since the rest
  int64_t saturations = 0;  // neuron updates in which a state did, where counting
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
  bool fits = true, plain;
  Array<T> v, c, r, a;
  Array<T> bias, threshold, v_reset, strength;
  Array<T> decay[3];
  bool uniform[3];            // one decay for all
  Array<T> gain, rise;  // of this step, by astrocytes
  Array<T> sum, drive, level, spike;
  Array<T> clipped;     // neurons with a state that saturates in this step
  Array<uint8_t> bytes;

  Neurons(const NativePopulation& population, bool unproved) : p(population), n(padded(population.size)), trusting(unproved) {
    for (auto* x : {&v, &c, &r, &a, &sum, &drive, &level, &spike, &clipped, &gain, &rise}) x->assign(n, T(0));
    const auto fill = [&](Array<T>& x, const auto* values, T rest) {
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
    plain = is_plain();
    if (trusting) room = trusted_room(p);
  }

  // How large a sum, before its shift, may be if states are kTrusted at most; 0 or less where constants are too large for 16 bits.
  // A membrane is decayed v + sum + bias, twice less a threshold: that of the reset before, and that of a reset one step late.
  static int64_t trusted_room(const NativePopulation& p) {
    const int64_t others = std::max({largest(p.strength, p.size), largest(p.v_reset, p.size), static_cast<int64_t>(p.refractory)});
    const int64_t moving = ((p.flags & kAdaptation) ? kTrusted : 0) + ((p.flags & kRise) ? kTrusted : 0);
    const int64_t rest = 32767 - 2 * largest(p.bias, p.size) - 2 * (largest(p.threshold, p.size) + moving) - kTrusted;
    if (others > kTrusted) return 0;
    return ((p.flags & kGain) ? (rest - 1) * (1 << kGainFractionBits) / (kLargestGain + 1) : rest) >> p.exponent;
  }

  void rest() override {
    for (auto* state : {&v, &c, &r, &a}) std::fill(state->begin(), state->end(), T(0));
    fits = true;
    saturated = false;
    saturations = 0;
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
    if (events.empty()) return;
    if (trusting) {
      load += events.sent * weights.largest;
      if (load > room) {
        fits = false;
        return;
      }
    }
    add(weights, events, sum);
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

  // Whether numbers must be watched: in trusted 16 bits a wider format is not reached, or the sample does not fit.
  bool checks(int64_t low, int64_t high) const { return trusting && (low < -kTrusted || high > kTrusted); }
  // a format as far as T reaches
  static std::pair<T, T> limits(int64_t low, int64_t high) {
    return {static_cast<T>(std::max<int64_t>(low, std::numeric_limits<T>::min())), static_cast<T>(std::min<int64_t>(high, std::numeric_limits<T>::max()))};
  }

  void saturate(T* x, int64_t low, int64_t high) {
    const size_t size = n;
    if (checks(low, high)) {
      constexpr T most = static_cast<T>(kTrusted);
      T beyond = 0;
      for (size_t i = 0; i < size; i++) beyond |= static_cast<T>((x[i] > most) | (x[i] < -most));
      if (beyond) fits = false;
      if (low < -kTrusted && high > kTrusted) return;
    }
    const auto [least, most] = limits(low, high);
    if (counting) for (size_t i = 0; i < size; i++) clipped[i] |= static_cast<T>((x[i] < least) | (x[i] > most));
    T changed = 0;
    for (size_t i = 0; i < size; i++) {
      const T within = std::clamp(x[i], least, most);
      changed = static_cast<T>(changed | (within ^ x[i]));
      x[i] = within;
    }
    if (changed) saturated = true;
  }

  // The neurons that a step has marked, once each.
  void count_clipped() {
    for (T& one : clipped) {
      saturations += one;
      one = 0;
    }
  }

  // No current, adaptation or modulation, no refractory steps, and one shift for all.
  bool is_plain() const {
    constexpr int32_t others = kDelayedReset | kMembraneBias | kDelayedCurrent | kClearsCurrent | kSynapse | kAdaptation | kGain | kRise;
    return sizeof(T) == 2 && !(p.flags & others) && !p.refractory && (p.decay_kind[0] == kNone || (p.decay_kind[0] == kShift && uniform[0]));
  }

  // One step of a plain population: every number in registers from the sum to the event. It does not saturate: a sample in which it should is run again
  // by the longer way, which counts.
  bool advance_plain(Events& fired) {
    const bool spiking = p.flags & kSpiking, strict = p.flags & kStrict, soft = p.flags & kSoft, hard = p.flags & kHard;
    const bool recorded = p.spikes, keeps_current = p.states[1], decays = p.decay_kind[0] == kShift;
    const int shift = decay[0][0], exponent = static_cast<int>(p.exponent);
    const auto [least, most] = limits(p.membrane_min, p.membrane_max);
    const auto vectors = [](Array<T>& values) { return reinterpret_cast<Shorts*>(values.data()); };
    Shorts *const current = vectors(sum), *const v = vectors(this->v), *const c = vectors(this->c);
    Shorts *const bias = vectors(this->bias), *const threshold = vectors(this->threshold), *const v_reset = vectors(this->v_reset);
    Shorts largest = {}, smallest = {};
    fired.clear();
    for (size_t i = 0; i < n / kLanes; i++) {
      uint64_t bits = 0;
      for (size_t lane = 0, k = i * kLanes / kShorts; lane < kLanes; lane += kShorts, k++) {
        const Shorts drive = (current[k] << exponent) + bias[k];
        current[k] = Shorts{};
        if (keeps_current) c[k] = drive;
        Shorts u = v[k];
        if (decays) u -= u >> shift;
        u += drive;
        largest = larger(largest, u);
        smallest = smaller(smallest, u);
        if (spiking) {
          const Chosen fires = Chosen::above(u, threshold[k], strict);
          if (soft) u = fires.where(u - threshold[k], u);
          if (hard) u = fires.where(v_reset[k], u);
          if (recorded) fires.store(bytes.data() + k * kShorts);
          bits |= static_cast<uint64_t>(fires.bits()) << lane;
        }
        v[k] = u;
      }
      fired.append(bits, static_cast<int32_t>(i * kLanes));
    }
    load = 0;
    const uint32_t beyond = Chosen::above(largest, Shorts{} + most, true).bits() | Chosen::above(Shorts{} + least, smallest, true).bits();
    if (beyond) saturated = true;
    if (checks(p.membrane_min, p.membrane_max)) {
      const Shorts trusted = Shorts{} + static_cast<int16_t>(kTrusted);
      if (Chosen::above(largest, trusted, true).bits() | Chosen::above(-trusted, smallest, true).bits()) fits = false;
    }
    return fits;
  }

  // One step under the sums. The order of neurohw/step.py, one pass over all neurons for every line that applies.
  bool advance(Events& fired) override {
    if constexpr (sizeof(T) == 2) if (plain && !counting) return advance_plain(fired);
    const int32_t flags = p.flags;
    const size_t n = this->n;  // here and below: copies that no store of a byte can change, as the compiler must fear
    const bool delayed = flags & kDelayedReset, refractory = p.refractory && !delayed;
    const bool soft = !delayed && (flags & kSoft), hard = !delayed && (flags & kHard);
    T *const current = sum.data(), *const v = this->v.data(), *const c = this->c.data(), *const a = this->a.data(), *const r = this->r.data();
    const T *const bias = this->bias.data(), *const gain = this->gain.data();
    if (p.exponent) for (size_t i = 0; i < n; i++) current[i] = static_cast<T>(static_cast<Product<T>>(current[i]) * (Product<T>{1} << p.exponent));
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
    if (counting) count_clipped();
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
    const Array<T>* states[4] = {&v, &c, &r, &a};
    if (p.last && step + 1 < job.steps) return;
    for (int s = 0; s < 4; s++) {
      if (p.states[s]) std::copy(states[s]->begin(), states[s]->begin() + p.size, p.states[s] + (p.last ? sample * p.size : place));
    }
  }
};

}  // namespace
