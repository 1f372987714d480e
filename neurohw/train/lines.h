// Sums of rows of weights in lines of 16 floats, one or more vector registers. Multiply and add are fused where the processor can, whatever the flags.
#pragma once

#include <cstdint>
#include <cstddef>
#include <vector>
#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#endif

namespace {

constexpr int64_t kLine = 16;  // floats

typedef float Line __attribute__((vector_size(kLine * 4), aligned(4), may_alias));

inline const Line& line(const float* place) { return *reinterpret_cast<const Line*>(place); }
inline Line& line(float* place) { return *reinterpret_cast<Line*>(place); }

// Floats from 0, aligned: a line that crosses two lines of the cache is read twice.
class Aligned {
 public:
  explicit Aligned(int64_t size = 0) : cells_(static_cast<size_t>((size + kLine - 1) / kLine)) {}
  float* data() { return reinterpret_cast<float*>(cells_.data()); }
  const float* data() const { return reinterpret_cast<const float*>(cells_.data()); }
  bool empty() const { return cells_.empty(); }

 private:
  struct alignas(64) Cell {
    float values[kLine];
  };
  std::vector<Cell> cells_;
};

inline int64_t whole_lines(int64_t size) { return (size + kLine - 1) / kLine * kLine; }

// factor times values, added to sum
inline Line fused(float factor, const Line& values, const Line& sum) {
#if defined(__AVX512F__)
  return reinterpret_cast<Line>(_mm512_fmadd_ps(_mm512_set1_ps(factor), reinterpret_cast<__m512>(values), reinterpret_cast<__m512>(sum)));
#elif defined(__FMA__)
  Line result;
  for (int64_t half = 0; half < kLine; half += 8) {
    const float *from = reinterpret_cast<const float*>(&values) + half, *to = reinterpret_cast<const float*>(&sum) + half;
    _mm256_storeu_ps(reinterpret_cast<float*>(&result) + half, _mm256_fmadd_ps(_mm256_set1_ps(factor), _mm256_loadu_ps(from), _mm256_loadu_ps(to)));
  }
  return result;
#else
  return factor * values + sum;
#endif
}

// Events of one row: sources, and values or null where all are 1.
struct Events {
  const int32_t* source;
  const float* value;
  int64_t count;
};

// out[0 .. 16 L) = sum over events of value times row of w; the sums stay in registers
template <int L, bool Valued>
void add_lines(const Events& events, const float* w, int64_t stride, float* out) {
  Line sum[L] = {};
  for (int64_t e = 0; e < events.count; e++) {
    const float* row = w + events.source[e] * stride;
    for (int l = 0; l < L; l++) sum[l] = Valued ? fused(events.value[e], line(row + l * kLine), sum[l]) : sum[l] + line(row + l * kLine);
  }
  for (int l = 0; l < L; l++) line(out + l * kLine) = sum[l];
}

template <bool Valued>
void sum_rows(const Events& events, const float* w, int64_t stride, int64_t size, float* out) {
  int64_t i = 0;
  for (; i + 8 * kLine <= size; i += 8 * kLine) add_lines<8, Valued>(events, w + i, stride, out + i);
  for (; i + 2 * kLine <= size; i += 2 * kLine) add_lines<2, Valued>(events, w + i, stride, out + i);
  for (; i < size; i += kLine) add_lines<1, Valued>(events, w + i, stride, out + i);
}

// out[0 .. size) = sum over events of value times row of w [source, stride]; size: whole lines
inline void sum_rows(const Events& events, const float* w, int64_t stride, int64_t size, float* out) {
  if (events.value) sum_rows<true>(events, w, stride, size, out);
  else sum_rows<false>(events, w, stride, size, out);
}

// Every event's row of sums, `dw` [source, stride], grows by its value times `given` [size]; size: whole lines
inline void spread_row(const Events& events, const float* given, int64_t stride, int64_t size, float* dw) {
  constexpr int64_t block = 8 * kLine;
  int64_t i = 0;
  for (; i + block <= size; i += block) {
    Line held[8];
    for (int l = 0; l < 8; l++) held[l] = line(given + i + l * kLine);
    for (int64_t e = 0; e < events.count; e++) {
      float* row = dw + events.source[e] * stride + i;
      const float factor = events.value ? events.value[e] : 1.0f;
      for (int l = 0; l < 8; l++) line(row + l * kLine) = fused(factor, held[l], line(row + l * kLine));
    }
  }
  for (; i < size; i += kLine) {
    const Line held = line(given + i);
    for (int64_t e = 0; e < events.count; e++) {
      float* row = dw + events.source[e] * stride + i;
      line(row) = fused(events.value ? events.value[e] : 1.0f, held, line(row));
    }
  }
}

}  // namespace
