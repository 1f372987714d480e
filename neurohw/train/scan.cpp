// SPDX-License-Identifier: Apache-2.0
// All steps of a population in one pass over its currents, forward and back, called by scan.py.
//
// Arrays are [time, sample, neuron]. A task is a chunk of neurons of one sample: its state stays in the first cache over all steps, and every array is read or
// written once.
#include <algorithm>

#include "neuron.h"
#include "parallel.h"

namespace {

constexpr int64_t kChunk = 64;  // neurons

struct Shape {
  int64_t steps, samples, neurons;
};

// Calls work(constants of the chunk, its size, place of its first step) for every chunk; the next step is `samples * neurons` further.
template <typename T, typename Work>
void chunks(const Shape& shape, const Constants<T>& constants, int32_t threads, Work work) {
  const int64_t count = (shape.neurons + kChunk - 1) / kChunk;
  parallel(shape.samples * count, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task % count * kChunk;
    work(constants.from(begin), std::min(kChunk, shape.neurons - begin), task / count * shape.neurons + begin);
  });
}

template <typename T>
void forward(const Shape& shape, const Model<T>& model, int64_t reset, const Constants<T>& constants, const T* current, T* spikes, T* above, T* membrane, int32_t threads) {
  const auto advance = step_of<T>(reset, constants.plain(model, shape.neurons));
  chunks(shape, constants, threads, [&](const Constants<T>& k, int64_t size, int64_t first) {
    T v[kChunk] = {}, c[kChunk] = {}, a[kChunk] = {}, left[kChunk] = {};
    for (int64_t t = 0; t < shape.steps; t++) {
      const int64_t here = first + t * shape.samples * shape.neurons;
      advance(model, k, {v, c, a, left}, current + here, size, spikes + here, above + here);
      if (membrane) std::copy(v, v + size, membrane + here);
    }
  });
}

// above: of the forward pass. Gradients by spikes and membranes may be missing (null).
template <typename T>
void backward(const Shape& shape, const Model<T>& model, int64_t reset, int64_t surrogate, const Constants<T>& constants, const T* above, const T* by_spikes,
              const T* by_membrane, T* by_current, int32_t threads) {
  const auto retreat = step_back_of<T>(reset, surrogate, constants.plain(model, shape.neurons));
  chunks(shape, constants, threads, [&](const Constants<T>& k, int64_t size, int64_t first) {
    T v[kChunk] = {}, c[kChunk] = {}, a[kChunk] = {}, zero[kChunk] = {};
    for (int64_t t = shape.steps - 1; t >= 0; t--) {
      const int64_t here = first + t * shape.samples * shape.neurons;
      retreat(model, k, {v, c, a, nullptr}, above + here, by_spikes ? by_spikes + here : zero, by_membrane ? by_membrane + here : zero, size, by_current + here);
    }
  });
}

// numbers: steps, samples, neurons, refractory, integrates, strict, through_reset
Shape shape_of(const int64_t* numbers) { return {numbers[0], numbers[1], numbers[2]}; }

template <typename T>
Model<T> model_of(const int64_t* numbers, double slope) {
  return {numbers[3], numbers[4] != 0, numbers[5] != 0, numbers[6] != 0, static_cast<T>(slope)};
}

}  // namespace

extern "C" {

void neurohw_scan_float(const int64_t* numbers, int64_t reset, double slope, const float* constants, const float* current, float* spikes, float* above, float* membrane,
                        int32_t threads) {
  forward<float>(shape_of(numbers), model_of<float>(numbers, slope), reset, {constants, numbers[2]}, current, spikes, above, membrane, threads);
}

void neurohw_scan_double(const int64_t* numbers, int64_t reset, double slope, const double* constants, const double* current, double* spikes, double* above, double* membrane,
                         int32_t threads) {
  forward<double>(shape_of(numbers), model_of<double>(numbers, slope), reset, {constants, numbers[2]}, current, spikes, above, membrane, threads);
}

void neurohw_scan_gradient_float(const int64_t* numbers, int64_t reset, int64_t surrogate, double slope, const float* constants, const float* above, const float* by_spikes,
                                 const float* by_membrane, float* by_current, int32_t threads) {
  backward<float>(shape_of(numbers), model_of<float>(numbers, slope), reset, surrogate, {constants, numbers[2]}, above, by_spikes, by_membrane, by_current, threads);
}

void neurohw_scan_gradient_double(const int64_t* numbers, int64_t reset, int64_t surrogate, double slope, const double* constants, const double* above,
                                  const double* by_spikes, const double* by_membrane, double* by_current, int32_t threads) {
  backward<double>(shape_of(numbers), model_of<double>(numbers, slope), reset, surrogate, {constants, numbers[2]}, above, by_spikes, by_membrane, by_current, threads);
}

}  // extern "C"
