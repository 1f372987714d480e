// SPDX-License-Identifier: Apache-2.0
// Weights, and their sums over the events of a step.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <type_traits>

#include "events.h"
#include "structures.h"
#include "vectors.h"

namespace {

constexpr size_t kBlock = 4;  // vectors of rows whose sums stay in registers while events arrive

// The weights of a projection, dense in padded rows by source or compressed, in the fewest bytes.
struct Weights {
  const NativeProjection& projection;
  const int64_t targets;
  size_t row = 0;
  int64_t largest = 0;
  Array<int8_t> bytes;
  Array<int16_t> words;
  Array<int32_t> longs;
  Array<uint16_t> pairs;  // dense bytes once more, as `add_pairs` reads them

  Weights(const NativeProjection& q, int64_t neurons) : projection(q), targets(neurons) {
    const int64_t count = q.first ? q.first[q.sources] : q.sources * targets;
    for (int64_t k = 0; k < count; k++) largest = std::max<int64_t>(largest, std::abs(static_cast<int64_t>(q.weights[k])));
    if (!q.first) row = padded(targets);
    if (largest < 128) copy(bytes);
    else if (largest < 32768) copy(words);
    else copy(longs);
    if (!q.first && largest < 128) pair();
  }

  template <typename W>
  void copy(Array<W>& to) const {
    if (projection.first) {
      to.assign(projection.weights, projection.weights + projection.first[projection.sources]);
      return;
    }
    to.assign(row * static_cast<size_t>(projection.sources), 0);
    for (int64_t j = 0; j < projection.sources; j++) std::copy_n(projection.weights + j * targets, targets, to.begin() + j * static_cast<int64_t>(row));
  }

  void pair() {
    pairs.resize(bytes.size() / 2);
    for (size_t k = 0; k < pairs.size(); k++) {
      const size_t first = k / kShorts * 2 * kShorts + k % kShorts;
      pairs[k] = static_cast<uint16_t>((bytes[first] + 128) | bytes[first + kShorts] * 256);
    }
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

template <typename T>
void increase(T* sum, Shorts values) {
  if constexpr (sizeof(T) == 2) *reinterpret_cast<Vector<uint16_t, uint16_t>::type*>(sum) += reinterpret_cast<Vector<uint16_t, uint16_t>::type>(values);
  else for (size_t i = 0; i < kShorts; i++) sum[i] += values[i];
}

// The same for bytes whose sums fit in 16 bits, in three operations for two vectors of sums: they are stored two to a word, 256 high + low + 128, so that the sum of all
// words less 256 times that of the high bytes is the sum of the low ones. All of it modulo 2^16, in which the true sums are.
template <typename T, size_t kVectors>
void add_pairs(const uint16_t* pairs, size_t row, const Events& events, T* sum) {
  using Words = Vector<uint16_t, uint16_t>::type;
  Words whole[kVectors], high[kVectors];
#pragma GCC unroll 8
  for (size_t k = 0; k < kVectors; k++) whole[k] = high[k] = Words{};
  const auto high_of = [](Words words) { return reinterpret_cast<Words>(reinterpret_cast<Shorts>(words) >> 8); };
  for (size_t e = 0; e < events.count; e++) {
    const Words* w = reinterpret_cast<const Words*>(pairs + static_cast<size_t>(events.single[e]) * row);
#pragma GCC unroll 8
    for (size_t k = 0; k < kVectors; k++) {
      whole[k] += w[k];
      high[k] += high_of(w[k]);
    }
  }
  for (const auto& [neuron, count] : events.counted) {
    const Words* w = reinterpret_cast<const Words*>(pairs + static_cast<size_t>(neuron) * row);
#pragma GCC unroll 8
    for (size_t k = 0; k < kVectors; k++) {
      whole[k] += w[k] * static_cast<uint16_t>(count);
      high[k] += high_of(w[k]) * static_cast<uint16_t>(count);
    }
  }
#pragma GCC unroll 8
  for (size_t k = 0; k < kVectors; k++) {
    const Words low = whole[k] - (high[k] << 8) - static_cast<uint16_t>(128 * events.sent);
    increase(sum + 2 * k * kShorts, reinterpret_cast<Shorts>(low));
    increase(sum + (2 * k + 1) * kShorts, reinterpret_cast<Shorts>(high[k]));
  }
}

// kernel(number of vectors, offset in vectors) over `count` vectors, kBlock of them together
template <typename Kernel>
void in_blocks(size_t count, Kernel kernel) {
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) kernel(std::integral_constant<size_t, kBlock>(), i);
  for (; i < count; i++) kernel(std::integral_constant<size_t, 1>(), i);
}

template <typename T, typename W>
void scatter(const NativeProjection& q, const W* weights, const Events& events, T* sum) {
  const auto one = [&](int32_t neuron, T count) {
    for (int64_t k = q.first[neuron]; k < q.first[neuron + 1]; k++) {
      T& total = sum[q.targets[k]];
      total = static_cast<T>(total + static_cast<T>(weights[k]) * count);
    }
  };
  for (size_t e = 0; e < events.count; e++) one(events.single[e], 1);
  for (const auto& [neuron, count] : events.counted) one(neuron, static_cast<T>(count));
}

template <typename T, typename W>
void add(const Weights& weights, const Array<W>& values, const Events& events, Array<T>& sum) {
  const size_t row = weights.row;
  if (weights.projection.first) {
    scatter(weights.projection, values.data(), events, sum.data());
  } else if (sizeof(W) == 1 && (sizeof(T) == 2 || events.sent * weights.largest <= std::numeric_limits<int16_t>::max())) {
    in_blocks(row / (2 * kShorts), [&](auto vectors, size_t i) { add_pairs<T, vectors()>(weights.pairs.data() + i * kShorts, row / 2, events, sum.data() + i * 2 * kShorts); });
  } else {
    constexpr size_t lanes = Vector<T, T>::kSize;
    in_blocks(row / lanes, [&](auto vectors, size_t i) { add_rows<T, W, vectors()>(values.data() + i * lanes, row, events, sum.data() + i * lanes); });
  }
}

template <typename T>
void add(const Weights& weights, const Events& events, Array<T>& sum) {
  if (!weights.bytes.empty()) add(weights, weights.bytes, events, sum);
  else if (!weights.words.empty()) add(weights, weights.words, events, sum);
  else if (!weights.longs.empty()) add(weights, weights.longs, events, sum);
}

}  // namespace
