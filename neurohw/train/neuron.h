// SPDX-License-Identifier: Apache-2.0
// One step of neurons in a row, forward and back: the equations and the order of functional.lif_step. Compiled without fused multiply-add, the spikes are the same
// to the last bit. What a neuron model lacks is a constant 0: a synaptic current of decay 0, a threshold that rises by 0. A model that lacks all of it is `Plain`.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace {

enum Reset { kNone, kSoft, kHard, kLate };  // late: a soft reset one step after the spike
enum Surrogate { kArctan, kFastSigmoid, kTriangular };

template <typename T>
struct Model {
  int64_t refractory;
  bool integrates, strict, through_reset;
  T slope;
};

// of every neuron
template <typename T>
struct Constants {
  const T *decay, *synapse_decay, *threshold, *v_reset, *adaptation_decay, *adaptation_strength;

  Constants(const T* rows, int64_t neurons)  // [6, neuron]
      : decay(rows),
        synapse_decay(rows + neurons),
        threshold(rows + 2 * neurons),
        v_reset(rows + 3 * neurons),
        adaptation_decay(rows + 4 * neurons),
        adaptation_strength(rows + 5 * neurons) {}

  Constants from(int64_t neuron) const {
    Constants result = *this;
    for (const T** row : {&result.decay, &result.synapse_decay, &result.threshold, &result.v_reset, &result.adaptation_decay, &result.adaptation_strength}) *row += neuron;
    return result;
  }

  bool plain(const Model<T>& model, int64_t neurons) const {
    bool result = !model.refractory;
    for (int64_t n = 0; n < neurons; n++) result &= synapse_decay[n] == 0 && adaptation_decay[n] == 0 && adaptation_strength[n] == 0;
    return result;
  }
};

// Membranes, synaptic currents, rises of the threshold and refractory steps left (late reset: spikes of the step before); going back, the gradients by them.
template <typename T>
struct State {
  T *v, *c, *a, *left;
};

// in: currents. Writes spikes and u - threshold, which is not a number where the neuron is refractory; `above` may be `in`.
template <typename T, Reset R, bool Plain>
void step(const Model<T>& model, const Constants<T>& k, const State<T>& s, const T* in, int64_t size, T* __restrict spikes, T* above) {
  const bool strict = model.strict, integrates = model.integrates;
  const T full = static_cast<T>(model.refractory);
  T *__restrict v = s.v, *__restrict c = s.c, *__restrict a = s.a, *__restrict left = s.left;
#pragma GCC ivdep
  for (int64_t n = 0; n < size; n++) {
    const T current = Plain ? in[n] : k.synapse_decay[n] * c[n] + in[n];
    const T threshold = Plain ? k.threshold[n] : k.threshold[n] + a[n];
    const T u = k.decay[n] * v[n] + (R == kLate ? current - threshold * left[n] : current);
    const bool held = !Plain && R != kLate && left[n] > 0;
    const bool fires = ((u > threshold) | ((u == threshold) & !strict)) & !held;
    const T fired = fires ? T(1) : T(0);
    const T after = R == kSoft ? u - threshold : R == kHard ? k.v_reset[n] : u;
    v[n] = held & !integrates ? v[n] : fires ? after : u;
    if (R == kLate) left[n] = fired;
    if (!Plain) {
      c[n] = current;
      if (R != kLate) left[n] = fires ? full : held ? left[n] - 1 : T(0);
      a[n] = k.adaptation_decay[n] * a[n] + k.adaptation_strength[n] * fired;
    }
    spikes[n] = fired;
    above[n] = held ? std::numeric_limits<T>::quiet_NaN() : u - threshold;
  }
}

// d spike / d u at x = u - threshold: the table in surrogate.py
template <typename T, Surrogate S>
T bump(T x, T slope) {
  if (S == kArctan) {
    const T y = x * (static_cast<T>(M_PI / 2) * slope);
    return slope / 2 / (1 + y * y);
  }
  const T y = slope * std::fabs(x);
  if (S == kFastSigmoid) return 1 / ((1 + y) * (1 + y));
  return y < 1 ? slope * (1 - y) : T(0);
}

// by_spikes, by_membrane: given gradients, or a row of zeros. s: gradients by the state after the step, then before it. `by_current` may be `above`.
template <typename T, Reset R, Surrogate S, bool Plain>
void step_back(const Model<T>& model, const Constants<T>& k, const State<T>& s, const T* above, const T* __restrict by_spikes,
               const T* __restrict by_membrane, int64_t size, T* by_current) {
  const bool strict = model.strict, integrates = model.integrates;
  const T slope = model.slope, through_reset = model.through_reset ? T(1) : T(0);  // a factor: a branch would keep the loop from vectors
  T *__restrict v = s.v, *__restrict c = s.c, *__restrict a = s.a;
#pragma GCC ivdep
  for (int64_t n = 0; n < size; n++) {
    const T x = above[n];
    const bool held = !Plain && x != x, kept = held & !integrates;
    const bool fired = (x > 0) | ((x == 0) & !strict);
    const bool counts = !held & !(strict & (x == 0));  // PyTorch's `where` has no gradient at the very threshold
    const T by_v = v[n] + by_membrane[n];
    T by_spike = by_spikes[n];
    if (!Plain) by_spike += k.adaptation_strength[n] * a[n];
    if (R == kSoft) by_spike -= through_reset * by_v * k.threshold[n];
    const T by_x = (counts ? by_spike : T(0)) * bump<T, S>(held ? T(0) : x, slope);
    const T by_u = (kept | ((R == kHard) & fired) ? T(0) : by_v) + by_x;
    v[n] = kept ? by_v : k.decay[n] * by_u;
    if (!Plain) {
      a[n] = k.adaptation_decay[n] * a[n] - by_x - ((R == kSoft) & fired ? by_v : T(0));
      c[n] = k.synapse_decay[n] * c[n] + by_u;
    }
    by_current[n] = Plain ? by_u : c[n];
  }
}

// The step of a model that is known at run time only.
template <typename T>
using Step = decltype(&step<T, kNone, true>);
template <typename T>
using StepBack = decltype(&step_back<T, kNone, kArctan, true>);

template <typename T>
Step<T> step_of(int64_t reset, bool plain) {
  static constexpr Step<T> all[4][2] = {{step<T, kNone, false>, step<T, kNone, true>},
                                        {step<T, kSoft, false>, step<T, kSoft, true>},
                                        {step<T, kHard, false>, step<T, kHard, true>},
                                        {step<T, kLate, false>, step<T, kLate, true>}};
  return all[reset][plain];
}

template <typename T, Reset R>
StepBack<T> step_back_of(int64_t surrogate, bool plain) {
  static constexpr StepBack<T> all[3][2] = {{step_back<T, R, kArctan, false>, step_back<T, R, kArctan, true>},
                                            {step_back<T, R, kFastSigmoid, false>, step_back<T, R, kFastSigmoid, true>},
                                            {step_back<T, R, kTriangular, false>, step_back<T, R, kTriangular, true>}};
  return all[surrogate][plain];
}

template <typename T>
StepBack<T> step_back_of(int64_t reset, int64_t surrogate, bool plain) {
  switch (reset) {
    case kSoft: return step_back_of<T, kSoft>(surrogate, plain);
    case kHard: return step_back_of<T, kHard>(surrogate, plain);
    default: return step_back_of<T, kNone>(surrogate, plain);  // a late reset is detached
  }
}

}  // namespace
