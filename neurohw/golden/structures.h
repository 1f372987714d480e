// SPDX-License-Identifier: Apache-2.0
// What native_structures.py fills, in its layout.
#pragma once
#include <cstdint>

namespace {

enum Decay : int32_t { kNone = 0, kShift = 1, kMultiply = 2 };
enum Flags : int32_t {
  kSpiking = 1, kSoft = 2, kHard = 4, kStrict = 8, kDelayedReset = 16, kMembraneBias = 32,
  kDelayedCurrent = 64, kClearsCurrent = 128, kSynapse = 256, kAdaptation = 512, kIntegratesRefractory = 1024,
  kGain = 2048, kRise = 4096
};

}  // namespace

extern "C" {

struct NativePopulation {
  int64_t size, bits;            // bits that hold every number: 16, 32 or 64
  int32_t flags, refractory;
  int64_t exponent;              // left shift of its finished sums
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
  const int32_t* weights;        // in units of the target's sums; dense [source, target], sparse [synapse]
};

struct NativeModulation {
  int32_t source, target;        // positions in the update order
  int64_t shift, domains;
  const int32_t* table;          // factors of a gain; null: a rise of the threshold
  const int64_t* offset;         // [domain]
};

}  // extern "C"

namespace {

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
  int64_t* saturations;          // [population]: neuron updates in which a state saturated
};

}  // namespace
