// A step's kernels as one CUDA graph. Small systems spend less time in their kernels than the
// processor needs to launch these one by one.
#pragma once

#include <cuda_runtime.h>

#include <tuple>

#include "cuda/multiprocessors.h"
#include "device_network.h"

namespace mlff::cuda {

class StepGraph {
 public:
  StepGraph() = default;
  StepGraph(const StepGraph &) = delete;
  StepGraph &operator=(const StepGraph &) = delete;
  ~StepGraph() {
    if (graph_) cudaGraphExecDestroy(graph_);
  }

  /// The arrays that a step's kernels work on.
  using Key = std::tuple<int, int, const double *, const int *, const int *, const int *,
                         const int *, std::size_t, std::size_t, double *>;
  static Key key(const DeviceAtoms &atoms, const DeviceNeighbourList &list,
                 const DeviceResults &results) {
    return {atoms.local, atoms.total,     atoms.positions,  atoms.types,           list.centre,
            list.count,  list.neighbours, list.atom_stride, list.neighbour_stride, results.forces};
  }

  /// Does what `step` queues on the stream; it is only called, and recorded, where its kernels or
  /// their arrays may have changed. It must not wait for the device.
  template <class Step>
  void run(cudaStream_t stream, const Key &key, const Step &step) {
    if (!valid_ || key != key_) {
      record(stream, step);
      key_ = key;
      valid_ = true;
    }
    check(cudaGraphLaunch(graph_, stream));
  }
  /// What was recorded does not hold any more.
  void forget() { valid_ = false; }

 private:
  template <class Step>
  void record(cudaStream_t stream, const Step &step) {
    cudaGraph_t recorded = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    try {
      step();
    } catch (...) {
      cudaStreamEndCapture(stream, &recorded);
      if (recorded) cudaGraphDestroy(recorded);
      throw;
    }
    check(cudaStreamEndCapture(stream, &recorded));
    // A changed graph of the same kernels takes a fraction of the time that a new one does.
    cudaGraphExecUpdateResultInfo info;
    if (graph_ && cudaGraphExecUpdate(graph_, recorded, &info) != cudaSuccess) {
      cudaGetLastError();  // not an error: it differs too much
      check(cudaGraphExecDestroy(graph_));
      graph_ = nullptr;
    }
    const cudaError_t status =
        graph_ ? cudaSuccess : cudaGraphInstantiate(&graph_, recorded, nullptr, nullptr, 0);
    cudaGraphDestroy(recorded);
    check(status);
  }

  cudaGraphExec_t graph_ = nullptr;
  Key key_{};
  bool valid_ = false;
};

}  // namespace mlff::cuda
