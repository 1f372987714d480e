// SPDX-License-Identifier: Apache-2.0
// Sums of rows of weights in lines of 16 floats, one or more vector registers. Multiply and add are fused where the processor can, whatever the flags.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstddef>
#include <vector>
#if defined(__SSE2__)  // and what is above it
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi"  // lines are passed between functions of one file alone

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

// Which neurons of a line fire, a bit each, by u - threshold, which is not a number where they are refractory.
inline uint32_t fired(const float* above, bool strict) {
#if defined(__AVX512F__)
  const __m512 values = _mm512_loadu_ps(above), zero = _mm512_setzero_ps();
  return strict ? _mm512_cmp_ps_mask(values, zero, _CMP_GT_OQ) : _mm512_cmp_ps_mask(values, zero, _CMP_GE_OQ);
#else
  uint32_t result = 0;
  for (int64_t i = 0; i < kLine; i++) result |= static_cast<uint32_t>(above[i] > 0 || (above[i] == 0 && !strict)) << i;
  return result;
#endif
}

// Which floats of a line differ from a number, a bit each.
inline uint32_t differing(const float* place, float number) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(_mm512_loadu_ps(place), _mm512_set1_ps(number), _CMP_NEQ_UQ);
#elif defined(__FMA__)
  const __m256 all = _mm256_set1_ps(number);
  const uint32_t low = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(place), all, _CMP_NEQ_UQ)));
  return low | static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(place + 8), all, _CMP_NEQ_UQ))) << 8;
#else
  uint32_t result = 0;
  for (int64_t i = 0; i < kLine; i++) result |= static_cast<uint32_t>(place[i] != number) << i;
  return result;
#endif
}

// The same for bytes.
inline uint32_t differing(const uint8_t* place, uint8_t number) {
#if defined(__SSE2__)
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(place));
  return ~static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(values, _mm_set1_epi8(static_cast<char>(number))))) & 0xFFFF;
#else
  uint32_t result = 0;
  for (int64_t i = 0; i < kLine; i++) result |= static_cast<uint32_t>(place[i] != number) << i;
  return result;
#endif
}

// Writes `first` + the places of the bits of a line, and perhaps more behind them; returns how many bits there are.
inline int64_t write_places(uint32_t bits, int32_t first, int32_t* to) {
#if defined(__AVX512F__)
  const __m512i all = _mm512_add_epi32(_mm512_set1_epi32(first), _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), all));
#else
  int64_t count = 0;
  for (uint32_t rest = bits; rest; rest &= rest - 1) to[count++] = first + __builtin_ctz(rest);
#endif
  return __builtin_popcount(bits);
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
  Line sum[L];
#pragma GCC unroll 16
  for (int l = 0; l < L; l++) sum[l] = Line{};
  for (int64_t e = 0; e < events.count; e++) {
    const float* row = w + events.source[e] * stride;
#pragma GCC unroll 16
    for (int l = 0; l < L; l++) sum[l] = Valued ? fused(events.value[e], line(row + l * kLine), sum[l]) : sum[l] + line(row + l * kLine);
  }
#pragma GCC unroll 16
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

// The gradient of weights [source, stride] by sources that fired: every event adds the row of its step, times its value. Rows are gathered and their events sorted by
// source, so that the sums of a source are fetched once for all of its events. Rows and events must stay where they are until `flush`.
class Gathered {
 public:
  // For `size` targets, whole lines, of sums in rows of `stride`.
  Gathered(int64_t sources, int64_t size, int64_t stride) : size_(size), stride_(stride), first_(static_cast<size_t>(sources) + 1) {}

  // Where to add from now on.
  void aim(float* sums) { sums_ = sums; }

  void add(const Events& events, const float* row) {
    if (size_ < kNarrow) {  // sorting costs more
      for (int64_t e = 0; e < events.count; e++) {
        float* sums = sums_ + events.source[e] * stride_;
        for (int64_t i = 0; i < size_; i += kLine) line(sums + i) = fused(events.value ? events.value[e] : 1.0f, line(row + i), line(sums + i));
      }
      return;
    }
    events_.push_back(events);
    rows_.push_back(row);
    if (events_.size() == kRows) flush();
  }

  void flush() {
    bool valued = false;
    std::fill(first_.begin(), first_.end(), 0);
    size_t count = 0;
    for (const Events& events : events_) {
      for (int64_t e = 0; e < events.count; e++) first_[static_cast<size_t>(events.source[e]) + 1]++;
      count += static_cast<size_t>(events.count);
      valued |= events.value != nullptr;
    }
    for (size_t j = 1; j < first_.size(); j++) first_[j] += first_[j - 1];
    row_.resize(count);
    value_.resize(valued ? count : 0);
    next_.assign(first_.begin(), first_.end() - 1);
    for (size_t r = 0; r < events_.size(); r++) {
      const Events& events = events_[r];
      for (int64_t e = 0; e < events.count; e++) {
        const size_t place = static_cast<size_t>(next_[static_cast<size_t>(events.source[e])]++);
        row_[place] = rows_[r];
        if (valued) value_[place] = events.value ? events.value[e] : 1.0f;
      }
    }
    for (int64_t i = 0; i < size_;) {
      const bool wide = i + 8 * kLine <= size_;
      if (valued) wide ? add_up<8, true>(i) : add_up<1, true>(i);
      else wide ? add_up<8, false>(i) : add_up<1, false>(i);
      i += wide ? 8 * kLine : kLine;
    }
    events_.clear();
    rows_.clear();
  }

 private:
  static constexpr size_t kRows = 1024;
  static constexpr int64_t kNarrow = 4 * kLine;

  // The targets [begin, begin + 16 L).
  template <int L, bool Valued>
  void add_up(int64_t begin) {
    for (size_t j = 0; j + 1 < first_.size(); j++) {
      if (first_[j] == first_[j + 1]) continue;
      float* sums = sums_ + static_cast<int64_t>(j) * stride_ + begin;
      Line total[L];
#pragma GCC unroll 16
      for (int l = 0; l < L; l++) total[l] = line(sums + l * kLine);
      for (int32_t e = first_[j]; e < first_[j + 1]; e++) {
        const float* row = row_[static_cast<size_t>(e)] + begin;
#pragma GCC unroll 16
        for (int l = 0; l < L; l++) total[l] = Valued ? fused(value_[static_cast<size_t>(e)], line(row + l * kLine), total[l]) : total[l] + line(row + l * kLine);
      }
#pragma GCC unroll 16
      for (int l = 0; l < L; l++) line(sums + l * kLine) = total[l];
    }
  }

  float* sums_ = nullptr;
  int64_t size_, stride_;
  std::vector<Events> events_;
  std::vector<const float*> rows_, row_;
  std::vector<int32_t> first_, next_;
  std::vector<float> value_;
};

}  // namespace
