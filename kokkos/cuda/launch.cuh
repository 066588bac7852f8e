// Launching kernels whose blocks stay on their multiprocessor and take atoms until none is left.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "device_data.h"
#include "warp.cuh"

namespace mlff::cuda {

inline void check(cudaError_t status) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

/// What the kernels need to know of the current device, asked for once.
struct Multiprocessors {
  int count = 0;
  int shared_bytes = 0;  ///< that a block can have
};
inline const Multiprocessors &multiprocessors() {
  static const Multiprocessors known = [] {
    Multiprocessors m;
    int device = 0;
    check(cudaGetDevice(&device));
    check(cudaDeviceGetAttribute(&m.count, cudaDevAttrMultiProcessorCount, device));
    check(cudaDeviceGetAttribute(&m.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    return m;
  }();
  return known;
}

/// Blocks of a kernel that the device runs at the same time; lets it use all shared memory.
template <auto kernel>
int resident_blocks(int threads, int shared_bytes) {
  thread_local int known_bytes = -1, blocks = 0;
  if (shared_bytes != known_bytes) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               multiprocessors().shared_bytes));
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared_bytes));
    known_bytes = shared_bytes;
  }
  return blocks * multiprocessors().count;
}

/// How the centres of a range are shared out: in chunks of neighbours, which share what they read
/// in the cache of their multiprocessor, round robin over the parts.
struct Shares {
  int size = 0, parts = 1, chunk = 1;

  /// As many parts as there are blocks, or as centres if these are fewer; each with the same number
  /// of chunks of at most `largest` centres.
  static Shares of(int size, int blocks, int largest) {
    const auto ratio = [](int a, int b) { return (a + b - 1) / b; };
    Shares s;
    s.size = size;
    s.parts = std::max(1, std::min(size, blocks));
    s.chunk = ratio(ratio(size, s.parts), ratio(ratio(size, s.parts), largest));
    return s;
  }
};

/// Hands out the centres of a block's part to its warps, one at a time.
class Centres {
 public:
  /// `counter` in shared memory; to be followed by __syncthreads().
  __device__ Centres(const Shares &shares, int part, int *counter)
      : shares_(shares), part_(part), counter_(counter) {
    if (threadIdx.x == 0) *counter = 0;
  }
  /// The next centre of the range, the same for all lanes, or a negative number at the end.
  __device__ int next() const {
    int n = 0;
    if (lane_of_thread() == 0) n = atomicAdd(counter_, 1);
    n = __shfl_sync(kAllLanes, n, 0);
    const int round = n / shares_.chunk;
    const int i = (round * shares_.parts + part_) * shares_.chunk + n % shares_.chunk;
    return i < shares_.size ? i : -1;
  }

 private:
  Shares shares_;
  int part_;
  int *counter_;
};

}  // namespace mlff::cuda
