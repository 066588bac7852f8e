// The first layer, where a neighbour's element is all that is known of it: no features are
// gathered.
#include "message.h"

#include "channels.cuh"
#include "edge_batch.cuh"
#include "launch.cuh"
#include "../../src/algebra.h"

namespace mlff::cuda {
namespace {

using device::EdgeGradient;
using device::Edges;
using device::Range;
using device::SplineTable;

/// What both kernels read.
struct Step {
  Edges<float> edges;
  Range range;
  Shares shares;
  SplineTable<float> radial;
  int elements, stride;
};

/// The table of the radial functions in shared memory.
struct RadialTable {
  float *rows;
  int row_stride;

  /// An odd number of 16-byte words, so that rows begin in all banks.
  __host__ __device__ static int stride(const SplineTable<float> &radial) {
    return radial.columns / 4 % 2 ? radial.columns : radial.columns + 4;
  }
  static int bytes(const SplineTable<float> &radial) {
    return (radial.intervals + 3) * stride(radial) * sizeof(float);
  }
  /// To be followed by __syncthreads().
  __device__ RadialTable(const SplineTable<float> &radial, void *memory)
      : rows(static_cast<float *>(memory)), row_stride(stride(radial)) {
    const int pieces = radial.columns / 4;
    for (int k = threadIdx.x; k < (radial.intervals + 3) * pieces; k += blockDim.x)
      store(rows + k / pieces * row_stride + k % pieces * 4, gather(radial.coefficients + 4 * k));
  }
};

constexpr int kSumsThreads = 512, kSumsWarps = kSumsThreads / kWarp;

/// Shared memory but for the table and the sums, which follow it.
struct SumsShared {
  EdgeWeights<kWarp> batch[kSumsWarps];
  int counter;
};
int sums_bytes(const SplineTable<float> &radial, int elements) {
  const int sums = kSumsWarps * 4 * elements * radial.columns * sizeof(float);
  return sizeof(SumsShared) + RadialTable::bytes(radial) + sums;
}

/// The lanes' edges in the order of their neighbours' elements. Lane r knows the r-th run of edges
/// of one element: which, and where it ends.
struct Runs {
  int place;  ///< of this lane's edge
  int count = 0;
  int element = 0, end = 0;

  __device__ __forceinline__ Runs(int edge_element, int edges) : place(lane_of_thread()) {
    const int lane = lane_of_thread();
    unsigned left = __ballot_sync(kAllLanes, lane < edges);
    for (int placed = 0; left != 0; ++count) {
      const int common = __shfl_sync(kAllLanes, edge_element, __ffs(left) - 1);
      const unsigned members = left & __ballot_sync(kAllLanes, edge_element == common);
      if (members >> lane & 1) place = placed + __popc(members & ((1u << lane) - 1));
      placed += __popc(members);
      if (lane == count) {
        element = common;
        end = placed;
      }
      left &= ~members;
    }
  }
};

/// Adds up edges begin to end - 1 of the batch, for one column of the table.
__device__ __forceinline__ float4 sum_edges(const EdgeWeights<kWarp> &batch, int begin, int end,
                                            const float *column, int row_stride) {
  float4 sum = {0, 0, 0, 0};
#pragma unroll 4
  for (int k = begin; k < end; ++k) {
    const float4 w = batch.weights[k], u = batch.u_row[k];
    const float *c = column + batch.row(k);
    const float g =
        w.x * c[0] + w.y * c[row_stride] + w.z * c[2 * row_stride] + w.w * c[3 * row_stride];
    sum.x += g;
    sum.y += u.x * g;
    sum.z += u.y * g;
    sum.w += u.z * g;
  }
  return sum;
}

__global__ void __launch_bounds__(kSumsThreads, 3)
    element_sums_kernel(const Step step, float *sums) {
  extern __shared__ float4 memory[];
  auto &shared = *reinterpret_cast<SumsShared *>(memory);
  const RadialTable table(step.radial, &shared + 1);
  const Centres centres(step.shares, blockIdx.x, &shared.counter);
  __syncthreads();

  auto &batch = shared.batch[warp_of_thread()];
  const int lane = lane_of_thread(), columns = step.radial.columns;
  const int width = step.elements * columns;
  float *own =
      table.rows + (step.radial.intervals + 3) * table.row_stride + warp_of_thread() * 4 * width;
  for (int i; (i = centres.next()) >= 0;) {
    for (int k = lane; k < 4 * width; k += kWarp) own[k] = 0;
    const int centre = step.range.begin + i, end = step.edges.end[centre];
    for (int begin = step.edges.begin[centre]; begin < end; begin += kWarp) {
      const int e = min(begin + lane, end - 1);
      const Runs runs(step.edges.element[__ldg(step.edges.neighbour + e)], min(kWarp, end - begin));
      const float4 edge = load_edge(step.edges, e);
      __syncwarp();
      batch.put(runs.place, edge, spline_weights(edge.w),
                __ldg(step.edges.interval + e) * table.row_stride);
      __syncwarp();
      for (int r = 0, from = 0; r < runs.count; ++r) {
        const int to = __shfl_sync(kAllLanes, runs.end, r);
        float *of_element = own + __shfl_sync(kAllLanes, runs.element, r) * columns;
        for (int column = lane; column < columns; column += kWarp) {
          const float4 sum = sum_edges(batch, from, to, table.rows + column, table.row_stride);
          of_element[column] += sum.x;
          of_element[column + width] += sum.y;
          of_element[column + 2 * width] += sum.z;
          of_element[column + 3 * width] += sum.w;
        }
        from = to;
      }
    }
    __syncwarp();
    float *to = row_of(sums, i, 4 * step.stride);
    for (int c = 0; c < 4; ++c)
      for (int k = lane; k < step.stride; k += kWarp)
        to[c * step.stride + k] = k < width ? own[c * width + k] : 0;
    __syncwarp();
  }
}

constexpr int kAdjointThreads = 256;

/// The centre, first <= centre < last, whose edges begin at or before e, the last such one.
__device__ __forceinline__ int centre_of_edge(const int *begin, int first, int last, int e) {
  while (last - first > 1) {
    const int middle = (first + last) / 2;
    if (__ldg(begin + middle) <= e)
      first = middle;
    else
      last = middle;
  }
  return first;
}

/// dE/du and dE/dr of an edge whose rows of the table begin at c; q is what sums_bar of its centre
/// has for the neighbour's element.
__device__ __forceinline__ float4 edge_gradient(const float *c, int row_stride, const float *q,
                                                int stride, int columns, float4 edge,
                                                float inverse_spacing) {
  const float4 w = spline_weights(edge.w);
  const float3 slope = spline_slopes(edge.w, inverse_spacing);
  float4 gradient = {0, 0, 0, 0};
#pragma unroll 1
  for (int k = 0; k < columns; k += 4, c += 4, q += 4) {
    const Channels q0 = gather(q), qx = gather(q + stride), qy = gather(q + 2 * stride),
                   qz = gather(q + 3 * stride);
    const Channels c0 = load(c), c1 = load(c + row_stride), c2 = load(c + 2 * row_stride),
                   c3 = load(c + 3 * row_stride);
    const Channels g = w.x * c0 + w.y * c1 + w.z * c2 + w.w * c3;
    add_product(gradient.x, g, qx);
    add_product(gradient.y, g, qy);
    add_product(gradient.z, g, qz);
    add_product(gradient.w, q0 + edge.x * qx + edge.y * qy + edge.z * qz,
                slope.x * (c1 - c0) + slope.y * (c2 - c1) + slope.z * (c3 - c2));
  }
  return gradient;
}

/// The adjoint of an edge's vector, given those of u and r.
__device__ __forceinline__ EdgeGradient<float> finished(float4 edge, float r, float4 gradient) {
  const float u[3] = {edge.x, edge.y, edge.z};
  EdgeGradient<float> g = {{gradient.x, gradient.y, gradient.z}, gradient.w};
  vector_adjoint(u, r, 0.0f, g.r, g.u);
  return g;
}

/// A thread has an edge, a block the edges of neighbouring centres.
__global__ void __launch_bounds__(kAdjointThreads, 4)
    element_sums_adjoint_kernel(const Step step, const float *sums_bar, float spacing,
                                EdgeGradient<float> *gradient, int slices, size_t stride) {
  extern __shared__ float4 memory[];
  const RadialTable table(step.radial, memory);
  __syncthreads();
  const auto part_begin = [&](int part) {
    return step.range.begin +
           static_cast<int>(static_cast<long long>(step.range.size) * part / step.shares.parts);
  };
  const int first = part_begin(blockIdx.x), last = part_begin(blockIdx.x + 1);
  const int end = step.edges.begin[last];
  for (int e = step.edges.begin[first] + threadIdx.x; e < end; e += kAdjointThreads) {
    const int centre = centre_of_edge(step.edges.begin, first, last, e);
    if (e >= __ldg(step.edges.end + centre)) continue;
    const int i = centre - step.range.begin;
    const int element = step.edges.element[__ldg(step.edges.neighbour + e)];
    const float *q = row_of(sums_bar, i, 4 * step.stride) + element * step.radial.columns;
    const float4 edge = load_edge(step.edges, e);
    const int interval = __ldg(step.edges.interval + e);
    float4 part =
        edge_gradient(table.rows + interval * table.row_stride, table.row_stride, q, step.stride,
                      step.radial.columns, edge, step.radial.inverse_spacing);
    for (int slice = 0; slice < slices; ++slice) {
      const Channels other = load(gradient[slice * stride + e].u);
      part = {other.x + part.x, other.y + part.y, other.z + part.z, other.w + part.w};
    }
    gradient[e] = finished(edge, (interval + edge.w) * spacing, part);
  }
}

}  // namespace

bool element_sums_fit(const SplineTable<float> &radial, int elements) {
  return sums_bytes(radial, elements) <= multiprocessors().shared_bytes;
}

void element_sums(Stream stream, const Edges<float> &edges, Range range,
                  const SplineTable<float> &radial, int elements, int stride, float *sums) {
  if (range.size == 0) return;
  const int bytes = sums_bytes(radial, elements);
  const int blocks = resident_blocks<element_sums_kernel>(kSumsThreads, bytes);
  const Shares shares = Shares::of(range.size, blocks, 3);
  element_sums_kernel<<<shares.parts, kSumsThreads, bytes, stream>>>(
      {edges, range, shares, radial, elements, stride}, sums);
  check(cudaGetLastError());
}

void element_sums_adjoint(Stream stream, const Edges<float> &edges, Range range,
                          const SplineTable<float> &radial, int elements, int stride,
                          const float *sums_bar, float spacing, EdgeGradient<float> *gradient,
                          int slices, std::size_t gradient_stride) {
  if (range.size == 0) return;
  const int bytes = RadialTable::bytes(radial);
  const int blocks = resident_blocks<element_sums_adjoint_kernel>(kAdjointThreads, bytes);
  const Shares shares = Shares::of(range.size, blocks, 3);
  element_sums_adjoint_kernel<<<shares.parts, kAdjointThreads, bytes, stream>>>(
      {edges, range, shares, radial, elements, stride}, sums_bar, spacing, gradient, slices,
      gradient_stride);
  check(cudaGetLastError());
}

}  // namespace mlff::cuda
