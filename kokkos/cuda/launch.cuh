// Launching kernels whose blocks stay on their multiprocessor and take atoms until none is left.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "device_data.h"
#include "multiprocessors.h"
#include "warp.cuh"

namespace mlff::cuda {

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

/// How the centres of a range are shared out among parts: round robin in chunks of neighbours,
/// which share what they read in the cache of their multiprocessor.
struct Shares {
  int size = 0, parts = 1;
  int shift = 0;  ///< chunks of 2^shift centres
  int most = 0;   ///< centres of a part, at most

  /// As many parts as there are blocks, or as centres if these are fewer; the largest chunks that
  /// leave no part with much more than its share.
  static Shares of(int size, int blocks, int largest_shift) {
    constexpr double kTolerance = 1.04;
    Shares s;
    s.size = size;
    s.parts = std::max(1, std::min(size, blocks));
    s.shift = largest_shift;
    while (s.shift > 0 && s.most_of_a_part() > kTolerance * size / s.parts) --s.shift;
    s.most = s.most_of_a_part();
    return s;
  }
  /// Threads that leave no warp idle in the last turn, if each centre takes the same time.
  int threads(int most_threads) const {
    const int turns = ratio(most, most_threads / kWarp);
    return ratio(most, turns) * kWarp;
  }

 private:
  int most_of_a_part() const { return ratio(ratio(size, 1 << shift), parts) << shift; }
  static int ratio(int a, int b) { return (a + b - 1) / b; }
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
    const int chunk = (n >> shares_.shift) * shares_.parts + part_;
    const int i = (chunk << shares_.shift) + (n & ((1 << shares_.shift) - 1));
    return i < shares_.size ? i : -1;
  }

 private:
  const Shares &shares_;
  int part_;
  int *counter_;
};

}  // namespace mlff::cuda
