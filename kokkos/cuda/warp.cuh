// Sums across the lanes of a warp, in an order that does not depend on anything.
#pragma once

#include <cuda_runtime.h>

#include "channels.cuh"

namespace mlff::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int lane_of_thread() { return threadIdx.x % kWarp; }
__device__ __forceinline__ int warp_of_thread() { return threadIdx.x / kWarp; }

__device__ __forceinline__ float exchange(float a, int mask) {
  return __shfl_xor_sync(kAllLanes, a, mask);
}

/// Adds up what the groups of kLanes lanes hold; every group gets the sum.
template <int kLanes>
__device__ __forceinline__ void sum_groups(Channels &a) {
#pragma unroll
  for (int mask = kLanes; mask < kWarp; mask *= 2)
    a += Channels{exchange(a.x, mask), exchange(a.y, mask), exchange(a.z, mask),
                  exchange(a.w, mask)};
}

/// Sums of kValues numbers over each group of kLanes >= kValues lanes: a lane gets the sum of
/// number lane % kValues. Halving the numbers with each exchange costs kValues - 1 exchanges and
/// log2(kLanes / kValues) more, instead of kValues log2(kLanes).
template <int kLanes, int kValues>
__device__ __forceinline__ float sum_within_group(float (&value)[kValues]) {
  const int lane = lane_of_thread();
#pragma unroll
  for (int half = kValues / 2; half > 0; half /= 2) {
    const bool upper = lane & half;
#pragma unroll
    for (int k = 0; k < half; ++k) {
      const float kept = upper ? value[k + half] : value[k];
      const float sent = upper ? value[k] : value[k + half];
      value[k] = kept + exchange(sent, half);
    }
  }
#pragma unroll
  for (int mask = kValues; mask < kLanes; mask *= 2) value[0] += exchange(value[0], mask);
  return value[0];
}

}  // namespace mlff::cuda
