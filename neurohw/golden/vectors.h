// SPDX-License-Identifier: Apache-2.0
// Arrays of neurons in whole vectors, as wide as the registers of the processor, and which lanes of a vector are chosen.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512BW__)
constexpr size_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr size_t kVectorBytes = 32;
#else
constexpr size_t kVectorBytes = 16;
#endif
constexpr size_t kLine = 64;   // bytes of a line of the cache
constexpr size_t kLanes = 64;  // neurons are padded to a multiple of these

inline size_t padded(int64_t size) { return (static_cast<size_t>(size) + kLanes - 1) / kLanes * kLanes; }

// a GCC vector of as many W as there are T in a register
template <typename T, typename W>
struct Vector {
  static constexpr size_t kSize = kVectorBytes / sizeof(T);
  typedef W type __attribute__((vector_size(kSize * sizeof(W)), aligned(sizeof(W)), may_alias));
};

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(kLine))); }
  void deallocate(T* place, size_t) { ::operator delete(place, std::align_val_t(kLine)); }
  template <typename U>
  bool operator==(const AlignedAllocator<U>&) const { return true; }
  template <typename U>
  bool operator!=(const AlignedAllocator<U>&) const { return false; }
};

// an array that begins with a line of the cache
template <typename T>
using Array = std::vector<T, AlignedAllocator<T>>;

using Shorts = Vector<int16_t, int16_t>::type;
constexpr size_t kShorts = Vector<int16_t, int16_t>::kSize;

#if defined(__AVX512BW__)
inline Shorts larger(Shorts a, Shorts b) { return reinterpret_cast<Shorts>(_mm512_max_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b))); }
inline Shorts smaller(Shorts a, Shorts b) { return reinterpret_cast<Shorts>(_mm512_min_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b))); }
#else
inline Shorts larger(Shorts a, Shorts b) { return a > b ? a : b; }
inline Shorts smaller(Shorts a, Shorts b) { return a < b ? a : b; }
#endif

// Lanes of a vector of 16-bit numbers, chosen by a comparison.
#if defined(__AVX512BW__)
struct Chosen {
  __mmask32 lanes;
  static Chosen above(Shorts x, Shorts limit, bool strict) {
    const __m512i a = reinterpret_cast<__m512i>(x), b = reinterpret_cast<__m512i>(limit);
    return {strict ? _mm512_cmpgt_epi16_mask(a, b) : _mm512_cmpge_epi16_mask(a, b)};
  }
  Shorts where(Shorts yes, Shorts no) const {
    return reinterpret_cast<Shorts>(_mm512_mask_blend_epi16(lanes, reinterpret_cast<__m512i>(no), reinterpret_cast<__m512i>(yes)));
  }
  uint32_t bits() const { return lanes; }
  void store(uint8_t* bytes) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), _mm256_maskz_set1_epi8(lanes, 1)); }
};
#else
struct Chosen {
  Shorts lanes;  // all bits or none
  static Chosen above(Shorts x, Shorts limit, bool strict) { return {strict ? x > limit : x >= limit}; }
  Shorts where(Shorts yes, Shorts no) const { return (lanes & yes) | (~lanes & no); }
  uint32_t bits() const {
#if defined(__AVX2__)
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(reinterpret_cast<__m256i>(lanes), _mm256_setzero_si256()), 0xd8);
    return static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
#else
    uint32_t result = 0;
    for (size_t i = 0; i < kShorts; i++) result |= static_cast<uint32_t>(lanes[i] & 1) << i;
    return result;
#endif
  }
  void store(uint8_t* bytes) const {
    for (size_t i = 0; i < kShorts; i++) bytes[i] = static_cast<uint8_t>(lanes[i] & 1);
  }
};
#endif

}  // namespace
