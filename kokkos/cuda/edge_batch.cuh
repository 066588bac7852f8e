// A few edges of a centre as all lanes of its warp need them: each lane prepares one edge and
// leaves it in shared memory.
#pragma once

#include "device_data.h"
#include "spline.cuh"
#include "warp.cuh"

namespace mlff::cuda {

template <int kEdges>
struct EdgeBatch {
  static_assert(kEdges <= kWarp, "a lane prepares one edge");

  float4 weights[kEdges];
  float4 u_neighbour[kEdges];  ///< u, and the neighbour's row as an integer
  float4 slopes_row[kEdges];   ///< slopes, and the table's row as an integer

  /// Takes `count` edges from `begin` on; the others are filled up with copies that weigh nothing.
  __device__ __forceinline__ void fill(const device::Edges<float> &edges, int begin, int count,
                                       float inverse_spacing) {
    const int lane = lane_of_thread();
    __syncwarp();
    if (lane < kEdges) {
      const bool real = lane < count;
      const int e = begin + (real ? lane : 0);
      const float4 edge = __ldg(reinterpret_cast<const float4 *>(edges.edge + e));
      const float4 w = spline_weights(edge.w);
      const float3 d = spline_slopes(edge.w, inverse_spacing);
      weights[lane] = real ? w : float4{0, 0, 0, 0};
      u_neighbour[lane] = {edge.x, edge.y, edge.z, __int_as_float(__ldg(edges.neighbour + e))};
      slopes_row[lane] = {d.x, d.y, d.z, __int_as_float(__ldg(edges.interval + e))};
    }
    __syncwarp();
  }
  __device__ __forceinline__ int neighbour(int k) const { return __float_as_int(u_neighbour[k].w); }
  __device__ __forceinline__ int row(int k) const { return __float_as_int(slopes_row[k].w); }
};

}  // namespace mlff::cuda
