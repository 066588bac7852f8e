// What launches need to know of the current device, and whether they succeeded.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace mlff::cuda {

/// Throws std::runtime_error with CUDA's message.
inline void check(cudaError_t status) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

/// The current device's, asked for once.
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

}  // namespace mlff::cuda
