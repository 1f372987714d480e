// SPDX-License-Identifier: Apache-2.0
// Events of spikes, and their products with weights, in float32. Called by events.py.
//
//   y[r, i]  = sum over j of x[r, j] w[j, i]          a row is one step of one sample
//   dw[j, i] = sum over r of x[r, j] dy[r, i]
//
// Weights are [source, target], targets padded with 0 to whole lines: an event adds one contiguous row. Sums go through the events in the order of rows and sources,
// and belong to one thread.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "lines.h"
#include "parallel.h"

namespace {

constexpr int64_t kRows = 64;  // rows of a task

// The sources that each task found in its rows.
typedef std::vector<std::vector<int32_t>> Finding;

// Writes the places of `size` numbers that are not 0, and perhaps kLine more; returns how many, and clears `ones` if one of them is not 1.
template <typename T>
int64_t places(const T* row, int64_t size, int32_t* to, bool& ones) {
  int64_t count = 0, j = 0;
  uint32_t odd = 0;
  for (; j + kLine <= size; j += kLine) {
    const uint32_t here = differing(row + j, T(0));
    odd |= here & differing(row + j, T(1));
    count += write_places(here, static_cast<int32_t>(j), to + count);
  }
  for (; j < size; j++) {
    to[count] = static_cast<int32_t>(j);
    count += row[j] != 0;
    odd |= (row[j] != 0) & (row[j] != 1);
  }
  if (odd) ones = false;
  return count;
}

// Writes where the rows of x begin; returns what `take` takes, or null if there are more events than `room`.
template <typename T>
Finding* find(int64_t rows, int64_t sources, const T* x, int64_t room, int64_t* first, int32_t* ones, int32_t threads) {
  auto* finding = new Finding(static_cast<size_t>((rows + kRows - 1) / kRows));
  std::atomic<int64_t> total{0};
  std::atomic<bool> all_ones{true};
  std::vector<std::vector<int32_t>> buffers(static_cast<size_t>(threads));
  parallel(static_cast<int64_t>(finding->size()), threads, [&](int64_t task, int32_t thread) {
    if (total > room) return;
    std::vector<int32_t>& buffer = buffers[static_cast<size_t>(thread)];
    buffer.resize(static_cast<size_t>(kRows * sources + kLine));
    bool mine = true;  // all are 1
    int64_t count = 0;
    const int64_t end = std::min(rows, (task + 1) * kRows);
    for (int64_t r = task * kRows; r < end; r++) {
      first[r + 1] = places(x + r * sources, sources, buffer.data() + count, mine);
      count += first[r + 1];
    }
    (*finding)[static_cast<size_t>(task)].assign(buffer.begin(), buffer.begin() + count);
    total += count;
    if (!mine) all_ones = false;
  });
  if (total > room) {
    delete finding;
    return nullptr;
  }
  first[0] = 0;
  for (int64_t r = 0; r < rows; r++) first[r + 1] += first[r];
  *ones = all_ones;
  return finding;
}

template <typename T>
void take_values(int64_t rows, int64_t sources, const T* x, const int64_t* first, const int32_t* source, float* value) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t e = first[r]; e < first[r + 1]; e++) value[e] = static_cast<float>(x[r * sources + source[e]]);
  }
}

}  // namespace

extern "C" {

// The events of x [row, source], of bytes or of floats, row after row: those of row r are first[r] .. first[r + 1] - 1. Returns what `neurohw_events_take` takes, or null
// if they are more than `room`.
void* neurohw_events_find(int64_t rows, int64_t sources, const void* x, int32_t bytes, int64_t room, int64_t* first, int32_t* ones, int32_t threads) {
  if (bytes) return find(rows, sources, static_cast<const uint8_t*>(x), room, first, ones, threads);
  return find(rows, sources, static_cast<const float*>(x), room, first, ones, threads);
}

// Writes the sources of what was found, and the values unless they are null.
void neurohw_events_take(void* found, int64_t rows, int64_t sources, const void* x, int32_t bytes, const int64_t* first, int32_t* source, float* value) {
  auto* finding = static_cast<Finding*>(found);
  int32_t* to = source;
  for (const std::vector<int32_t>& task : *finding) to = std::copy(task.begin(), task.end(), to);
  delete finding;
  if (!value) return;
  if (bytes) take_values(rows, sources, static_cast<const uint8_t*>(x), first, source, value);
  else take_values(rows, sources, static_cast<const float*>(x), first, source, value);
}

// y: [row, padded target]
void neurohw_event_product(int64_t rows, int64_t padded, const int64_t* first, const int32_t* source, const float* value, const float* w, float* y, int32_t threads) {
  parallel((rows + kRows - 1) / kRows, threads, [&](int64_t task, int32_t) {
    for (int64_t r = task * kRows; r < std::min(rows, (task + 1) * kRows); r++) {
      sum_rows({source + first[r], value ? value + first[r] : nullptr, first[r + 1] - first[r]}, w, padded, padded, y + r * padded);
    }
  });
}

// dy: [row, padded target]. dw [source, padded target] is written whole. Threads share the targets out.
void neurohw_event_product_gradient(int64_t rows, int64_t sources, int64_t padded, const int64_t* first, const int32_t* source, const float* value, const float* dy, float* dw,
                                    int32_t threads) {
  const int64_t lines = padded / kLine, share = (lines + threads - 1) / threads * kLine;
  parallel((padded + share - 1) / share, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * share, size = std::min(share, padded - begin);
    for (int64_t j = 0; j < sources; j++) std::fill_n(dw + j * padded + begin, size, 0.0f);
    Gathered gathered(sources, size, padded);
    gathered.aim(dw + begin);
    for (int64_t r = 0; r < rows; r++) gathered.add({source + first[r], value ? value + first[r] : nullptr, first[r + 1] - first[r]}, dy + r * padded + begin);
    gathered.flush();
  });
}

}  // extern "C"
