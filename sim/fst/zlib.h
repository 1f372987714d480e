// SPDX-License-Identifier: Apache-2.0
// What Verilator's waveform writer needs of zlib, without compressing: a stream of stored blocks (RFC 1950, RFC 1951).
#ifndef NHW_ZLIB_H
#define NHW_ZLIB_H
#include <cstdint>
#include <cstring>

using uLong = unsigned long;
using uLongf = unsigned long;
using Bytef = unsigned char;
constexpr int Z_OK = 0;
constexpr int Z_BUF_ERROR = -5;
constexpr unsigned long NhwStoredBlock = 65535;

inline uLong compressBound(uLong size) { return size + 5 * (size / NhwStoredBlock + 1) + 6; }

inline int compress2(Bytef* target, uLongf* target_size, const Bytef* source, uLong size, int /*level*/) {
  if (*target_size < compressBound(size)) return Z_BUF_ERROR;
  Bytef* out = target;
  *out++ = 0x78;
  *out++ = 0x01;
  uint32_t a = 1, b = 0;
  uLong done = 0;
  do {
    const uLong count = (size - done < NhwStoredBlock) ? size - done : NhwStoredBlock;
    *out++ = (done + count == size) ? 1 : 0;
    *out++ = static_cast<Bytef>(count);
    *out++ = static_cast<Bytef>(count >> 8);
    *out++ = static_cast<Bytef>(~count);
    *out++ = static_cast<Bytef>(~count >> 8);
    std::memcpy(out, source + done, count);
    out += count;
    for (uLong i = 0; i < count; ++i) {
      a = (a + source[done + i]) % 65521;
      b = (b + a) % 65521;
    }
    done += count;
  } while (done < size);
  for (int shift : {8, 0}) *out++ = static_cast<Bytef>(b >> shift);
  for (int shift : {8, 0}) *out++ = static_cast<Bytef>(a >> shift);
  *target_size = static_cast<uLongf>(out - target);
  return Z_OK;
}
#endif
