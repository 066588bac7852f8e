// Channels are cut into slices whose part of the filter table fits in the shared memory of a
// multiprocessor. A block holds one slice, and its warps take centres until none is left. A lane
// has four channels, so that a narrow slice leaves room for several edges side by side in a warp.
// Where all centres can have a block at the same time, latency is all that counts: each has one,
// which works on many of its edges at once and reads the table through the caches.
#include "message.h"

#include <cuda_pipeline.h>

#include <type_traits>

#include "algebra.h"
#include "channels.cuh"
#include "edge_batch.cuh"
#include "launch.cuh"

namespace mlff::cuda {
namespace {

using device::EdgeGradient;
using device::Edges;
using device::Range;
using device::SplineTable;

/// What all kernels read.
struct Step {
  Edges<float> edges;
  Range range;
  Shares shares;
  int C;
  SplineTable<float> table;
};

/// How the lanes of a warp share a slice of the channels, and edges.
template <int width, int unroll>
struct Lanes {
  static constexpr int kWidth = width;              ///< channels of a slice
  static constexpr int kLanes = width / 4;          ///< that an edge takes
  static constexpr int kGroups = kWarp / kLanes;    ///< edges side by side
  static constexpr int kUnroll = unroll;            ///< edges of a lane that are in flight
  static constexpr int kStride = kGroups * unroll;  ///< edges of a warp that are in flight

  __device__ static int slice() { return blockIdx.y; }
  /// Lanes of a group have the same edge.
  __device__ static int group() { return lane_of_thread() / kLanes; }
  /// The first of the lane's four.
  __device__ static int channel() { return slice() * width + lane_of_thread() % kLanes * 4; }
};

/// How a kernel is laid out whose warps have a centre each. shared: the slice of the table lies in
/// shared memory.
template <int width, bool shared, int threads, int edges, int unroll, int shift>
struct Layout : Lanes<width, unroll> {
  static constexpr bool kShared = shared;
  static constexpr int kThreads = threads;
  static constexpr int kShift = shift;  ///< centres of a chunk, as a power of two
  static constexpr int kBatch = edges;  ///< that are prepared together
  static_assert(edges % Layout::kStride == 0, "batches are worked off in full strides");

  /// Shared memory but for the table's slice, which follows it.
  struct Shared {
    EdgeBatch<edges> batch[threads / kWarp];
    int counter;
  };
  static int shared_bytes(const SplineTable<float> &table) {
    return sizeof(Shared) + (shared ? (table.intervals + 3) * 3 * width * sizeof(float) : 0);
  }
};

/// How a kernel is laid out whose blocks have a centre each: a group has an edge at a time.
template <int width>
struct CentreLayout : Lanes<width, 1> {
  static constexpr bool kShared = false;
  static constexpr int kEdges = 12;  ///< of a block that are in flight
  static constexpr int kThreads = kEdges * CentreLayout::kLanes;
  /// Of a multiprocessor. Leaves registers to ask for all of an edge's data at the same time.
  static constexpr int kBlocks = 384 / kThreads;
};

/// A block's slice of the table, as one lane sees it.
template <class Layout>
class FilterSlice {
 public:
  __device__ FilterSlice(const SplineTable<float> &table, int C, int slice, float4 *shared)
      : columns_(Layout::kShared ? Layout::kWidth : C) {
    constexpr int kLanes = Layout::kLanes;
    const float *from = table.coefficients + slice * Layout::kWidth;
    if constexpr (Layout::kShared) {
      for (int k = threadIdx.x; k < (table.intervals + 3) * 3 * kLanes; k += blockDim.x)
        __pipeline_memcpy_async(shared + k, from + k / kLanes * C + k % kLanes * 4, 16);
      __pipeline_commit();
      __pipeline_wait_prior(0);
      from = reinterpret_cast<const float *>(shared);
    }
    rows_ = from + lane_of_thread() % kLanes * 4;
  }
  __device__ __forceinline__ int row_stride() const { return 3 * columns_; }

  /// The filter of an edge whose first row begins at `row`.
  __device__ __forceinline__ Filter<Channels> value(int row, float4 weights) const {
    const auto block = [&](int at) {
      return weights.x * load(at, 0) + weights.y * load(at, 1) + weights.z * load(at, 2) +
             weights.w * load(at, 3);
    };
    return {block(row), block(row + columns_), block(row + 2 * columns_)};
  }
  /// The same from differences of the rows, which are contracted with the filter's adjoint y on the
  /// way: H[m] is the sum over the channels of y (C_(m+1) - C_m).
  __device__ __forceinline__ Filter<Channels> value(int row, float4 weights,
                                                    const Filter<Channels> &y,
                                                    float (&H)[3]) const {
    const auto block = [&](int at, const Channels &y) {
      const Channels c[4] = {load(at, 0), load(at, 1), load(at, 2), load(at, 3)};
      const Channels d[3] = {c[1] - c[0], c[2] - c[1], c[3] - c[2]};
      for (int m = 0; m < 3; ++m) add_product(H[m], y, d[m]);
      return c[1] - weights.x * d[0] + (weights.z + weights.w) * d[1] + weights.w * d[2];
    };
    return {block(row, y.a), block(row + columns_, y.b), block(row + 2 * columns_, y.c)};
  }

 private:
  __device__ __forceinline__ Channels load(int at, int m) const {
    const float *from = rows_ + at + m * row_stride();
    return Layout::kShared ? cuda::load(from) : gather(from);
  }

  const float *rows_;
  int columns_;
};

/// A centre of the range, and its edges.
struct Centre {
  int i, begin, end;
};

/// What the threads of a block work with.
template <class Layout>
struct Worker {
  const Step &step;
  typename Layout::Shared &shared;
  const FilterSlice<Layout> filter;
  const Centres centres;

  __device__ Worker(const Step &step, void *memory)
      : step(step),
        shared(*static_cast<typename Layout::Shared *>(memory)),
        filter(step.table, step.C, Layout::slice(), reinterpret_cast<float4 *>(&shared + 1)),
        centres(step.shares, blockIdx.x, &shared.counter) {
    __syncthreads();
  }

  /// The next centre. To be asked for one ahead, since the answer takes a while.
  __device__ __forceinline__ Centre next() const {
    const int i = centres.next();
    if (i < 0) return {-1, 0, 0};
    const int centre = step.range.begin + i;
    return {i, __ldg(step.edges.begin + centre), __ldg(step.edges.end + centre)};
  }

  /// Calls visit(batch, k, e, end) until all edges of a centre were visited: this group's are e,
  /// e + kGroups, ..., kUnroll of them, in the batch from k on. Those from `end` on are copies that
  /// weigh nothing.
  template <class Visit>
  __device__ __forceinline__ void visit_edges(const Centre &centre, const Visit &visit) const {
    auto &batch = shared.batch[warp_of_thread()];
    const int end = centre.end;
    for (int begin = centre.begin; begin < end; begin += Layout::kBatch) {
      const int count = min(Layout::kBatch, end - begin);
      batch.fill(step.edges, begin, count, filter.row_stride(), step.table.inverse_spacing);
      for (int k = 0; k < count; k += Layout::kStride)
        visit(batch, k + Layout::group(), begin + k + Layout::group(), end);
    }
  }
};

__device__ __forceinline__ Sender<Channels> gather_sender(int C, const float *x) {
  return {gather(x), gather(x + C), {gather(x + 2 * C), gather(x + 3 * C), gather(x + 4 * C)}};
}
__device__ __forceinline__ Features<Channels> load_features(int C, const float *h) {
  return {load(h), {load(h + C), load(h + 2 * C), load(h + 3 * C)}};
}
__device__ __forceinline__ Features<Channels> gather_features(int C, const float *h) {
  return {gather(h), {gather(h + C), gather(h + 2 * C), gather(h + 3 * C)}};
}

/// Calls visit(batch, k, e, end) as Worker::visit_edges does, for the edges of the block's centre.
/// The next edge is asked for one ahead.
template <class Layout, class Visit>
__device__ __forceinline__ void visit_edges_of_block(const Step &step, int centre, int row_stride,
                                                     const Visit &visit) {
  static_assert(Layout::kUnroll == 1, "a batch of one edge");
  const int begin = __ldg(step.edges.begin + centre), end = __ldg(step.edges.end + centre);
  const auto edge_of_group = [&](int first) {
    return SingleEdge(step.edges, first + Layout::group(), first, end, row_stride,
                      step.table.inverse_spacing);
  };
  int first = begin + warp_of_thread() * Layout::kGroups;
  SingleEdge edge = edge_of_group(first);
  for (; first < end; first += Layout::kEdges) {
    const SingleEdge next = edge_of_group(first + Layout::kEdges);
    visit(edge, 0, first + Layout::group(), end);
    edge = next;
  }
}

/// Adds up what the groups of a block have of its centre's rows of channels, in the groups' order.
template <class Layout, int kRows>
class GroupSums {
 public:
  __device__ __forceinline__ void put(int row, const Channels &a) {
    store(parts_[threadIdx.x / Layout::kLanes][row] + lane(), a);
  }
  /// Of the thread's sum. There are more threads than rows need.
  __device__ __forceinline__ static int row() { return threadIdx.x / Layout::kLanes; }
  __device__ __forceinline__ static bool has_row() { return row() < kRows; }
  /// To be called after __syncthreads().
  __device__ __forceinline__ Channels sum() const {
    Channels total = {};
#pragma unroll
    for (const auto &part : parts_) total += load(part[row()] + lane());
    return total;
  }

 private:
  __device__ __forceinline__ static int lane() { return threadIdx.x % Layout::kLanes * 4; }

  alignas(16) float parts_[Layout::kEdges][kRows][Layout::kWidth];
};

/// Sums the messages of a centre's edges.
template <class Layout>
struct MessageVisit {
  const FilterSlice<Layout> &filter;
  const float *senders;  ///< from the lane's channel on
  int C;
  Features<Channels> &sum;

  template <class Batch>
  __device__ __forceinline__ void operator()(const Batch &batch, int k, int, int) const {
    Sender<Channels> x[Layout::kUnroll];
#pragma unroll
    for (int s = 0; s < Layout::kUnroll; ++s)
      x[s] = gather_sender(C, row_of(senders, batch.neighbour(k + s * Layout::kGroups), 5 * C));
#pragma unroll
    for (int s = 0; s < Layout::kUnroll; ++s) {
      const int at = k + s * Layout::kGroups;
      const float4 edge = batch.u_of(at);
      const float u[3] = {edge.x, edge.y, edge.z};
      mlff::message(filter.value(batch.row(at), batch.weights_of(at)), u, x[s], sum);
    }
  }
};

template <class Layout>
__global__ void __launch_bounds__(Layout::kThreads, 1)
    message_kernel(const Step step, const float *senders, const float *state, float *features) {
  extern __shared__ float4 memory[];
  const Worker<Layout> worker(step, memory);
  const int C = step.C;
  senders += Layout::channel();
  for (Centre centre = worker.next(), next; centre.i >= 0; centre = next) {
    next = worker.next();
    const int row = step.range.begin + centre.i;
    Features<Channels> sum = {};
    if (Layout::group() == 0) sum = load_features(C, row_of(state, row, 4 * C) + Layout::channel());
    worker.visit_edges(centre, MessageVisit<Layout>{worker.filter, senders, C, sum});
    sum_groups<Layout::kLanes>(sum.s);
    for (int c = 0; c < 3; ++c) sum_groups<Layout::kLanes>(sum.v[c]);
    if (Layout::group() == 0) {
      float *to = row_of(features, centre.i, 4 * C) + Layout::channel();
      store(to, sum.s);
      for (int c = 0; c < 3; ++c) store(to + (1 + c) * C, sum.v[c]);
    }
  }
}

/// message_kernel for a CentreLayout.
template <class Layout>
__global__ void __launch_bounds__(Layout::kThreads, Layout::kBlocks)
    message_centre_kernel(const Step step, const float *senders, const float *state,
                          float *features) {
  __shared__ GroupSums<Layout, 4> sums;
  const FilterSlice<Layout> filter(step.table, step.C, Layout::slice(), nullptr);
  const int C = step.C, i = blockIdx.x, centre = step.range.begin + i;
  const int at = sums.row() * C + Layout::channel();
  const Channels before = sums.has_row() ? load(row_of(state, centre, 4 * C) + at) : Channels{};
  Features<Channels> sum = {};
  visit_edges_of_block<Layout>(step, centre, filter.row_stride(),
                               MessageVisit<Layout>{filter, senders + Layout::channel(), C, sum});
  sums.put(0, sum.s);
  for (int c = 0; c < 3; ++c) sums.put(1 + c, sum.v[c]);
  __syncthreads();
  if (sums.has_row()) store(row_of(features, i, 4 * C) + at, before + sums.sum());
}

/// The adjoint of edge k of a batch: adds to the sender's and sets what the lane's channels
/// contribute to the four parts of the edge's gradient.
template <class Layout, class Batch>
__device__ __forceinline__ void edge_adjoint(const FilterSlice<Layout> &filter, const Batch &batch,
                                             int k, const Sender<Channels> &x,
                                             const Features<Channels> &h, Sender<Channels> &x_bar,
                                             float *parts) {
  const float4 edge = batch.u_of(k);
  const auto slope = batch.slopes_of(k);
  // The message went to the neighbour, from where this atom is seen along -u.
  const float u[3] = {-edge.x, -edge.y, -edge.z};
  float H[3] = {}, u_bar[3] = {};
  const Filter<Channels> w =
      filter.value(batch.row(k), batch.weights_of(k), filter_adjoint(u, x, h), H);
  message_adjoint(w, u, x, h, x_bar, u_bar);
  for (int c = 0; c < 3; ++c) parts[c] = -u_bar[c];
  parts[3] = slope.x * H[0] + slope.y * H[1] + slope.z * H[2];
}

/// The one part of the gradients of kUnroll edges, e and its followers, that a lane writes.
template <class Layout>
struct GradientPart {
  int part, edge;

  __device__ __forceinline__ explicit GradientPart(int e)
      : part(lane_of_thread() % Layout::kLanes), edge(e + part / 4 * Layout::kGroups) {}
  __device__ __forceinline__ bool exists(int end) const {
    return part < 4 * Layout::kUnroll && edge < end;
  }
  __device__ __forceinline__ float *in(EdgeGradient<float> *gradient) const {
    return reinterpret_cast<float *>(gradient + edge) + part % 4;
  }
};

/// Sums the sender's adjoints of a centre's edges, and writes the edges' gradients. early: asks for
/// what they are added to before all else, where nothing else hides how long that takes.
template <class Layout, bool early>
struct AdjointVisit {
  const FilterSlice<Layout> &filter;
  const float *features_bar;  ///< from the lane's channel on
  int C;
  EdgeGradient<float> *gradient;  ///< of the slice
  bool add;
  const Sender<Channels> &x;
  Sender<Channels> &x_bar;

  template <class Batch>
  __device__ __forceinline__ void operator()(const Batch &batch, int k, int e, int end) const {
    float before = 0;
    if (early && add && GradientPart<Layout>(e).exists(end))
      before = *GradientPart<Layout>(e).in(gradient);
    Features<Channels> h[Layout::kUnroll];
#pragma unroll
    for (int s = 0; s < Layout::kUnroll; ++s)
      h[s] =
          gather_features(C, row_of(features_bar, batch.neighbour(k + s * Layout::kGroups), 4 * C));
    // A filter from differences is not zero where the weights are: the adjoint has to be.
    if (e - Layout::group() + Layout::kStride > end) {
#pragma unroll
      for (int s = 0; s < Layout::kUnroll; ++s)
        if (e + s * Layout::kGroups >= end) h[s] = {};
    }
    float parts[4 * Layout::kUnroll];
#pragma unroll
    for (int s = 0; s < Layout::kUnroll; ++s)
      edge_adjoint(filter, batch, k + s * Layout::kGroups, x, h[s], x_bar, parts + 4 * s);
    const float total = sum_within_group<Layout::kLanes>(parts);
    const GradientPart<Layout> of_lane(e);
    if (!of_lane.exists(end)) return;
    float *to = of_lane.in(gradient);
    *to = add ? (early ? before : *to) + total : total;
  }
};

template <class Layout>
__global__ void __launch_bounds__(Layout::kThreads, 1)
    message_adjoint_kernel(const Step step, const float *senders, const float *features_bar,
                           float *sender_bar, EdgeGradient<float> *gradient, size_t stride,
                           bool add) {
  extern __shared__ float4 memory[];
  const Worker<Layout> worker(step, memory);
  const int C = step.C;
  features_bar += Layout::channel();
  for (Centre centre = worker.next(), next; centre.i >= 0; centre = next) {
    next = worker.next();
    const int row = step.range.begin + centre.i;
    const Sender<Channels> x = gather_sender(C, row_of(senders, row, 5 * C) + Layout::channel());
    Sender<Channels> x_bar = {};
    worker.visit_edges(
        centre, AdjointVisit<Layout, false>{worker.filter, features_bar, C,
                                            gradient + Layout::slice() * stride, add, x, x_bar});
    sum_groups<Layout::kLanes>(x_bar.a);
    sum_groups<Layout::kLanes>(x_bar.b);
    for (int c = 0; c < 3; ++c) sum_groups<Layout::kLanes>(x_bar.p[c]);
    if (Layout::group() == 0) {
      float *to = row_of(sender_bar, centre.i, 5 * C) + Layout::channel();
      store(to, x_bar.a);
      store(to + C, x_bar.b);
      for (int c = 0; c < 3; ++c) store(to + (2 + c) * C, x_bar.p[c]);
    }
  }
}

/// message_adjoint_kernel for a CentreLayout.
template <class Layout>
__global__ void __launch_bounds__(Layout::kThreads, Layout::kBlocks)
    message_adjoint_centre_kernel(const Step step, const float *senders, const float *features_bar,
                                  float *sender_bar, EdgeGradient<float> *gradient, size_t stride,
                                  bool add) {
  __shared__ GroupSums<Layout, 5> sums;
  const FilterSlice<Layout> filter(step.table, step.C, Layout::slice(), nullptr);
  const int C = step.C, i = blockIdx.x, centre = step.range.begin + i;
  const Sender<Channels> x = gather_sender(C, row_of(senders, centre, 5 * C) + Layout::channel());
  Sender<Channels> x_bar = {};
  visit_edges_of_block<Layout>(
      step, centre, filter.row_stride(),
      AdjointVisit<Layout, true>{filter, features_bar + Layout::channel(), C,
                                 gradient + Layout::slice() * stride, add, x, x_bar});
  sums.put(0, x_bar.a);
  sums.put(1, x_bar.b);
  for (int c = 0; c < 3; ++c) sums.put(2 + c, x_bar.p[c]);
  __syncthreads();
  if (sums.has_row())
    store(row_of(sender_bar, i, 5 * C) + sums.row() * C + Layout::channel(), sums.sum());
}

/// Channels of a slice, and whether the slice's table fits in shared memory.
struct Slicing {
  int width;
  bool shared;
};

template <int width, bool shared>
using MessageLayout = Layout<width, shared, shared ? 704 : 128, 32, shared ? 1 : 2, 3>;
template <int width, bool shared>
using AdjointLayout = Layout<width, shared, shared ? 512 : 128, 32, 2, 1>;

/// The widest slices that divide C and fit; if none fits, the widest that divide it.
Slicing slicing(const SplineTable<float> &table, int C) {
  const auto fits = [&](auto width) {
    const int bytes = std::max(MessageLayout<width, true>::shared_bytes(table),
                               AdjointLayout<width, true>::shared_bytes(table));
    return C % width == 0 && bytes <= multiprocessors().shared_bytes;
  };
  if (fits(std::integral_constant<int, 128>())) return {128, true};
  if (fits(std::integral_constant<int, 64>())) return {64, true};
  if (fits(std::integral_constant<int, 32>())) return {32, true};
  return {C % 128 == 0 ? 128 : C % 64 == 0 ? 64 : 32, false};
}

/// Calls launch(width) with it as a type.
template <class Launch>
void with_width(int width, const Launch &launch) {
  if (width == 128) launch(std::integral_constant<int, 128>());
  if (width == 64) launch(std::integral_constant<int, 64>());
  if (width == 32) launch(std::integral_constant<int, 32>());
}

/// Calls launch(width, shared) with both as types. For few centres it is not worth while to copy
/// the table.
template <class Launch>
void with_slicing(const Slicing &slicing, int C, int centres, const Launch &launch) {
  constexpr int kFew = 10;  // centres to a multiprocessor, where both take the same time
  const bool few = centres * (C / slicing.width) < kFew * multiprocessors().count;
  with_width(slicing.width, [&](auto width) {
    if (slicing.shared && !few)
      launch(width, std::true_type());
    else
      launch(width, std::false_type());
  });
}

template <class Layout, auto kernel, class... Arguments>
void launch(Stream stream, Step step, Arguments... arguments) {
  const int bytes = Layout::shared_bytes(step.table);
  const int blocks = resident_blocks<kernel>(Layout::kThreads, bytes);
  const int slices = step.C / Layout::kWidth;
  step.shares = Shares::of(step.range.size, blocks / slices, Layout::kShift);
  kernel<<<dim3(step.shares.parts, slices), step.shares.threads(Layout::kThreads), bytes, stream>>>(
      step, arguments...);
  check(cudaGetLastError());
}

/// Whether all centres can have a block each at the same time.
template <class Layout>
bool blocks_suffice(int centres, int C) {
  return centres * (C / Layout::kWidth) <= Layout::kBlocks * multiprocessors().count;
}

template <class Layout, auto kernel, class... Arguments>
void launch_centres(Stream stream, const Step &step, Arguments... arguments) {
  kernel<<<dim3(step.range.size, step.C / Layout::kWidth), Layout::kThreads, 0, stream>>>(
      step, arguments...);
  check(cudaGetLastError());
}

}  // namespace

int message_slices(const SplineTable<float> &table, int C) { return C / slicing(table, C).width; }

void message(Stream stream, const Edges<float> &edges, Range range, int C,
             const SplineTable<float> &table, const float *senders, const float *state,
             float *features) {
  if (range.size == 0) return;
  const Step step = {edges, range, {}, C, table};
  using Centred = CentreLayout<32>;  // narrow, so that more multiprocessors read
  if (blocks_suffice<Centred>(range.size, C))
    return launch_centres<Centred, message_centre_kernel<Centred>>(stream, step, senders, state,
                                                                   features);
  with_slicing(slicing(table, C), C, range.size, [&](auto width, auto shared) {
    using Layout = MessageLayout<width, shared>;
    launch<Layout, message_kernel<Layout>>(stream, step, senders, state, features);
  });
}

void message_adjoint(Stream stream, const Edges<float> &edges, Range range, int C,
                     const SplineTable<float> &table, const float *senders,
                     const float *features_bar, float *sender_bar, EdgeGradient<float> *gradient,
                     std::size_t gradient_stride, bool add) {
  if (range.size == 0) return;
  const Step step = {edges, range, {}, C, table};
  const auto with_layout = [&](auto width, auto shared) {
    using Layout = AdjointLayout<width, shared>;
    launch<Layout, message_adjoint_kernel<Layout>>(stream, step, senders, features_bar, sender_bar,
                                                   gradient, gradient_stride, add);
  };
  const Slicing slices = slicing(table, C);  // of the gradients, too
  with_width(slices.width, [&](auto width) {
    using Centred = CentreLayout<width>;
    if (blocks_suffice<Centred>(range.size, C))
      launch_centres<Centred, message_adjoint_centre_kernel<Centred>>(
          stream, step, senders, features_bar, sender_bar, gradient, gradient_stride, add);
    else
      with_slicing(slices, C, range.size, with_layout);
  });
}

}  // namespace mlff::cuda
