// The first layer, where a neighbour's element is all that is known of it: no features are
// gathered.
#include "message.h"

#include <cuda_pipeline.h>

#include "algebra.h"
#include "channels.cuh"
#include "edge_batch.cuh"
#include "edge_placement.h"
#include "launch.cuh"

namespace mlff::cuda {
namespace {

using device::Candidates;
using device::EdgeGradient;
using device::EdgePlacement;
using device::Edges;
using device::Range;
using device::SplineTable;

/// What element_sums_kernel and its adjoint read.
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
  /// Begins to copy it; to be waited for.
  __device__ RadialTable(const SplineTable<float> &radial, void *memory)
      : rows(static_cast<float *>(memory)), row_stride(stride(radial)) {
    const int pieces = radial.columns / 4;
    const int rows_on = blockDim.x / pieces, pieces_on = blockDim.x % pieces;
    int row = threadIdx.x / pieces, piece = threadIdx.x % pieces;
    while (row < radial.intervals + 3) {
      __pipeline_memcpy_async(rows + row * row_stride + 4 * piece,
                              radial.coefficients + row * radial.columns + 4 * piece, 16);
      row += rows_on;
      piece += pieces_on;
      if (piece >= pieces) {
        piece -= pieces;
        ++row;
      }
    }
    __pipeline_commit();
  }
  /// By all threads of the block, which are synchronised.
  __device__ void wait() const {
    __pipeline_wait_prior(0);
    __syncthreads();
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

/// The sums of a warp's centre, and the batch of edges that is added to them.
struct WarpSums {
  const RadialTable &table;
  EdgeWeights<kWarp> &batch;
  float *own;  ///< [4][width]
  int columns, width;

  __device__ WarpSums(SumsShared &shared, const RadialTable &table,
                      const SplineTable<float> &radial, int elements)
      : table(table),
        batch(shared.batch[warp_of_thread()]),
        columns(radial.columns),
        width(elements * radial.columns) {
    own = table.rows + (radial.intervals + 3) * table.row_stride + warp_of_thread() * 4 * width;
  }
  __device__ __forceinline__ void clear() const {
    for (int k = lane_of_thread(); k < 4 * width; k += kWarp) own[k] = 0;
  }
  /// Adds the edges of the lanes below `edges`; `row` is where an edge's part of the table begins.
  __device__ __forceinline__ void add(float4 edge, int row, int edge_element, int edges) const {
    const Runs runs(edge_element, edges);
    __syncwarp();
    batch.put(runs.place, edge, spline_weights(edge.w), row);
    __syncwarp();
    for (int r = 0, from = 0; r < runs.count; ++r) {
      const int to = __shfl_sync(kAllLanes, runs.end, r);
      float *of_element = own + __shfl_sync(kAllLanes, runs.element, r) * columns;
      for (int column = lane_of_thread(); column < columns; column += kWarp) {
        const float4 sum = sum_edges(batch, from, to, table.rows + column, table.row_stride);
        of_element[column] += sum.x;
        of_element[column + width] += sum.y;
        of_element[column + 2 * width] += sum.z;
        of_element[column + 3 * width] += sum.w;
      }
      from = to;
    }
  }
  /// to: [4][stride].
  __device__ __forceinline__ void write(float *to, int stride) const {
    __syncwarp();
    for (int c = 0; c < 4; ++c)
      for (int k = lane_of_thread(); k < stride; k += kWarp)
        to[c * stride + k] = k < width ? own[c * width + k] : 0;
    __syncwarp();
  }
};

__global__ void __launch_bounds__(kSumsThreads, 3)
    element_sums_kernel(const Step step, float *sums) {
  extern __shared__ float4 memory[];
  auto &shared = *reinterpret_cast<SumsShared *>(memory);
  const RadialTable table(step.radial, &shared + 1);
  const Centres centres(step.shares, blockIdx.x, &shared.counter);
  table.wait();

  const WarpSums own(shared, table, step.radial, step.elements);
  for (int i; (i = centres.next()) >= 0;) {
    own.clear();
    const int centre = step.range.begin + i, end = step.edges.end[centre];
    for (int begin = step.edges.begin[centre]; begin < end; begin += kWarp) {
      const int e = min(begin + lane_of_thread(), end - 1);
      own.add(load_edge(step.edges, e), __ldg(step.edges.interval + e) * table.row_stride,
              step.edges.element[__ldg(step.edges.neighbour + e)], min(kWarp, end - begin));
    }
    own.write(row_of(sums, i, 4 * step.stride), step.stride);
  }
}

/// A neighbour in an atom's list, and its element if there is an edge to it. The elements of rows
/// are not read, as this kernel sets them.
struct Candidate {
  Candidates::Pair pair;
  int element;

  __device__ __forceinline__ Candidate(const EdgePlacement<float> &placement, int atom, int k,
                                       int count) {
    pair.neighbour = -1;
    if (k >= count) return;
    pair = placement.candidates.measure(atom, k);
    element = placement.element_of_atom(pair.atom);
    if (pair.neighbour >= 0 && pair.atom >= placement.local)  // an image has its owner's
      element = placement.element_of_atom(placement.candidates.atom_of_row[pair.neighbour]);
  }
};

/// Collects a warp's edges, of which a lane may have one at a time, until the batch is full or they
/// are all, so that sums do not depend on the candidates among which the edges were.
struct Collected {
  const WarpSums &sums;

  /// Until add(), weights hold t and the neighbour's element.
  __device__ __forceinline__ void put(int place, const EdgePlacement<float>::Placed &edge,
                                      int element) const {
    const float *u = edge.edge.u;
    sums.batch.put(place, {u[0], u[1], u[2], 0}, {edge.edge.t, __int_as_float(element), 0, 0},
                   edge.interval * sums.table.row_stride);
  }
  __device__ __forceinline__ void add(int edges) const {
    __syncwarp();
    const float4 t_element = sums.batch.weights[lane_of_thread()];
    const float4 u_row = sums.batch.u_row[lane_of_thread()];
    sums.add({u_row.x, u_row.y, u_row.z, t_element.x}, __float_as_int(u_row.w),
             __float_as_int(t_element.y), edges);
    __syncwarp();
  }
};

/// Places the edges of a range that has no more centres than there are warps, and adds them up.
__global__ void __launch_bounds__(kSumsThreads, 2)
    place_and_sum_kernel(const EdgePlacement<float> placement, Range range,
                         const SplineTable<float> radial, int elements, int stride, float *sums) {
  extern __shared__ float4 memory[];
  auto &shared = *reinterpret_cast<SumsShared *>(memory);
  const int i = warp_of_thread() * gridDim.x + blockIdx.x, row = range.begin + i;
  const bool has_centre = i < range.size;
  const int atom = has_centre ? placement.candidates.atom_of_row[row] : 0;
  const int first = has_centre ? placement.begin[row] : 0;
  const RadialTable table(radial, &shared + 1);
  const int count = has_centre ? placement.candidates.list.count[atom] : 0;
  const int type = has_centre ? placement.element_of_atom.types[atom] : 0;
  const int lane = lane_of_thread();
  Candidate next(placement, atom, lane, count);
  const int element = has_centre ? placement.element_of_atom.element_of_type[type] : 0;
  const WarpSums own(shared, table, radial, elements);
  own.clear();
  table.wait();
  if (!has_centre) return;

  const Collected collected{own};
  int edges = 0, batch = 0;  // placed so far, and of them those before the batch
  for (int k0 = 0; k0 < count; k0 += kWarp) {
    const Candidate candidate = next;
    next = Candidate(placement, atom, k0 + kWarp + lane, count);
    const bool is_edge = candidate.pair.neighbour >= 0, last = k0 + kWarp >= count;
    const unsigned found = __ballot_sync(kAllLanes, is_edge);
    const int at = edges + __popc(found & ((1u << lane) - 1));
    EdgePlacement<float>::Placed placed;
    if (is_edge) placed = placement.place(atom, candidate.pair, first + at);
    edges += __popc(found);
    for (;; batch += kWarp) {
      if (is_edge && batch <= at && at < batch + kWarp)
        collected.put(at - batch, placed, candidate.element);
      const int collected_edges = min(edges - batch, kWarp);
      if (collected_edges <= 0 || (collected_edges < kWarp && !last)) break;
      collected.add(collected_edges);
    }
  }
  own.write(row_of(sums, i, 4 * stride), stride);
  if (lane == 0) placement.finish(row, atom, first + edges, element);
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
/// has for the neighbour's element. Takes every kLanes-th of the columns' groups of four, from the
/// `first` on.
template <int kLanes>
__device__ __forceinline__ Channels edge_gradient(const float *c, int row_stride, const float *q,
                                                  int stride, int first, int columns, float4 edge,
                                                  float inverse_spacing) {
  const float4 w = spline_weights(edge.w);
  const float3 slope = spline_slopes(edge.w, inverse_spacing);
  Channels gradient = {0, 0, 0, 0};
  c += 4 * first;
  q += 4 * first;
#pragma unroll 1
  for (int k = 4 * first; k < columns; k += 4 * kLanes, c += 4 * kLanes, q += 4 * kLanes) {
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

/// Adds up what kLanes neighbouring lanes hold, whatever the other lanes do.
template <int kLanes>
__device__ __forceinline__ Channels sum_of_neighbours(Channels a) {
  static_assert(kLanes < kWarp, "the lanes' mask");
  const unsigned lanes = ((1u << kLanes) - 1) << lane_of_thread() / kLanes * kLanes;
#pragma unroll
  for (int mask = 1; mask < kLanes; mask *= 2)
    a += Channels{__shfl_xor_sync(lanes, a.x, mask), __shfl_xor_sync(lanes, a.y, mask),
                  __shfl_xor_sync(lanes, a.z, mask), __shfl_xor_sync(lanes, a.w, mask)};
  return a;
}

/// The adjoint of an edge's vector, given those of u and r.
__device__ __forceinline__ EdgeGradient<float> finished(float4 edge, float r, Channels gradient) {
  const float u[3] = {edge.x, edge.y, edge.z};
  EdgeGradient<float> g = {{gradient.x, gradient.y, gradient.z}, gradient.w};
  vector_adjoint(u, r, 0.0f, g.r, g.u);
  return g;
}

/// kLanes threads have an edge, a block the edges of neighbouring centres.
template <int kLanes>
__global__ void __launch_bounds__(kAdjointThreads, 4)
    element_sums_adjoint_kernel(const Step step, const float *sums_bar, float spacing,
                                EdgeGradient<float> *gradient, int slices, size_t stride) {
  extern __shared__ float4 memory[];
  const int share = step.range.size / step.shares.parts;
  const int larger = step.range.size % step.shares.parts;
  const auto part_begin = [&](int part) {
    return step.range.begin + part * share + min(part, larger);
  };
  const int first = part_begin(blockIdx.x), last = part_begin(blockIdx.x + 1);
  const int begin = step.edges.begin[first], end = step.edges.begin[last];
  const RadialTable table(step.radial, memory);
  for (int e0 = begin; e0 < end; e0 += kAdjointThreads / kLanes) {
    // Asked for together: a place that has no edge can be read, too.
    const int place = e0 + threadIdx.x / kLanes, e = min(place, end - 1);
    const int centre = centre_of_edge(step.edges.begin, first, last, e);
    const int row_end = __ldg(step.edges.end + centre);
    const int neighbour = __ldg(step.edges.neighbour + e);
    const int interval = __ldg(step.edges.interval + e);
    const float4 edge = load_edge(step.edges, e);
    if (e0 == begin) table.wait();
    if (place >= min(row_end, end)) continue;
    const int element = step.edges.element[neighbour];
    Channels others = {0, 0, 0, 0};
#pragma unroll 4
    for (int slice = 0; slice < slices; ++slice) others += load(gradient[slice * stride + e].u);
    const float *q = row_of(sums_bar, centre - step.range.begin, 4 * step.stride) +
                     element * step.radial.columns;
    const Channels own = sum_of_neighbours<kLanes>(edge_gradient<kLanes>(
        table.rows + interval * table.row_stride, table.row_stride, q, step.stride,
        threadIdx.x % kLanes, step.radial.columns, edge, step.radial.inverse_spacing));
    if (threadIdx.x % kLanes == 0)
      gradient[e] = finished(edge, (interval + edge.w) * spacing, others + own);
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

int most_centres_placed(const SplineTable<float> &radial, int elements) {
  return kSumsWarps *
         resident_blocks<place_and_sum_kernel>(kSumsThreads, sums_bytes(radial, elements));
}

void place_and_sum(Stream stream, const EdgePlacement<float> &placement, Range range,
                   const SplineTable<float> &radial, int elements, int stride, float *sums) {
  if (range.size == 0) return;
  const int bytes = sums_bytes(radial, elements);
  const int blocks = resident_blocks<place_and_sum_kernel>(kSumsThreads, bytes);
  place_and_sum_kernel<<<std::min(range.size, blocks), kSumsThreads, bytes, stream>>>(
      placement, range, radial, elements, stride, sums);
  check(cudaGetLastError());
}

void element_sums_adjoint(Stream stream, const Edges<float> &edges, Range range,
                          const SplineTable<float> &radial, int elements, int stride,
                          const float *sums_bar, float spacing, EdgeGradient<float> *gradient,
                          int slices, std::size_t gradient_stride) {
  if (range.size == 0) return;
  const int bytes = RadialTable::bytes(radial);
  const auto launch = [&](auto *kernel, int blocks) {
    const Shares shares = Shares::of(range.size, blocks, 3);
    kernel<<<shares.parts, kAdjointThreads, bytes, stream>>>(
        {edges, range, shares, radial, elements, stride}, sums_bar, spacing, gradient, slices,
        gradient_stride);
    check(cudaGetLastError());
  };
  // Where a block has one centre, its edges are too few for all threads.
  const int blocks = resident_blocks<element_sums_adjoint_kernel<8>>(kAdjointThreads, bytes);
  if (range.size <= blocks) return launch(element_sums_adjoint_kernel<8>, blocks);
  launch(element_sums_adjoint_kernel<1>,
         resident_blocks<element_sums_adjoint_kernel<1>>(kAdjointThreads, bytes));
}

}  // namespace mlff::cuda
