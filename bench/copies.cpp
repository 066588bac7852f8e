// Counts what crosses between host and device: a library to be loaded before a program that uses
// the shared CUDA runtime,
//   LD_PRELOAD=libmlff_copies.so lmp ...
// and which prints a line for each direction and size when the program ends. Two runs of different
// length tell what a step copies.
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

namespace {

class Copies {
 public:
  ~Copies() {
    for (const auto &[what, times] : times_)
      std::fprintf(stderr, "copies: %s %zu bytes, %ld times\n", name(what.first), what.second,
                   times);
  }
  void add(cudaMemcpyKind kind, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++times_[{kind, bytes}];
  }

 private:
  static const char *name(cudaMemcpyKind kind) {
    switch (kind) {
      case cudaMemcpyHostToDevice:
        return "host to device";
      case cudaMemcpyDeviceToHost:
        return "device to host";
      case cudaMemcpyDeviceToDevice:
        return "device to device";
      default:
        return "any to any";
    }
  }
  std::mutex mutex_;
  std::map<std::pair<cudaMemcpyKind, std::size_t>, long> times_;
};
Copies copies;

template <class Function>
Function next(Function, const char *name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, std::size_t bytes,
                                  cudaMemcpyKind kind) {
  static const auto original = next(&cudaMemcpy, "cudaMemcpy");
  copies.add(kind, bytes);
  return original(to, from, bytes, kind);
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, std::size_t bytes,
                                       cudaMemcpyKind kind, cudaStream_t stream) {
  static const auto original = next(&cudaMemcpyAsync, "cudaMemcpyAsync");
  copies.add(kind, bytes);
  return original(to, from, bytes, kind, stream);
}
