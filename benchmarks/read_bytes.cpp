// SPDX-License-Identifier: Apache-2.0
// How fast bytes can be read: `passes` times over an array, in vectors that the processor has, four at a time.
#include <cstddef>
#include <cstdint>

extern "C" uint64_t read_bytes(const uint8_t* bytes, int64_t size, int64_t passes) {
#if defined(__AVX512F__)
  typedef uint64_t Words __attribute__((vector_size(64), aligned(1), may_alias));
#elif defined(__AVX2__)
  typedef uint64_t Words __attribute__((vector_size(32), aligned(1), may_alias));
#else
  typedef uint64_t Words __attribute__((vector_size(16), aligned(1), may_alias));
#endif
  constexpr int64_t block = 4 * sizeof(Words);
  Words found[4] = {};
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t i = 0; i + block <= size; i += block) {
      const Words* next = reinterpret_cast<const Words*>(bytes + i);
#pragma GCC unroll 4
      for (int k = 0; k < 4; k++) found[k] |= next[k];
    }
    asm volatile("" ::: "memory");  // the next pass reads again
  }
  uint64_t result = 0;
  for (const Words& words : found) for (size_t k = 0; k < sizeof(Words) / 8; k++) result |= words[k];
  return result;
}
