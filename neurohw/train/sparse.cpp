// Products of spikes with sparse projections, event driven, and their gradients. Called by sparse.py.
//
//   y[r, i] = sum over synapses k from j to i of x[r, j] w[k]          a row is one step of one sample
//   dw[k]   = sum over r of x[r, j] dy[r, i]
//   dx[r, j] = sum over synapses k from j of w[k] dy[r, i]
//
// Synapses are sorted by their source: those of source j are first[j] .. first[j + 1] - 1. Every sum belongs to one thread.
#include <cstdint>

#include "parallel.h"

namespace {

constexpr int64_t kSources = 64;  // of a task

template <typename T>
void product(const int64_t* sizes, const int64_t* first, const int32_t* target, const T* w, const T* x, T* y, int32_t threads) {
  const int64_t rows = sizes[0], sources = sizes[1], targets = sizes[2];
  parallel(rows, threads, [&](int64_t r, int32_t) {
    const T* in = x + r * sources;
    T* out = y + r * targets;
    std::fill(out, out + targets, T(0));
    for (int64_t j = 0; j < sources; j++) {
      const T value = in[j];
      if (value == 0) continue;
      for (int64_t k = first[j]; k < first[j + 1]; k++) out[target[k]] += value * w[k];
    }
  });
}

template <typename T>
void by_weight(const int64_t* sizes, const int64_t* first, const int32_t* target, const T* x, const T* dy, T* dw,
               int32_t threads) {
  const int64_t rows = sizes[0], sources = sizes[1], targets = sizes[2];
  parallel((sources + kSources - 1) / kSources, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * kSources, end = std::min(sources, begin + kSources);
    std::fill(dw + first[begin], dw + first[end], T(0));
    for (int64_t r = 0; r < rows; r++) {
      const T* given = dy + r * targets;
      for (int64_t j = begin; j < end; j++) {
        const T value = x[r * sources + j];
        if (value == 0) continue;
        for (int64_t k = first[j]; k < first[j + 1]; k++) dw[k] += value * given[target[k]];
      }
    }
  });
}

template <typename T>
void by_spikes(const int64_t* sizes, const int64_t* first, const int32_t* target, const T* w, const T* dy, T* dx,
               int32_t threads) {
  const int64_t rows = sizes[0], sources = sizes[1], targets = sizes[2];
  parallel((sources + kSources - 1) / kSources, threads, [&](int64_t task, int32_t) {
    const int64_t begin = task * kSources, end = std::min(sources, begin + kSources);
    for (int64_t r = 0; r < rows; r++) {
      const T* given = dy + r * targets;
      for (int64_t j = begin; j < end; j++) {
        T sum = 0;
        for (int64_t k = first[j]; k < first[j + 1]; k++) sum += w[k] * given[target[k]];
        dx[r * sources + j] = sum;
      }
    }
  });
}

}  // namespace

// sizes: rows, sources, targets
#define NEUROHW_SPARSE(T)                                                                                               \
  void neurohw_sparse_product_##T(const int64_t* sizes, const int64_t* first, const int32_t* target, const T* w,        \
                                  const T* x, T* y, int32_t threads) {                                                  \
    product(sizes, first, target, w, x, y, threads);                                                                    \
  }                                                                                                                     \
  void neurohw_sparse_by_weight_##T(const int64_t* sizes, const int64_t* first, const int32_t* target, const T* x,      \
                                    const T* dy, T* dw, int32_t threads) {                                              \
    by_weight(sizes, first, target, x, dy, dw, threads);                                                                \
  }                                                                                                                     \
  void neurohw_sparse_by_spikes_##T(const int64_t* sizes, const int64_t* first, const int32_t* target, const T* w,      \
                                    const T* dy, T* dx, int32_t threads) {                                              \
    by_spikes(sizes, first, target, w, dy, dx, threads);                                                                \
  }

extern "C" {
NEUROHW_SPARSE(float)
NEUROHW_SPARSE(double)
}
