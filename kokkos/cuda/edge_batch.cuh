// A few edges of a centre as all lanes of its warp need them: each lane prepares one edge and
// leaves it in shared memory.
#pragma once

#include "device_data.h"
#include "spline.cuh"
#include "warp.cuh"

namespace mlff::cuda {

/// u and t of an edge.
__device__ __forceinline__ float4 load_edge(const device::Edges<float> &edges, int e) {
  return __ldg(reinterpret_cast<const float4 *>(edges.edge + e));
}

/// What it takes to evaluate functions of r in a table.
template <int kEdges>
struct EdgeWeights {
  float4 weights[kEdges];
  float4 u_row[kEdges];  ///< u, and where the table's first row begins, an integer

  __device__ __forceinline__ void put(int k, float4 edge, float4 w, int row) {
    weights[k] = w;
    u_row[k] = {edge.x, edge.y, edge.z, __int_as_float(row)};
  }
  __device__ __forceinline__ int row(int k) const { return __float_as_int(u_row[k].w); }
};

/// What it takes to send messages.
template <int kEdges>
struct EdgeBatch : EdgeWeights<kEdges> {
  static_assert(kEdges <= kWarp, "a lane prepares one edge");

  float4 slopes_neighbour[kEdges];  ///< slopes, and the neighbour's row, an integer

  /// Takes `count` edges from `begin` on; those beyond are copies that weigh nothing.
  __device__ __forceinline__ void fill(const device::Edges<float> &edges, int begin, int count,
                                       int row_stride, float inverse_spacing) {
    const int lane = lane_of_thread();
    __syncwarp();
    if (lane < kEdges) {
      const bool real = lane < count;
      const int e = begin + (real ? lane : 0);
      const float4 edge = load_edge(edges, e);
      this->put(lane, edge, real ? spline_weights(edge.w) : float4{0, 0, 0, 0},
                __ldg(edges.interval + e) * row_stride);
      const float3 slope = spline_slopes(edge.w, inverse_spacing);
      slopes_neighbour[lane] = {slope.x, slope.y, slope.z,
                                __int_as_float(__ldg(edges.neighbour + e))};
    }
    __syncwarp();
  }
  __device__ __forceinline__ int neighbour(int k) const {
    return __float_as_int(slopes_neighbour[k].w);
  }
};

}  // namespace mlff::cuda
