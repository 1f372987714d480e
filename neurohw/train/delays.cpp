// SPDX-License-Identifier: Apache-2.0
// Synaptic delays in training: spikes through a short kernel per synapse, in float32 and event driven. Called by delays.py.
//
//   y[t, b, i] = sum over j and k of  kernel[j, i, k] * x[t - lowest - first[j, i] - k, b, j]
//
// Arrays are [time, sample, neuron] and the kernels [source, target, tap]. Inside, time is the innermost axis, so that the taps of a synapse meet consecutive
// steps of its target: an event costs one short vector addition per target. A task is a tile: a few targets, whose kernels stay in registers while all events of a
// source pass, and a few samples, so many that their rows stay in the first cache. Every sum belongs to one thread and has one order: results do not depend on the
// number of threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <vector>

#include "parallel.h"

namespace {

constexpr int64_t kLine = 16;              // floats
constexpr int64_t kTileBytes = 36 << 10;   // rows of a tile: most of a first cache

struct Event {
  int32_t place;  // of its step in the row of its sample
  float value;
};

// the events of a chunk of samples, source by source: those of source j are events[first[j]] to events[first[j + 1] - 1], in the order of time and sample
struct Events {
  std::vector<int32_t> first;
  std::vector<Event> events;
};

template <int W>
struct Taps {
  typedef float Vector __attribute__((vector_size(W * 4), aligned(4), may_alias));
};

// a row of floats, padded to an odd number of lines, so that rows do not share the sets of a cache
int64_t row_stride(int64_t floats) { return ((floats + kLine - 1) / kLine | 1) * kLine; }

// Zeroed floats from the beginning of a page: where rows begin elsewhere, their stores were measured to collide with loads of kernels, three times as slow.
class Buffer {
 public:
  explicit Buffer(int64_t floats) : size_(floats) {
    const size_t bytes = (static_cast<size_t>(floats) * sizeof(float) + kPage - 1) / kPage * kPage;
    data_ = static_cast<float*>(std::aligned_alloc(kPage, bytes));
    if (!data_) throw std::bad_alloc();
    clear();
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void clear() { std::fill(data_, data_ + size_, 0.0f); }
  float* data() { return data_; }

 private:
  static constexpr size_t kPage = 4096;
  int64_t size_;
  float* data_;
};

struct Shape {
  int64_t steps, samples, sources, targets, lowest, reach;  // reach: largest first + taps
};

// targets of a tile: as many as have registers for their kernels
template <int W>
constexpr int64_t kTargets = W <= 16 ? 8 : 128 / W;

// samples of a tile
template <int W>
int64_t chunk_of(const Shape& s, int64_t stride) {
  const int64_t cached = kTileBytes / (kTargets<W> * stride * static_cast<int64_t>(sizeof(float)));
  return std::clamp<int64_t>(cached, 1, s.samples);
}

// the events of every chunk; those that arrive after the last step are left out
std::vector<Events> events_of(const Shape& s, const float* x, int64_t chunk, int64_t stride, int32_t threads) {
  std::vector<Events> result(static_cast<size_t>((s.samples + chunk - 1) / chunk));
  parallel(static_cast<int64_t>(result.size()), threads, [&](int64_t c, int32_t) {
    Events& found = result[static_cast<size_t>(c)];
    found.first.assign(static_cast<size_t>(s.sources) + 2, 0);
    int32_t* next = found.first.data() + 1;  // while filling, the place of the next event of each source
    const int64_t samples = std::min(chunk, s.samples - c * chunk);
    auto each = [&](auto visit) {
      for (int64_t t = 0; t < s.steps - s.lowest; t++) {
        for (int64_t b = 0; b < samples; b++) {
          const float* row = x + (t * s.samples + c * chunk + b) * s.sources;
          for (int64_t j = 0; j < s.sources; j++) {
            if (row[j] != 0.0f) visit(j, b * stride + t + s.lowest, row[j]);
          }
        }
      }
    };
    each([&](int64_t j, int64_t, float) { next[j + 1]++; });
    for (int64_t j = 0; j < s.sources; j++) next[j + 1] += next[j];
    found.events.resize(static_cast<size_t>(next[s.sources]));
    each([&](int64_t j, int64_t place, float value) {
      found.events[static_cast<size_t>(next[j]++)] = {static_cast<int32_t>(place), value};
    });
  });
  return result;
}

// visit(the number of targets as a constant, N or fewer)
template <int W, int N, typename Visit>
void with_targets(int64_t size, Visit visit) {
  if (size >= N) return visit(std::integral_constant<int, N>());
  if constexpr (N > 1) with_targets<W, N - 1>(size, visit);
}

// rows[i][..] += value * kernel i, for all events of a source
template <int W, int N>
void spread(const Event* event, const Event* end, const float* kernel, const int32_t* first, float* rows, int64_t size) {
  typedef typename Taps<W>::Vector Vector;
  Vector k[N];
  float* row[N];
  for (int i = 0; i < N; i++) {
    k[i] = *reinterpret_cast<const Vector*>(kernel + i * W);
    row[i] = rows + i * size + first[i];
  }
  for (; event < end; event++) {
    for (int i = 0; i < N; i++) *reinterpret_cast<Vector*>(row[i] + event->place) += event->value * k[i];
  }
}

// kernel i += sum of value * rows[i][..], over all events of a source
template <int W, int N>
void collect(const Event* event, const Event* end, float* kernel, const int32_t* first, const float* rows, int64_t size) {
  typedef typename Taps<W>::Vector Vector;
  Vector k[N];
  const float* row[N];
  for (int i = 0; i < N; i++) {
    k[i] = *reinterpret_cast<Vector*>(kernel + i * W);
    row[i] = rows + i * size + first[i];
  }
  for (; event < end; event++) {
    for (int i = 0; i < N; i++) k[i] += event->value * *reinterpret_cast<const Vector*>(row[i] + event->place);
  }
  for (int i = 0; i < N; i++) *reinterpret_cast<Vector*>(kernel + i * W) = k[i];
}

template <int W>
void forward(const Shape& s, const float* x, const float* kernel, const int32_t* first, float* y, int32_t threads) {
  const int64_t stride = row_stride(s.steps + s.reach), chunk = chunk_of<W>(s, stride);
  const auto events = events_of(s, x, chunk, stride, threads);
  const int64_t tiles = (s.targets + kTargets<W> - 1) / kTargets<W>, chunks = static_cast<int64_t>(events.size());
  parallel(tiles, threads, [&](int64_t tile, int32_t) {
    const int64_t begin = tile * kTargets<W>, targets = std::min(kTargets<W>, s.targets - begin);
    Buffer rows(targets * chunk * stride);
    for (int64_t c = 0; c < chunks; c++) {
      rows.clear();
      const Events& here = events[static_cast<size_t>(c)];
      with_targets<W, kTargets<W>>(targets, [&](auto n) {
        for (int64_t j = 0; j < s.sources; j++) {
          const Event* from = here.events.data() + here.first[static_cast<size_t>(j)];
          const Event* to = here.events.data() + here.first[static_cast<size_t>(j) + 1];
          const int64_t synapse = j * s.targets + begin;
          if (from < to) spread<W, n>(from, to, kernel + synapse * W, first + synapse, rows.data(), chunk * stride);
        }
      });
      for (int64_t t = 0; t < s.steps; t++) {
        for (int64_t b = 0; b < std::min(chunk, s.samples - c * chunk); b++) {
          float* out = y + (t * s.samples + c * chunk + b) * s.targets + begin;
          for (int64_t i = 0; i < targets; i++) out[i] = rows.data()[(i * chunk + b) * stride + t];
        }
      }
    }
  });
}

template <int W>
void kernel_gradient(const Shape& s, const float* x, const float* dy, const int32_t* first, float* dkernel,
                     int32_t threads) {
  const int64_t stride = row_stride(s.steps + s.reach), chunk = chunk_of<W>(s, stride);
  const auto events = events_of(s, x, chunk, stride, threads);
  const int64_t tiles = (s.targets + kTargets<W> - 1) / kTargets<W>, chunks = static_cast<int64_t>(events.size());
  parallel(tiles, threads, [&](int64_t tile, int32_t) {
    const int64_t begin = tile * kTargets<W>, targets = std::min(kTargets<W>, s.targets - begin);
    Buffer rows(targets * chunk * stride);  // 0 after the last step
    for (int64_t j = 0; j < s.sources; j++) {
      std::memset(dkernel + (j * s.targets + begin) * W, 0, static_cast<size_t>(targets * W) * sizeof(float));
    }
    for (int64_t c = 0; c < chunks; c++) {
      for (int64_t t = 0; t < s.steps; t++) {
        for (int64_t b = 0; b < std::min(chunk, s.samples - c * chunk); b++) {
          const float* from = dy + (t * s.samples + c * chunk + b) * s.targets + begin;
          for (int64_t i = 0; i < targets; i++) rows.data()[(i * chunk + b) * stride + t] = from[i];
        }
      }
      const Events& here = events[static_cast<size_t>(c)];
      with_targets<W, kTargets<W>>(targets, [&](auto n) {
        for (int64_t j = 0; j < s.sources; j++) {
          const Event* from = here.events.data() + here.first[static_cast<size_t>(j)];
          const Event* to = here.events.data() + here.first[static_cast<size_t>(j) + 1];
          const int64_t synapse = j * s.targets + begin;
          if (from < to) collect<W, n>(from, to, dkernel + synapse * W, first + synapse, rows.data(), chunk * stride);
        }
      });
    }
  });
}

// dx[t, b, j] = sum over i and k of kernel[j, i, k] * dy[t + lowest + first[j, i] + k, b, i]: dense, a line of samples at a time, so that every load is aligned
template <int W>
void source_gradient(const Shape& s, const float* dy, const float* kernel, const int32_t* first, float* dx,
                     int32_t threads) {
  typedef float Line __attribute__((vector_size(kLine * 4), may_alias));
  constexpr int64_t kSpan = 20;    // steps whose sums stay in registers
  constexpr int64_t kRows = 16;  // targets whose rows stay in the second cache
  const int64_t spans = (s.steps + kSpan - 1) / kSpan;
  const int64_t stride = s.steps + s.lowest + s.reach + kSpan;
  parallel((s.samples + kLine - 1) / kLine, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * kLine, samples = std::min(kLine, s.samples - begin);
    Buffer rows(kRows * stride * kLine), out(s.sources * spans * kSpan * kLine);
    for (int64_t target = 0; target < s.targets; target += kRows) {
      const int64_t targets = std::min(kRows, s.targets - target);
      for (int64_t t = 0; t < s.steps; t++) {
        for (int64_t b = 0; b < samples; b++) {
          const float* from = dy + (t * s.samples + begin + b) * s.targets + target;
          for (int64_t i = 0; i < targets; i++) rows.data()[(i * stride + t) * kLine + b] = from[i];
        }
      }
      for (int64_t j = 0; j < s.sources; j++) {
        for (int64_t span = 0; span < spans; span++) {
          Line* to = reinterpret_cast<Line*>(out.data()) + (j * spans + span) * kSpan;
          Line sum[kSpan];
          for (int64_t t = 0; t < kSpan; t++) sum[t] = to[t];
          for (int64_t i = 0; i < targets; i++) {
            const int64_t synapse = j * s.targets + target + i;
            const float* k = kernel + synapse * W;
            const int64_t start = span * kSpan + s.lowest + first[synapse];
            const Line* from = reinterpret_cast<const Line*>(rows.data()) + i * stride + start;
            if (start >= s.steps) continue;  // what arrives after the end has no gradient
            for (int tap = 0; tap < W; tap++) {
              for (int64_t t = 0; t < kSpan; t++) sum[t] += k[tap] * from[tap + t];
            }
          }
          for (int64_t t = 0; t < kSpan; t++) to[t] = sum[t];
        }
      }
    }
    for (int64_t t = 0; t < s.steps; t++) {
      for (int64_t b = 0; b < samples; b++) {
        float* to = dx + (t * s.samples + begin + b) * s.sources;
        for (int64_t j = 0; j < s.sources; j++) to[j] = out.data()[(j * spans * kSpan + t) * kLine + b];
      }
    }
  });
}

// p[k] = exp(-(k - c)^2 / (2 sigma^2)) / (their sum + 1e-7) for k = 0 .. taps-1, from the nearest tap outwards
void gaussian(float centre, float sigma, int64_t taps, float* p) {
  const float narrow = 1.0f / (sigma * sigma), ratio = std::exp(-narrow);
  const int64_t nearest = std::clamp<int64_t>(std::lround(centre), 0, taps - 1);
  const float offset = static_cast<float>(nearest) - centre;
  const float peak = std::exp(-0.5f * narrow * offset * offset), slope = std::exp(-narrow * offset);
  const float half = std::sqrt(ratio);
  p[nearest] = peak;
  float value = peak, factor = slope * half, total = peak;
  for (int64_t k = nearest + 1; k < taps; k++) total += p[k] = value *= factor, factor *= ratio;
  value = peak, factor = half / slope;
  for (int64_t k = nearest - 1; k >= 0; k--) total += p[k] = value *= factor, factor *= ratio;
  const float scale = 1.0f / (total + 1e-7f);
  for (int64_t k = 0; k < taps; k++) p[k] *= scale;
}

template <int W>
void gradients(const Shape& s, const float* x, const float* dy, const float* kernel, const int32_t* first,
               float* dkernel, float* dx, int32_t threads) {
  if (dkernel) kernel_gradient<W>(s, x, dy, first, dkernel, threads);
  if (dx) source_gradient<W>(s, dy, kernel, first, dx, threads);
}

}  // namespace

extern "C" {

// kernel[j, i, 0 .. width-1] = weight[i, j] p; of the window of `taps` steps around delay[i, j] inside 0 .. length-1
void neurohw_delay_kernel(int64_t sources, int64_t targets, int64_t length, int64_t taps, int64_t width, float sigma,
                          const float* weight, const float* delay, float* kernel, int32_t* first, int32_t threads) {
  parallel(sources, threads, [&](int64_t j, int32_t) {
    for (int64_t i = 0; i < targets; i++) {
      const float centre = delay[i * sources + j], w = weight[i * sources + j];
      const int64_t begin = std::clamp<int64_t>(std::lround(centre - 0.5f * static_cast<float>(taps - 1)), 0, length - taps);
      float* k = kernel + (j * targets + i) * width;
      first[j * targets + i] = static_cast<int32_t>(begin);
      gaussian(centre - static_cast<float>(begin), sigma, taps, k);
      for (int64_t tap = 0; tap < taps; tap++) k[tap] *= w;
      for (int64_t tap = taps; tap < width; tap++) k[tap] = 0.0f;
    }
  });
}

// dp[k] / dc = p[k] (a[k] - sum p a) with a[k] = (k - c) / sigma^2
void neurohw_delay_kernel_gradient(int64_t sources, int64_t targets, int64_t taps, int64_t width, float sigma,
                                   const float* weight, const float* delay, const int32_t* first, const float* dkernel,
                                   float* dweight, float* ddelay, int32_t threads) {
  parallel(sources, threads, [&](int64_t j, int32_t) {
    std::vector<float> p(static_cast<size_t>(taps));
    for (int64_t i = 0; i < targets; i++) {
      const int64_t here = i * sources + j;
      const float centre = delay[here] - static_cast<float>(first[j * targets + i]);
      gaussian(centre, sigma, taps, p.data());
      const float* d = dkernel + (j * targets + i) * width;
      float sum = 0.0f, moment = 0.0f, mean = 0.0f;
      for (int64_t k = 0; k < taps; k++) {
        const float a = static_cast<float>(k) - centre;
        sum += d[k] * p[static_cast<size_t>(k)];
        moment += d[k] * p[static_cast<size_t>(k)] * a;
        mean += p[static_cast<size_t>(k)] * a;
      }
      dweight[here] = sum;
      ddelay[here] = weight[here] * (moment - sum * mean) / (sigma * sigma);
    }
  });
}

// shape: steps, samples, sources, targets, lowest, reach. dx may be null. width: 4, 8, 16, 32 or 64; returns 1 for another.
int32_t neurohw_delayed(const int64_t* shape, int64_t width, const float* x, const float* kernel, const int32_t* first,
                        float* y, int32_t threads) {
  const Shape s{shape[0], shape[1], shape[2], shape[3], shape[4], shape[5]};
  switch (width) {
    case 4: forward<4>(s, x, kernel, first, y, threads); break;
    case 8: forward<8>(s, x, kernel, first, y, threads); break;
    case 16: forward<16>(s, x, kernel, first, y, threads); break;
    case 32: forward<32>(s, x, kernel, first, y, threads); break;
    case 64: forward<64>(s, x, kernel, first, y, threads); break;
    default: return 1;
  }
  return 0;
}

int32_t neurohw_delayed_gradient(const int64_t* shape, int64_t width, const float* x, const float* dy,
                                 const float* kernel, const int32_t* first, float* dkernel, float* dx, int32_t threads) {
  const Shape s{shape[0], shape[1], shape[2], shape[3], shape[4], shape[5]};
  switch (width) {
    case 4: gradients<4>(s, x, dy, kernel, first, dkernel, dx, threads); break;
    case 8: gradients<8>(s, x, dy, kernel, first, dkernel, dx, threads); break;
    case 16: gradients<16>(s, x, dy, kernel, first, dkernel, dx, threads); break;
    case 32: gradients<32>(s, x, dy, kernel, first, dkernel, dx, threads); break;
    case 64: gradients<64>(s, x, dy, kernel, first, dkernel, dx, threads); break;
    default: return 1;
  }
  return 0;
}
}
