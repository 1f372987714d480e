// SPDX-License-Identifier: Apache-2.0
// What Verilator's waveform writer needs of LZ4, without compressing: a block of literals only, which every LZ4
// reader understands. It spares the user a system library for the rare waveform of a mismatch.
#ifndef NHW_LZ4_H
#define NHW_LZ4_H
#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

// One sequence: token with the literal length (15: more length bytes follow, each 255 continues), then the literals.
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
  if (capacity < LZ4_compressBound(size)) return 0;
  char* out = target;
  if (size < 15) {
    *out++ = static_cast<char>(size << 4);
  } else {
    *out++ = static_cast<char>(0xF0);
    int rest = size - 15;
    for (; rest >= 255; rest -= 255) *out++ = static_cast<char>(255);
    *out++ = static_cast<char>(rest);
  }
  std::memcpy(out, source, static_cast<size_t>(size));
  return static_cast<int>(out - target) + size;
}
#endif
