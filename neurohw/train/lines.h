// Sums of rows of weights in lines of 16 floats, one or more vector registers. Multiply and add are fused where the processor can, whatever the flags.
#pragma once

#include <algorithm>
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

// The gradient of weights [source, stride] by sources that fired: every event adds the row of its step, times its value. Rows are gathered and their events sorted by
// source, so that the sums of a source are fetched once for all of its events, whose rows lie in the first caches.
class Gathered {
 public:
  // stride: whole lines; sums: of `size` targets, whole lines too, in rows of `stride`
  Gathered(float* sums, int64_t sources, int64_t size, int64_t stride)
      : sums_(sums), size_(size), stride_(stride), first_(static_cast<size_t>(sources) + 1), rows_(kRows * size) {}

  void add(const Events& events, const float* row) {
    if (events.count == 0) return;
    if (static_cast<int64_t>(events_.size()) == kRows) flush();
    for (int64_t i = 0; i < size_; i += kLine) line(rows_.data() + static_cast<int64_t>(events_.size()) * size_ + i) = line(row + i);
    events_.push_back(events);
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
    value_.resize(count);
    next_.assign(first_.begin(), first_.end() - 1);
    for (size_t r = 0; r < events_.size(); r++) {
      const Events& events = events_[r];
      for (int64_t e = 0; e < events.count; e++) {
        const size_t place = static_cast<size_t>(next_[static_cast<size_t>(events.source[e])]++);
        row_[place] = static_cast<int32_t>(r);
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
  }

 private:
  static constexpr int64_t kRows = 128;

  // The targets [begin, begin + 16 L).
  template <int L, bool Valued>
  void add_up(int64_t begin) {
    for (size_t j = 0; j + 1 < first_.size(); j++) {
      if (first_[j] == first_[j + 1]) continue;
      float* sums = sums_ + static_cast<int64_t>(j) * stride_ + begin;
      Line total[L];
      for (int l = 0; l < L; l++) total[l] = line(sums + l * kLine);
      for (int32_t e = first_[j]; e < first_[j + 1]; e++) {
        const float* row = rows_.data() + row_[static_cast<size_t>(e)] * size_ + begin;
        for (int l = 0; l < L; l++) total[l] = Valued ? fused(value_[static_cast<size_t>(e)], line(row + l * kLine), total[l]) : total[l] + line(row + l * kLine);
      }
      for (int l = 0; l < L; l++) line(sums + l * kLine) = total[l];
    }
  }

  float* sums_;
  int64_t size_, stride_;
  std::vector<Events> events_;
  std::vector<int32_t> first_, next_, row_;
  std::vector<float> value_;
  Aligned rows_;
};

}  // namespace
