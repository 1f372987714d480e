// SPDX-License-Identifier: Apache-2.0
// Who sends in one step, as a list.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "vectors.h"

namespace {

// places of a list that are written together
#if defined(__AVX512VBMI2__)
constexpr size_t kAtOnce = 16;
alignas(64) constexpr uint8_t kPlaces[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                             22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
                                             44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
#else
constexpr size_t kAtOnce = 8;
#endif

// Events of one population in one step: neurons that sent one spike, and inputs with larger counts.
struct Events {
  std::vector<int32_t> single;  // room for all neurons, and for what is written beyond the last
  std::vector<std::pair<int32_t, int32_t>> counted;
  size_t count = 0;  // of single ones
  int64_t sent = 0;  // spikes, with their counts

  explicit Events(int64_t neurons) : single(static_cast<size_t>(neurons) + kAtOnce) {}
  bool empty() const { return sent == 0; }
  void clear() {
    counted.clear();
    count = 0;
    sent = 0;
  }
  // Neurons `first` and on, a bit each. Places are written some at a time, so that no jump depends on how many there are, as long as these are few.
  void append(uint64_t bits, int32_t first) {
    const size_t added = static_cast<size_t>(__builtin_popcountll(bits));
    int32_t* const out = single.data() + count;
    count += added;
    sent += static_cast<int64_t>(added);
#if defined(__AVX512VBMI2__)
    __m512i places = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(kPlaces));
    for (size_t done = 0; done < added; done += kAtOnce, places = _mm512_alignr_epi32(places, places, 4)) {
      _mm512_storeu_si512(out + done, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(places)), _mm512_set1_epi32(first)));
    }
#else
    for (size_t done = 0; done < added; done += kAtOnce) {
      for (size_t k = 0; k < kAtOnce; k++, bits &= bits - 1) {
        out[done + k] = first + __builtin_ctzll(bits | 1ull << 63);
        asm volatile("" ::: "memory");  // the compiler would gather what it could store
      }
    }
#endif
  }
};

// Which of 64 bytes are 1, and which are more, a bit each.
struct Found {
  uint64_t one = 0, more = 0;
};

inline Found found(const uint8_t* bytes) {
#if defined(__AVX512BW__)
  const __m512i block = _mm512_loadu_si512(bytes), one = _mm512_set1_epi8(1);
  return {_mm512_cmpeq_epi8_mask(block, one), _mm512_cmpgt_epu8_mask(block, one)};
#elif defined(__AVX2__)
  Found result;
  const __m256i one = _mm256_set1_epi8(1), zero = _mm256_setzero_si256();
  for (int half = 0; half < 2; half++) {
    const __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes) + half);
    const uint32_t ones = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, one)));
    const uint32_t zeros = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, zero)));
    result.one |= static_cast<uint64_t>(ones) << 32 * half;
    result.more |= static_cast<uint64_t>(~(ones | zeros)) << 32 * half;
  }
  return result;
#else
  Found result;
  for (size_t i = 0; i < 64; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    if (!word) continue;
    for (size_t k = i; k < i + 8; k++) {
      result.one |= static_cast<uint64_t>(bytes[k] == 1) << k;
      result.more |= static_cast<uint64_t>(bytes[k] > 1) << k;
    }
  }
  return result;
#endif
}

inline void collect(const uint8_t* bytes, size_t size, Events& events) {
  events.clear();
  const auto add = [&](const uint8_t* block, int32_t first) {
    Found bits = found(block);
    events.append(bits.one, first);
    for (; bits.more; bits.more &= bits.more - 1) {
      const int k = __builtin_ctzll(bits.more);
      events.counted.emplace_back(first + k, block[k]);
      events.sent += block[k];
    }
  };
  size_t i = 0;
  for (; i + 64 <= size; i += 64) add(bytes + i, static_cast<int32_t>(i));
  if (i == size) return;
  uint8_t rest[64] = {};
  std::memcpy(rest, bytes + i, size - i);
  add(rest, static_cast<int32_t>(i));
}

}  // namespace
