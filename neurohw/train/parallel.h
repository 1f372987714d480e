// SPDX-License-Identifier: Apache-2.0
// Tasks over threads: each takes the next task that nobody has taken.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

// work(task, thread) for every task; what a task writes must be its own, so that the result does not depend on the number of threads
template <typename Work>
void parallel(int64_t tasks, int32_t threads, Work work) {
  std::atomic<int64_t> next{0};
  auto loop = [&](int32_t thread) {
    for (int64_t task = next++; task < tasks; task = next++) work(task, thread);
  };
  std::vector<std::thread> pool;
  for (int32_t i = 1; i < std::min<int64_t>(threads, tasks); i++) pool.emplace_back(loop, i);
  loop(0);
  for (auto& thread : pool) thread.join();
}
