// A step's kernels as one CUDA graph. Small systems spend less time in their kernels than the
// processor needs to launch these one by one, and in large ones a kernel of a graph follows sooner
// on the one before it.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/multiprocessors.h"
#include "device_network.h"

namespace mlff::cuda {

/// How many blocks the clusters of a graph's kernels have, kernel after kernel; 0: none are asked
/// for. Throws std::logic_error if the graph copies memory: what is there could be another thing
/// when the graph is replayed.
inline std::vector<unsigned> cluster_sizes(cudaGraph_t graph) {
  std::size_t count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  check(cudaGraphGetNodes(graph, nodes.data(), &count));
  std::vector<unsigned> sizes;
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type;
    check(cudaGraphNodeGetType(node, &type));
    if (type == cudaGraphNodeTypeMemcpy)
      throw std::logic_error("a step that is to be replayed copies memory");
    if (type != cudaGraphNodeTypeKernel) continue;
    cudaLaunchAttributeValue value;
    check(cudaGraphKernelNodeGetAttribute(node, cudaLaunchAttributeClusterDimension, &value));
    sizes.push_back(value.clusterDim.x);
  }
  return sizes;
}

class StepGraph {
 public:
  StepGraph() = default;
  StepGraph(const StepGraph &) = delete;
  StepGraph &operator=(const StepGraph &) = delete;
  ~StepGraph() {
    if (graph_) cudaGraphExecDestroy(graph_);
  }

  /// What the arguments of a step's kernels follow from. Work space that has grown lies elsewhere.
  struct Key {
    int local = -1, rows = -1;
    const double *positions = nullptr;
    const int *types = nullptr, *element_of_type = nullptr;
    const int *count = nullptr, *neighbours = nullptr;
    std::size_t atom_stride = 0, neighbour_stride = 0;
    int mask = 0;
    double *forces = nullptr;
    bool add_forces = true;
    std::size_t workspace_bytes = 0;

    auto tie() const {
      return std::tie(local, rows, positions, types, element_of_type, count, neighbours,
                      atom_stride, neighbour_stride, mask, forces, add_forces, workspace_bytes);
    }
    bool operator!=(const Key &other) const { return tie() != other.tie(); }
  };

  /// Does what `step` queues on the stream, which must neither wait for the device nor copy, or
  /// returns false, if its kernels' arguments are new: then it is to be done directly, as kernels
  /// are loaded when they are first used, and recorded when it comes again.
  template <class Step>
  bool run(cudaStream_t stream, const Key &key, const Step &step) {
    if (key != seen_) {
      seen_ = key;
      return false;
    }
    if (key != recorded_) {
      recorded_ = {};
      update(capture(stream, step).get());
      recorded_ = key;
    }
    check(cudaGraphLaunch(graph_, stream));
    return true;
  }

 private:
  struct Destroy {
    void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
  };
  using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, Destroy>;

  template <class Step>
  static Graph capture(cudaStream_t stream, const Step &step) {
    cudaGraph_t captured = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    try {
      step();
    } catch (...) {
      cudaStreamEndCapture(stream, &captured);
      Graph(captured).reset();
      throw;
    }
    check(cudaStreamEndCapture(stream, &captured));
    return Graph(captured);
  }

  /// A changed graph of the same kernels takes a fraction of the time that a new one does. CUDA 13
  /// updates the sizes of grids but not of clusters, and says nothing: kernels run with the old
  /// ones.
  void update(cudaGraph_t captured) {
    std::vector<unsigned> clusters = cluster_sizes(captured);
    cudaGraphExecUpdateResultInfo info;
    const bool same_clusters = clusters == clusters_;
    clusters_ = std::move(clusters);
    if (graph_ && same_clusters && cudaGraphExecUpdate(graph_, captured, &info) == cudaSuccess)
      return;
    cudaGetLastError();  // not an error: it differs too much
    if (graph_) check(cudaGraphExecDestroy(std::exchange(graph_, nullptr)));
    check(cudaGraphInstantiate(&graph_, captured, nullptr, nullptr, 0));
  }

  cudaGraphExec_t graph_ = nullptr;
  std::vector<unsigned> clusters_;  ///< cluster_sizes of it
  Key seen_, recorded_;
};

}  // namespace mlff::cuda
