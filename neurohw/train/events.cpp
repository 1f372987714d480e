// Products of spikes with weights, event driven, in float32. Called by events.py.
//
//   y[r, i]  = sum over j of x[r, j] w[j, i]          a row is one step of one sample
//   dw[j, i] = sum over r of x[r, j] dy[r, i]
//
// Weights are [source, target]: an event adds one contiguous row. Sums go through the events in the order of rows and sources, and belong to one thread.
#include <cstdint>
#include <cstring>

#include "parallel.h"

namespace {

constexpr int64_t kLine = 16;    // floats
constexpr int64_t kTargets = 8;  // lines of targets whose sums stay in registers
constexpr int64_t kRows = 64;    // rows of a task

typedef float Line __attribute__((vector_size(kLine * 4), aligned(4), may_alias));

// out[0 .. 16 L) = sum of value times row of w
template <int L>
void add_events(const int32_t* sources, const float* values, int64_t count, const float* w, int64_t stride, float* out) {
  Line sum[L] = {};
  for (int64_t e = 0; e < count; e++) {
    const Line* row = reinterpret_cast<const Line*>(w + sources[e] * stride);
    for (int l = 0; l < L; l++) sum[l] += values[e] * row[l];
  }
  for (int l = 0; l < L; l++) reinterpret_cast<Line*>(out)[l] = sum[l];
}

void add_events_narrow(const int32_t* sources, const float* values, int64_t count, const float* w, int64_t stride,
                       int64_t size, float* out) {
  float sum[kLine] = {};
  for (int64_t e = 0; e < count; e++) {
    const float* row = w + sources[e] * stride;
    for (int64_t i = 0; i < size; i++) sum[i] += values[e] * row[i];
  }
  std::memcpy(out, sum, static_cast<size_t>(size) * sizeof(float));
}

}  // namespace

extern "C" {

// The events of x [row, source], row after row: those of row r are first[r] .. first[r + 1] - 1. Returns how many; if they are more than `room`, nothing is written
// behind it.
int64_t neurohw_events(int64_t rows, int64_t sources, const float* x, int64_t room, int64_t* first, int32_t* source,
                       float* value) {
  int64_t count = 0;
  for (int64_t r = 0; r < rows; r++) {
    first[r] = count;
    const float* row = x + r * sources;
    for (int64_t begin = 0; begin < sources; begin += 4 * kLine) {
      const int64_t end = std::min(begin + 4 * kLine, sources);
      uint32_t any = 0;  // the bits of all values: mostly none
      for (int64_t j = begin; j < end; j++) {
        uint32_t bits;
        std::memcpy(&bits, row + j, sizeof bits);
        any |= bits;
      }
      if (!(any << 1)) continue;
      for (int64_t j = begin; j < end; j++) {
        if (row[j] == 0.0f) continue;
        if (count == room) return room + 1;
        source[count] = static_cast<int32_t>(j);
        value[count++] = row[j];
      }
    }
  }
  first[rows] = count;
  return count;
}

void neurohw_event_product(int64_t rows, int64_t targets, const int64_t* first, const int32_t* source, const float* value,
                           const float* w, float* y, int32_t threads) {
  parallel((rows + kRows - 1) / kRows, threads, [&](int64_t task, int32_t) {
    for (int64_t r = task * kRows; r < std::min(rows, (task + 1) * kRows); r++) {
      const int32_t* from = source + first[r];
      const float* values = value + first[r];
      const int64_t count = first[r + 1] - first[r];
      float* out = y + r * targets;
      int64_t i = 0;
      for (; i + kTargets * kLine <= targets; i += kTargets * kLine) {
        add_events<kTargets>(from, values, count, w + i, targets, out + i);
      }
      for (; i + kLine <= targets; i += kLine) add_events<1>(from, values, count, w + i, targets, out + i);
      if (i < targets) add_events_narrow(from, values, count, w + i, targets, targets - i, out + i);
    }
  });
}

// dw is written whole. Threads share the targets out.
void neurohw_event_product_gradient(int64_t rows, int64_t sources, int64_t targets, const int64_t* first,
                                    const int32_t* source, const float* value, const float* dy, float* dw,
                                    int32_t threads) {
  const int64_t lines = (targets + kLine - 1) / kLine, share = (lines + threads - 1) / threads * kLine;
  parallel((targets + share - 1) / share, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * share, size = std::min(share, targets - begin);
    for (int64_t j = 0; j < sources; j++) {
      std::memset(dw + j * targets + begin, 0, static_cast<size_t>(size) * sizeof(float));
    }
    for (int64_t r = 0; r < rows; r++) {
      const float* __restrict given = dy + r * targets + begin;
      for (int64_t e = first[r]; e < first[r + 1]; e++) {
        float* __restrict row = dw + source[e] * targets + begin;
        const float factor = value[e];
        for (int64_t i = 0; i < size; i++) row[i] += factor * given[i];
      }
    }
  });
}

}  // extern "C"
