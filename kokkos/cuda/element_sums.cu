// The first layer, where a neighbour's element is all that is known of it: no features are
// gathered.
#include "message.h"

#include "edge_batch.cuh"
#include "launch.cuh"

namespace mlff::cuda {
namespace {

using device::EdgeGradient;
using device::Edges;
using device::Range;
using device::SplineTable;

constexpr int kThreads = 256, kWarps = kThreads / kWarp, kChunk = 8;

/// Between rows of the table in shared memory: an odd number of 16-byte words, so that rows begin
/// in all banks.
__host__ __device__ int padded_columns(const SplineTable<float> &radial) {
  return radial.columns / 4 % 2 ? radial.columns : radial.columns + 4;
}
int table_floats(const SplineTable<float> &radial) {
  return (radial.intervals + 3) * padded_columns(radial);
}
__device__ void copy_table(const SplineTable<float> &radial, float *to) {
  const int words = radial.columns / 4, row_words = padded_columns(radial) / 4;
  for (int k = threadIdx.x; k < (radial.intervals + 3) * words; k += kThreads)
    reinterpret_cast<float4 *>(to)[k / words * row_words + k % words] =
        __ldg(reinterpret_cast<const float4 *>(radial.coefficients) + k);
}

struct Step {
  Edges<float> edges;
  Range range;
  Shares shares;
  SplineTable<float> radial;
  int elements, stride;
};

// ---------------------------------------------------------------------------- sums

using Batch = EdgeBatch<kWarp>;

/// Shared memory of the sums but for their own and the table's, which follow it.
struct SumsShared {
  Batch batch[kWarps];
  int counter;
};
int sums_bytes(const SplineTable<float> &radial, int elements) {
  const int sums = kWarps * elements * 4 * radial.columns;
  return sizeof(SumsShared) + (sums + table_floats(radial)) * sizeof(float);
}

/// Adds the edges of the batch that `members` has a bit for: a lane has a column.
__device__ __forceinline__ void add_edges(const Batch &batch, unsigned members, const float *table,
                                          int row_stride, int column, float (&sum)[4]) {
  while (members != 0) {
    const int k = __ffs(members) - 1;
    members &= members - 1;
    const float4 w = batch.weights[k], u = batch.u_neighbour[k];
    const float *c = table + batch.row(k) * row_stride + column;
    const float g =
        w.x * c[0] + w.y * c[row_stride] + w.z * c[2 * row_stride] + w.w * c[3 * row_stride];
    sum[0] += g;
    sum[1] += u.x * g;
    sum[2] += u.y * g;
    sum[3] += u.z * g;
  }
}

__global__ void __launch_bounds__(kThreads) element_sums_kernel(const Step step, float *sums) {
  extern __shared__ float4 memory[];
  auto &shared = *reinterpret_cast<SumsShared *>(memory);
  const int columns = step.radial.columns, width = step.elements * columns;
  float *table = reinterpret_cast<float *>(&shared + 1);
  const int row_stride = padded_columns(step.radial);
  float *own = table + (step.radial.intervals + 3) * row_stride + warp_of_thread() * 4 * width;
  copy_table(step.radial, table);
  const Centres centres(step.shares, blockIdx.x, &shared.counter);
  __syncthreads();

  Batch &batch = shared.batch[warp_of_thread()];
  const int lane = lane_of_thread();
  for (int i; (i = centres.next()) >= 0;) {
    for (int k = lane; k < 4 * width; k += kWarp) own[k] = 0;
    const int centre = step.range.begin + i, end = step.edges.offset[centre + 1];
    for (int begin = step.edges.offset[centre]; begin < end; begin += kWarp) {
      const int count = min(kWarp, end - begin);
      batch.fill(step.edges, begin, count, step.radial.inverse_spacing);
      const int element = lane < count ? step.edges.element[batch.neighbour(lane)] : -1;
      // Edges of one element are summed in registers, then added to what shared memory has of it.
      unsigned left = __ballot_sync(kAllLanes, lane < count);
      while (left != 0) {
        const int common = __shfl_sync(kAllLanes, element, __ffs(left) - 1);
        const unsigned members = __ballot_sync(kAllLanes, element == common);
        left &= ~members;
        for (int column = lane; column < columns; column += kWarp) {
          float sum[4] = {};
          add_edges(batch, members, table, row_stride, column, sum);
          for (int c = 0; c < 4; ++c) own[c * width + common * columns + column] += sum[c];
        }
      }
    }
    __syncwarp();
    float *to = sums + row_of(i, 4 * step.stride);
    for (int c = 0; c < 4; ++c)
      for (int k = lane; k < step.stride; k += kWarp)
        to[c * step.stride + k] = k < width ? own[c * width + k] : 0;
    __syncwarp();
  }
}

// ---------------------------------------------------------------------------- adjoint

int adjoint_bytes(const SplineTable<float> &radial) { return table_floats(radial) * sizeof(float); }

/// The gradient of an edge; q points to its element's part of the centre's sums_bar.
__device__ __forceinline__ float4 edge_gradient(const float *c, int row_stride, const float *q,
                                                int q_stride, int columns, float4 edge,
                                                float inverse_spacing) {
  const float4 w = spline_weights(edge.w);
  const float3 d = spline_slopes(edge.w, inverse_spacing);
  float4 total = {0, 0, 0, 0};  // of dE/du and dE/dr
  for (int k = 0; k < columns; k += 4) {
    const Channels c0 = load(c + k), c1 = load(c + k + row_stride),
                   c2 = load(c + k + 2 * row_stride), c3 = load(c + k + 3 * row_stride);
    const Channels g = w.x * c0 + w.y * c1 + w.z * c2 + w.w * c3;
    const Channels slope = d.x * (c1 - c0) + d.y * (c2 - c1) + d.z * (c3 - c2);
    const Channels qx = gather(q + k + q_stride), qy = gather(q + k + 2 * q_stride),
                   qz = gather(q + k + 3 * q_stride);
    const Channels y = gather(q + k) + edge.x * qx + edge.y * qy + edge.z * qz;
    total.x = add_dot(total.x, g, qx);
    total.y = add_dot(total.y, g, qy);
    total.z = add_dot(total.z, g, qz);
    total.w = add_dot(total.w, y, slope);
  }
  return total;
}

/// A thread has an edge. The last row in [first, last) whose edges begin at or before `e` is the
/// edge's centre.
__device__ __forceinline__ int centre_of_edge(const int *offset, int first, int last, int e) {
  while (last - first > 1) {
    const int middle = (first + last) / 2;
    if (offset[middle] <= e)
      first = middle;
    else
      last = middle;
  }
  return first;
}

__global__ void __launch_bounds__(kThreads)
    element_sums_adjoint_kernel(const Step step, const float *sums_bar,
                                EdgeGradient<float> *gradient, bool add) {
  extern __shared__ float4 memory[];
  float *table = reinterpret_cast<float *>(memory);
  copy_table(step.radial, table);
  __syncthreads();
  const int columns = step.radial.columns, row_stride = padded_columns(step.radial);
  const int warps = gridDim.x * kWarps;
  for (int chunk = blockIdx.x * kWarps + warp_of_thread(); chunk * kChunk < step.range.size;
       chunk += warps) {
    const int first = step.range.begin + chunk * kChunk;
    const int last = min(first + kChunk, step.range.begin + step.range.size);
    const int end = step.edges.offset[last];
    for (int e = step.edges.offset[first] + lane_of_thread(); e < end; e += kWarp) {
      const int centre = centre_of_edge(step.edges.offset, first, last, e);
      const int element = step.edges.element[__ldg(step.edges.neighbour + e)];
      const float4 edge = __ldg(reinterpret_cast<const float4 *>(step.edges.edge + e));
      const float *q =
          sums_bar + row_of(centre - step.range.begin, 4 * step.stride) + element * columns;
      float4 total = edge_gradient(table + __ldg(step.edges.interval + e) * row_stride, row_stride,
                                   q, step.stride, columns, edge, step.radial.inverse_spacing);
      auto *to = reinterpret_cast<float4 *>(gradient + e);
      if (add) {
        const float4 old = *to;
        total = {old.x + total.x, old.y + total.y, old.z + total.z, old.w + total.w};
      }
      *to = total;
    }
  }
}

}  // namespace

bool element_sums_fit(const SplineTable<float> &radial, int elements) {
  return std::max(sums_bytes(radial, elements), adjoint_bytes(radial)) <=
         multiprocessors().shared_bytes;
}

void element_sums(Stream stream, const Edges<float> &edges, Range range,
                  const SplineTable<float> &radial, int elements, int stride, float *sums) {
  if (range.size == 0) return;
  const int bytes = sums_bytes(radial, elements);
  const int blocks = resident_blocks<element_sums_kernel>(kThreads, bytes);
  const Shares shares = Shares::of(range.size, blocks, kChunk);
  element_sums_kernel<<<shares.parts, kThreads, bytes, stream>>>(
      {edges, range, shares, radial, elements, stride}, sums);
  check(cudaGetLastError());
}

void element_sums_adjoint(Stream stream, const Edges<float> &edges, Range range,
                          const SplineTable<float> &radial, int elements, int stride,
                          const float *sums_bar, EdgeGradient<float> *gradient, bool add) {
  if (range.size == 0) return;
  const int bytes = adjoint_bytes(radial);
  const int blocks = resident_blocks<element_sums_adjoint_kernel>(kThreads, bytes);
  const Shares shares = Shares::of(range.size, blocks, kChunk);
  element_sums_adjoint_kernel<<<shares.parts, kThreads, bytes, stream>>>(
      {edges, range, shares, radial, elements, stride}, sums_bar, gradient, add);
  check(cudaGetLastError());
}

}  // namespace mlff::cuda
