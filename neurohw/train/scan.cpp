// All steps of a population in one pass, forward and back, called by scan.py. The equations and their order are those of functional.lif_step; compiled without
// fused multiply-add, the spikes are the same to the last bit.
//
// Arrays are [time, sample, neuron]. A task is a chunk of neurons of one sample: its state stays in registers and the first cache over all steps, and every
// array is read or written once. What a neuron model lacks is a constant 0 here: a synaptic current of decay 0, a threshold that rises by 0.
#include <cmath>
#include <cstdint>
#include <limits>

#include "parallel.h"

namespace {

constexpr int64_t kChunk = 64;  // neurons

enum Reset { kNone, kSoft, kHard };
enum Surrogate { kArctan, kFastSigmoid, kTriangular };

template <typename T>
struct Population {
  int64_t steps, samples, neurons;
  int64_t refractory;
  bool integrates, strict, through_reset;
  T slope;
  const T *decay, *synapse_decay, *threshold, *v_reset, *adaptation_decay, *adaptation_strength;  // [neuron]
};

// The constants of a chunk, beside its state.
template <typename T>
struct Constants {
  T decay[kChunk], synapse_decay[kChunk], threshold[kChunk], v_reset[kChunk], adaptation_decay[kChunk],
      adaptation_strength[kChunk];

  Constants(const Population<T>& p, int64_t begin, int64_t size) {
    for (int64_t n = 0; n < kChunk; n++) {
      const int64_t k = begin + std::min(n, size - 1);
      decay[n] = p.decay[k], synapse_decay[n] = p.synapse_decay[k], threshold[n] = p.threshold[k];
      v_reset[n] = p.v_reset[k], adaptation_decay[n] = p.adaptation_decay[k];
      adaptation_strength[n] = p.adaptation_strength[k];
    }
  }
};

template <typename T, Reset R>
void forward(const Population<T>& p, const T* current, T* spikes, T* above, T* membrane, int32_t threads) {
  const int64_t chunks = (p.neurons + kChunk - 1) / kChunk;
  parallel(p.samples * chunks, threads, [&](int64_t task, int32_t) {
    const int64_t sample = task / chunks, begin = task % chunks * kChunk;
    const int64_t size = std::min(kChunk, p.neurons - begin);
    const Constants<T> k(p, begin, size);
    T v[kChunk] = {}, c[kChunk] = {}, a[kChunk] = {}, left[kChunk] = {};
    const bool strict = p.strict, integrates = p.integrates;
    const T full = static_cast<T>(p.refractory);
    for (int64_t t = 0; t < p.steps; t++) {
      const int64_t here = (t * p.samples + sample) * p.neurons + begin;
      const T* __restrict in = current + here;
      T *__restrict out = spikes + here, *__restrict x = above + here;
#pragma GCC ivdep
      for (int64_t n = 0; n < size; n++) {
        c[n] = k.synapse_decay[n] * c[n] + in[n];
        const T u = k.decay[n] * v[n] + c[n];
        const T threshold = k.threshold[n] + a[n];
        const bool held = left[n] > 0;
        const bool fires = ((u > threshold) | ((u == threshold) & !strict)) & !held;
        const T after = R == kSoft ? u - threshold : R == kHard ? k.v_reset[n] : u;
        v[n] = held & !integrates ? v[n] : fires ? after : u;
        const T fewer = held ? left[n] - 1 : T(0);
        left[n] = fires ? full : fewer;
        a[n] = k.adaptation_decay[n] * a[n] + k.adaptation_strength[n] * (fires ? T(1) : T(0));
        out[n] = fires ? T(1) : T(0);
        x[n] = held ? std::numeric_limits<T>::quiet_NaN() : u - threshold;
      }
      if (membrane) std::copy(v, v + size, membrane + here);
    }
  });
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

// above: u - threshold of the forward pass, not a number where the neuron was refractory. Gradients by spikes and membrane may be missing (null).
template <typename T, Reset R, Surrogate S>
void backward(const Population<T>& p, const T* above, const T* by_spikes, const T* by_membrane, T* by_current,
              int32_t threads) {
  const int64_t chunks = (p.neurons + kChunk - 1) / kChunk;
  parallel(p.samples * chunks, threads, [&](int64_t task, int32_t) {
    const int64_t sample = task / chunks, begin = task % chunks * kChunk;
    const int64_t size = std::min(kChunk, p.neurons - begin);
    const Constants<T> k(p, begin, size);
    const bool strict = p.strict, integrates = p.integrates;
    const T slope = p.slope, through_reset = p.through_reset ? T(1) : T(0);  // a factor: a branch would keep the loop from vectors
    T v[kChunk] = {}, c[kChunk] = {}, a[kChunk] = {}, zero[kChunk] = {};  // gradients by the state after the step
    for (int64_t t = p.steps - 1; t >= 0; t--) {
      const int64_t here = (t * p.samples + sample) * p.neurons + begin;
      const T* __restrict given = by_spikes ? by_spikes + here : zero;
      const T* __restrict given_v = by_membrane ? by_membrane + here : zero;
      const T* __restrict x = above + here;
      T* __restrict out = by_current + here;
#pragma GCC ivdep
      for (int64_t n = 0; n < size; n++) {
        const bool held = x[n] != x[n], kept = held & !integrates;
        const bool fired = (x[n] > 0) | ((x[n] == 0) & !strict);
        const bool counts = !held & !(strict & (x[n] == 0));  // PyTorch's `where` has no gradient at the very threshold
        const T by_v = v[n] + given_v[n];
        T by_spike = given[n] + k.adaptation_strength[n] * a[n];
        if (R == kSoft) by_spike -= through_reset * by_v * k.threshold[n];
        const T by_x = (counts ? by_spike : T(0)) * bump<T, S>(held ? T(0) : x[n], slope);
        const T by_u = (kept | ((R == kHard) & fired) ? T(0) : by_v) + by_x;
        const T by_threshold = -by_x - ((R == kSoft) & fired ? by_v : T(0));
        v[n] = kept ? by_v : k.decay[n] * by_u;
        a[n] = k.adaptation_decay[n] * a[n] + by_threshold;
        c[n] = k.synapse_decay[n] * c[n] + by_u;
        out[n] = c[n];
      }
    }
  });
}

template <typename T, Reset R>
void backward_of(int64_t surrogate, const Population<T>& p, const T* above, const T* by_spikes, const T* by_membrane,
                 T* by_current, int32_t threads) {
  switch (surrogate) {
    case kArctan: return backward<T, R, kArctan>(p, above, by_spikes, by_membrane, by_current, threads);
    case kFastSigmoid: return backward<T, R, kFastSigmoid>(p, above, by_spikes, by_membrane, by_current, threads);
    default: return backward<T, R, kTriangular>(p, above, by_spikes, by_membrane, by_current, threads);
  }
}

// numbers: steps, samples, neurons, refractory, integrates, strict, through_reset; constants: the six arrays one after the other
template <typename T>
Population<T> population(const int64_t* numbers, double slope, const T* constants) {
  const int64_t n = numbers[2];
  return {numbers[0],
          numbers[1],
          n,
          numbers[3],
          numbers[4] != 0,
          numbers[5] != 0,
          numbers[6] != 0,
          static_cast<T>(slope),
          constants,
          constants + n,
          constants + 2 * n,
          constants + 3 * n,
          constants + 4 * n,
          constants + 5 * n};
}

template <typename T>
void scan(const int64_t* numbers, int64_t reset, double slope, const T* constants, const T* current, T* spikes, T* above,
          T* membrane, int32_t threads) {
  const Population<T> p = population(numbers, slope, constants);
  switch (reset) {
    case kNone: return forward<T, kNone>(p, current, spikes, above, membrane, threads);
    case kSoft: return forward<T, kSoft>(p, current, spikes, above, membrane, threads);
    default: return forward<T, kHard>(p, current, spikes, above, membrane, threads);
  }
}

template <typename T>
void scan_gradient(const int64_t* numbers, int64_t reset, int64_t surrogate, double slope, const T* constants,
                   const T* above, const T* by_spikes, const T* by_membrane, T* by_current, int32_t threads) {
  const Population<T> p = population(numbers, slope, constants);
  switch (reset) {
    case kNone: return backward_of<T, kNone>(surrogate, p, above, by_spikes, by_membrane, by_current, threads);
    case kSoft: return backward_of<T, kSoft>(surrogate, p, above, by_spikes, by_membrane, by_current, threads);
    default: return backward_of<T, kHard>(surrogate, p, above, by_spikes, by_membrane, by_current, threads);
  }
}

}  // namespace

extern "C" {

void neurohw_scan_float(const int64_t* numbers, int64_t reset, double slope, const float* constants,
                        const float* current, float* spikes, float* above, float* membrane, int32_t threads) {
  scan(numbers, reset, slope, constants, current, spikes, above, membrane, threads);
}

void neurohw_scan_double(const int64_t* numbers, int64_t reset, double slope, const double* constants,
                         const double* current, double* spikes, double* above, double* membrane, int32_t threads) {
  scan(numbers, reset, slope, constants, current, spikes, above, membrane, threads);
}

void neurohw_scan_gradient_float(const int64_t* numbers, int64_t reset, int64_t surrogate, double slope,
                                 const float* constants, const float* above, const float* by_spikes,
                                 const float* by_membrane, float* by_current, int32_t threads) {
  scan_gradient(numbers, reset, surrogate, slope, constants, above, by_spikes, by_membrane, by_current, threads);
}

void neurohw_scan_gradient_double(const int64_t* numbers, int64_t reset, int64_t surrogate, double slope,
                                  const double* constants, const double* above, const double* by_spikes,
                                  const double* by_membrane, double* by_current, int32_t threads) {
  scan_gradient(numbers, reset, surrogate, slope, constants, above, by_spikes, by_membrane, by_current, threads);
}

}  // extern "C"
