// Dense layers of a tile of 16 rows, divided among the blocks of a cluster: few atoms give each
// multiprocessor little to compute, and they wait for weights instead. A block has some strips of
// 16 output columns, and its warps divide these and the inputs, so that each thread reads but a few
// weights, all of them before it needs the first. As accurate as split_gemm.cuh.
#pragma once

#include "split_gemm.cuh"

namespace mlff::cuda {

/// Instructions of processors with clusters; no others call them. Addresses are of shared memory.
#if __CUDA_ARCH__ >= 900
__device__ inline int block_of_cluster() {
  int x;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(x));
  return x;
}
__device__ inline int blocks_of_cluster() {
  int x;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(x));
  return x;
}
__device__ inline void make_barrier(unsigned barrier) {
  asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(barrier) : "memory");
}
/// Barriers that all blocks made before they arrived are known to all that have met.
__device__ inline void arrive_in_cluster() {
  asm volatile(
      "fence.mbarrier_init.release.cluster;"
      "barrier.cluster.arrive.relaxed.aligned;" ::
          : "memory");
}
__device__ inline void meet_cluster() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// What another block has at the address at which this one has something.
__device__ inline unsigned address_in_block(unsigned address, int block) {
  unsigned there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(block));
  return there;
}
/// Stores in another block, whose barrier counts the bytes that have arrived.
__device__ inline void send(unsigned to, const Channels &x, unsigned barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(to),
      "f"(x.x), "f"(x.y), "f"(x.z), "f"(x.w), "r"(barrier)
      : "memory");
}
__device__ inline void expect(unsigned barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ inline void wait_for(unsigned barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred arrived;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared.b64 arrived, [%0], %1;\n"
      "@!arrived bra again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
#else
__device__ inline int block_of_cluster() { return 0; }
__device__ inline int blocks_of_cluster() { return 1; }
__device__ inline void make_barrier(unsigned) {}
__device__ inline void arrive_in_cluster() {}
__device__ inline void meet_cluster() {}
__device__ inline unsigned address_in_block(unsigned address, int) { return address; }
__device__ inline void send(unsigned, const Channels &, unsigned) {}
__device__ inline void expect(unsigned, int) {}
__device__ inline void wait_for(unsigned, int) {}
#endif

__device__ inline unsigned shared_address(const void *p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

/// Who works on a tile of 16 rows: the blocks of a cluster. Strips of 16 columns, of inputs as of
/// outputs, are dealt to them in turn; within a block, a thread always has the same rows and
/// columns. It sends what it makes to all blocks, as FP32 numbers. They wait for an operand when a
/// product needs it, and for nothing else: that they have it tells them that all are done with
/// what came before it, so that no operand may lie where the one before it does.
///
/// kGroups: of a block's warps. Each works on a strip of its own, and its warps divide the inputs.
template <int kGroups>
struct Cluster {
  static constexpr int kRows = 16, kMostBlocks = 8;
  static constexpr bool kManyTiles = false;
  static constexpr int kWarpsOfGroup = kTileWarps / kGroups;
  static constexpr int kMostParts = 6;  ///< axes times blocks of columns of a product
  static constexpr int kPartialSums = kTileWarps * kMostParts * 16 * 16;

  int atoms;            ///< rows of an axis that exist; nothing is done for the others
  float *partial_sums;  ///< [warps][kMostParts][16][16]
  /// Two, in turn, as a block may be an operand ahead of another; then four numbers of no use.
  unsigned barriers;
  int block = block_of_cluster(), blocks = blocks_of_cluster();
  mutable int awaited = 0, more = 0;
  mutable bool met = false;

  static constexpr int bytes() { return kPartialSums * sizeof(float) + 32; }

  __device__ Cluster(float *scratch, int atoms)
      : atoms(atoms), partial_sums(scratch), barriers(shared_address(scratch + kPartialSums)) {
    if (threadIdx.x == 0)
      for (int i = 0; i < 2; ++i) make_barrier(barriers + 8 * i);
    __syncwarp();
    arrive_in_cluster();
  }
  /// Before anything is sent; other blocks may not have begun.
  __device__ void meet() const {
    if (!met) meet_cluster();
    met = true;
  }
  static __device__ int tile() { return blockIdx.x / blocks_of_cluster(); }
  static __device__ int tiles() { return gridDim.x / blocks_of_cluster(); }
  /// The last warps first, which have the least to do.
  __device__ int warp() const { return (kTileWarps - 1 - thread_index() / 32) * blocks + block; }
  __device__ int warps() const { return kTileWarps * blocks; }
  __device__ void wait() const {}
  __device__ void also(int columns) const { more = columns; }
  __device__ unsigned barrier() const { return barriers + awaited % 2 * 8; }

  /// Waits for the next operand, x, with its axes one below the other.
  __device__ void await(const Operand &x, int axes) const {
    const int idle = max(0, blocks - x.width / 16);
    if (threadIdx.x == 0)
      expect(barrier(), (atoms * (axes * x.width + more) + 4 * idle) * sizeof(float));
    wait_for(barrier(), awaited / 2 % 2);
    __syncthreads();  // no warp is an operand behind, nor still reads partial sums
    ++awaited;
    more = 0;
  }

  /// Tells the others that this block makes nothing of the next operand, but has come so far.
  __device__ void make_nothing() const {
    if (threadIdx.x == 0) send_to_all(barriers + 16, {});
  }
  __device__ void send_to_all(unsigned address, const Channels &x) const {
#pragma unroll 1
    for (int to = 0; to < blocks; ++to)
      send(address_in_block(address, to), x, address_in_block(barrier(), to));
  }

  static __device__ int group() { return kGroups > 1 ? thread_index() / (32 * kWarpsOfGroup) : 0; }
  static __device__ int warp_of_group() { return thread_index() / 32 % kWarpsOfGroup; }
  /// The strip of the thread's group, where `strip` is the first group's; may be behind the last.
  __device__ int strip_of_group(int strip) const { return strip + group() * blocks; }

  /// Body(row, column, i) for every four columns i of a strip of each group; the first has `strip`.
  template <class Body>
  __device__ void each_four_of_strip(int strip, int strips, Body body) const {
    strip = strip_of_group(strip);
    const int i = kGroups > 1 ? thread_index() % (32 * kWarpsOfGroup) : thread_index();
    if (i < 4 * atoms && (kGroups == 1 || strip < strips)) body(i / 4, 16 * strip + i % 4 * 4, i);
  }
  /// What the thread will need for its four columns of a strip.
  template <class Read>
  __device__ auto read_ahead(int strip, int strips, Read read) const {
    decltype(read(0, 0)) ahead = {};
    each_four_of_strip(strip, strips, [&](int row, int column, int) { ahead = read(row, column); });
    return ahead;
  }
};

template <int kGroups, class Read, class Body>
__device__ inline void each_four(const Cluster<kGroups> &cluster, int columns, Read read,
                                 Body body) {
  const int strips = columns / 16;
  auto ahead = cluster.read_ahead(min(cluster.block, strips - 1), strips, read);
  cluster.meet();
  if (cluster.block >= strips) cluster.make_nothing();
#pragma unroll 1
  for (int strip = cluster.block; strip < strips; strip += kGroups * cluster.blocks) {
    if (strip != cluster.block) ahead = cluster.read_ahead(strip, strips, read);
    cluster.each_four_of_strip(strip, strips,
                               [&](int row, int column, int) { body(row, column, ahead); });
  }
}

template <int kGroups>
__device__ inline void put(const Cluster<kGroups> &cluster, const Operand &x, int row, int column,
                           const Channels &y) {
  cluster.send_to_all(shared_address(x.at(row, column)), y);
}

template <int kGroups>
__device__ inline void await(const Cluster<kGroups> &cluster, const Operand &x) {
  cluster.await(x, 1);
}

/// A fragment of 16 rows and 16 columns, split, and what its two rows were scaled by.
struct ScaledFragment {
  Fragment high, low;
  float inverse_scale[2];

  __device__ explicit ScaledFragment(const float2 (&x)[4]) {
    for (int half = 0; half < 2; ++half) {
      const float2 a = x[half], b = x[half + 2];
      float largest = fmaxf(fmaxf(fabsf(a.x), fabsf(a.y)), fmaxf(fabsf(b.x), fabsf(b.y)));
      for (int step = 1; step < 4; step *= 2)
        largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, step));
      const int exponent = scale_exponent(__float_as_uint(largest));
      const float scale = power_of_two(exponent);
      inverse_scale[half] = power_of_two(-exponent);
      uint2 h, l;
      split(Channels{a.x, a.y, b.x, b.y} * scale, h, l);
      high.x[half] = h.x, high.x[half + 2] = h.y;
      low.x[half] = l.x, low.x[half + 2] = l.y;
    }
  }
};

/// A warp's part of a product: every kStride-th step of 16 inputs, for 16 columns of each of
/// `Blocks` blocks.
template <int Axes, int Blocks, int kStride>
struct PartOfInputs {
  static constexpr int kAhead = Blocks == 1 ? 4 : 2;

  const uint4 *weights;  ///< of the first step, for this lane
  int block_stride, first, steps;
  uint4 b[kAhead][2 * Blocks];
  float sum[Axes][2 * Blocks][4];
  Channels bias[Blocks];  ///< of the columns that the thread finishes

  /// Reads the first weights, and the bias.
  __device__ PartOfInputs(const SplitLayer &layer, int strip, int strips, int first, int steps)
      : weights(reinterpret_cast<const uint4 *>(layer.fragments) + strip * steps * 64 +
                thread_index() % 32),
        block_stride(strips * steps * 64),
        first(first),
        steps(steps) {
    const int channel = 16 * strip + thread_index() % 4 * 4;
#pragma unroll
    for (int n = 0; n < Blocks; ++n)
      bias[n] = layer.bias ? load(layer.bias + n * 16 * strips + channel) : Channels{};
#pragma unroll
    for (int s = 0; s < kAhead; ++s) read_ahead(first + s * kStride, b[s]);
  }

  __device__ void compute(const Operand &x) {
#pragma unroll
    for (int i = 0; i < Axes * 2 * Blocks * 4; ++i)
      sum[i / (8 * Blocks)][i / 4 % (2 * Blocks)][i % 4] = 0;
#pragma unroll 1
    for (int k = first; k < steps; k += kAhead * kStride) {
#pragma unroll
      for (int s = 0; s < kAhead; ++s) {
        if (k + s * kStride >= steps) break;
        step(x, k + s * kStride, b[s]);
        read_ahead(k + (s + kAhead) * kStride, b[s]);
      }
    }
  }

  /// Sums for a lane's four neighbouring columns of its row t of two.
  __device__ Channels four(int axis, int block, int t) const {
    const auto &tile = sum[axis];
    return {tile[2 * block][2 * t], tile[2 * block][2 * t + 1], tile[2 * block + 1][2 * t],
            tile[2 * block + 1][2 * t + 1]};
  }

 private:
  /// Volatile, or else the compiler would read the weights of several products ahead.
  __device__ void read_ahead(int step, uint4 (&b)[2 * Blocks]) {
    if (step >= steps) return;
#pragma unroll
    for (int n = 0; n < 2 * Blocks; ++n)
      asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(b[n].x), "=r"(b[n].y), "=r"(b[n].z), "=r"(b[n].w)
                   : "l"(weights + n / 2 * block_stride + step * 64 + n % 2 * 32));
  }

  __device__ void step(const Operand &x, int k, const uint4 (&b)[2 * Blocks]) {
    const int lane = thread_index() % 32;
    const float *first = x.at(lane / 4, 16 * k + lane % 4 / 2 * 4) + lane % 2 * 2;
    const float *second = x.at(lane / 4, 16 * k + lane % 4 / 2 * 4 + 8) + lane % 2 * 2;
    float2 a[Axes][4];
#pragma unroll
    for (int i = 0; i < Axes * 4; ++i)
      a[i / 4][i % 4] = *reinterpret_cast<const float2 *>((i % 4 < 2 ? first : second) +
                                                          (i / 4 * 16 + i % 2 * 8) * x.width);
    Fragment high[Axes], low[Axes];
    float inverse_scale[Axes][2];
#pragma unroll
    for (int i = 0; i < Axes; ++i) {
      const ScaledFragment fragment(a[i]);
      high[i] = fragment.high, low[i] = fragment.low;
      for (int t = 0; t < 2; ++t) inverse_scale[i][t] = fragment.inverse_scale[t];
    }
    float part[Axes][2 * Blocks][4];
    multiply_split(part, high, low, b);
#pragma unroll
    for (int i = 0; i < Axes * 2 * Blocks * 4; ++i) {
      const int axis = i / (8 * Blocks), n = i / 4 % (2 * Blocks);
      sum[axis][n][i % 4] += part[axis][n][i % 4] * inverse_scale[axis][i % 4 / 2];
    }
  }
};

/// As for a block, but x is kept. `Tiles` is 1. makes_operand: finish puts the next operand.
template <int Axes, int Tiles, int Blocks, int kGroups, class Read, class Finish>
__device__ inline void product(const Cluster<kGroups> &cluster, const SplitLayer &layer,
                               int channels, const Operand &x, Read read, Finish finish,
                               bool makes_operand = true) {
  constexpr int kParts = Cluster<kGroups>::kWarpsOfGroup;
  using Part = PartOfInputs<Axes, Blocks, kParts>;
  static_assert(Tiles == 1 && Axes * Blocks <= Cluster<kGroups>::kMostParts);
  const int steps = x.width / 16, strips = channels / 16, parts = min(steps, kParts);
  const auto sums = [&](int warp, int axis, int block) {
    return cluster.partial_sums + ((warp * Axes + axis) * Blocks + block) * 256;
  };
  const auto part_of_strip = [&](int strip) {
    strip = min(cluster.strip_of_group(strip), strips - 1);
    return Part(layer, strip, strips, cluster.warp_of_group(), steps);
  };
  Part part = part_of_strip(cluster.block);
  auto ahead = cluster.read_ahead(min(cluster.block, strips - 1), strips, read);
  cluster.await(x, Axes);
  if (makes_operand && cluster.block >= strips) cluster.make_nothing();
#pragma unroll 1
  for (int strip = cluster.block; strip < strips; strip += kGroups * cluster.blocks) {
    if (strip != cluster.block) {
      part = part_of_strip(strip);
      ahead = cluster.read_ahead(strip, strips, read);
      __syncthreads();
    }
    part.compute(x);
    const int thread = thread_index();
#pragma unroll
    for (int i = 0; i < Axes * Blocks * 2; ++i)
      store(sums(thread / 32, i / (2 * Blocks), i / 2 % Blocks) + (i % 2 * 32 + thread % 32) * 4,
            part.four(i / (2 * Blocks), i / 2 % Blocks, i % 2));
    __syncthreads();
    cluster.each_four_of_strip(strip, strips, [&](int row, int channel, int i) {
      const int first = cluster.group() * kParts;
      Channels y[Axes][Blocks] = {};
#pragma unroll
      for (int p = 0; p < kParts; ++p)
#pragma unroll
        for (int n = 0; n < Axes * Blocks && p < parts; ++n)
          y[n / Blocks][n % Blocks] += load(sums(first + p, n / Blocks, n % Blocks) + 4 * i);
#pragma unroll
      for (int n = 0; n < Axes * Blocks; ++n) {
        Channels &sum = y[n / Blocks][n % Blocks];
        sum = sum * layer.inverse_scale + part.bias[n % Blocks];
      }
      finish(row, channel, y, ahead);
    });
  }
}

}  // namespace mlff::cuda
