// SPDX-License-Identifier: Apache-2.0
// Writes every call of the probe as a line to the file named by NHW_PROBE_LOG.
#include <cstdio>
#include <cstdlib>

extern "C" void nhw_probe(int layer, int neuron, int spike, int membrane, int current, int refractory, int adaptation) {
    static std::FILE* const log = [] {
        const char* const name = std::getenv("NHW_PROBE_LOG");
        std::FILE* const file = name ? std::fopen(name, "w") : nullptr;
        if (!file) {
            std::fprintf(stderr, "probe_log: NHW_PROBE_LOG must name a writable file\n");
            std::abort();
        }
        return file;
    }();
    std::fprintf(log, "%d %d %d %d %d %d %d\n", layer, neuron, spike, membrane, current, refractory, adaptation);
    std::fflush(log);
}
