// A few edges of a centre as all lanes of its warp need them: each lane prepares one edge and
// leaves it in shared memory. Or one edge, which its lanes prepare for themselves.
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
  __device__ __forceinline__ float4 weights_of(int k) const { return this->weights[k]; }
  __device__ __forceinline__ float4 u_of(int k) const { return this->u_row[k]; }
  __device__ __forceinline__ float4 slopes_of(int k) const { return slopes_neighbour[k]; }
};

/// A batch of one edge, in registers. All its lanes evaluate the weights, not before they are used:
/// what is gathered for the edge can be asked for first.
struct SingleEdge {
  float4 edge = {};
  int interval = 0, neighbour_row = 0;
  bool real;
  int row_stride;
  float inverse_spacing;

  /// Edge e; a copy of edge `first` that weighs nothing, if e is none of those from there to `end`;
  /// nothing, if there are none.
  __device__ __forceinline__ SingleEdge(const device::Edges<float> &edges, int e, int first,
                                        int end, int row_stride, float inverse_spacing)
      : real(e < end), row_stride(row_stride), inverse_spacing(inverse_spacing) {
    if (first >= end) return;
    if (!real) e = first;
    neighbour_row = __ldg(edges.neighbour + e);
    interval = __ldg(edges.interval + e);
    edge = load_edge(edges, e);
  }
  __device__ __forceinline__ int row(int) const { return interval * row_stride; }
  __device__ __forceinline__ int neighbour(int) const { return neighbour_row; }
  __device__ __forceinline__ float4 weights_of(int) const {
    const float4 w = spline_weights(edge.w);
    const float factor = real ? 1.0f : 0.0f;
    return {factor * w.x, factor * w.y, factor * w.z, factor * w.w};
  }
  __device__ __forceinline__ float4 u_of(int) const { return edge; }
  __device__ __forceinline__ float3 slopes_of(int) const {
    return spline_slopes(edge.w, inverse_spacing);
  }
};

}  // namespace mlff::cuda
