// SPDX-License-Identifier: Apache-2.0
// Dense products of a few rows with a matrix, in the first caches: the matrix is kept in panels of some columns, through which the rows go in tiles whose sums stay
// in registers.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lines.h"

namespace {

#if defined(__AVX512F__)
constexpr int kTile = 8, kWide = 2;  // rows, and lines of a panel: 16 of 32 registers hold sums
#else
constexpr int kTile = 4, kWide = 1;  // 8 of 16 registers of half a line
#endif
constexpr int64_t kPanel = kWide * kLine;

// A matrix [inner, column] in panels [inner, kPanel], the last one padded with 0.
class Panels {
 public:
  Panels(const float* matrix, int64_t inner, int64_t columns) : inner_(inner), columns_(columns), values_((columns + kPanel - 1) / kPanel * kPanel * inner) {
    for (int64_t begin = 0; begin < columns; begin += kPanel) {
      const int64_t size = std::min(kPanel, columns - begin);
      for (int64_t i = 0; i < inner; i++) std::copy_n(matrix + i * columns + begin, size, values_.data() + begin * inner + i * kPanel);
    }
  }

  int64_t padded() const { return (columns_ + kPanel - 1) / kPanel * kPanel; }

  // out [row, padded()] = rows [row, stride] times the matrix
  void multiply(const float* rows, int64_t count, int64_t stride, float* out) const {
    for (int64_t begin = 0; begin < padded(); begin += kPanel) {
      const float* panel = values_.data() + begin * inner_;
      int64_t r = 0;
      for (; r + kTile <= count; r += kTile) tile<kTile>(rows + r * stride, stride, panel, out + r * padded() + begin);
      for (; r < count; r++) tile<1>(rows + r * stride, stride, panel, out + r * padded() + begin);
    }
  }

 private:
  template <int R>
  void tile(const float* rows, int64_t stride, const float* panel, float* out) const {
    Line sum[R][kWide];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
      for (int l = 0; l < kWide; l++) sum[r][l] = Line{};
    }
    for (int64_t i = 0; i < inner_; i++) {
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
        for (int l = 0; l < kWide; l++) sum[r][l] = fused(rows[r * stride + i], line(panel + i * kPanel + l * kLine), sum[r][l]);
      }
    }
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 16
      for (int l = 0; l < kWide; l++) line(out + r * padded() + l * kLine) = sum[r][l];
    }
  }

  int64_t inner_, columns_;
  Aligned values_;
};

}  // namespace
