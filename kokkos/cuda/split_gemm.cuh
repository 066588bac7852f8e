// Dense layers of a tile of rows on the tensor cores, as accurate as FP32 arithmetic: operands are
// split into a high and a low half-precision part, and hi hi + hi lo + lo hi is summed in FP32.
// Powers of two, one for a row of activations and one for a layer's weights, bring the largest
// magnitude to 2^13: nothing overflows, and no low part that matters is subnormal.
//
// Activations lie in shared memory. Weights lie in fragment order in global memory, where each
// warp reads those of its own output columns: they pass through no shared memory.
#pragma once

#include <cuda_fp16.h>

#include "warp.cuh"
#include "painn_tiles.h"

namespace mlff::cuda {

/// Warps and threads of a block that works on a tile.
constexpr int kTileWarps = 8, kTileThreads = kTileWarps * kWarp;

/// Rows of activations in shared memory, aligned to 128 bytes. They are made in FP32 and then split
/// in place: eight numbers become eight high and eight low parts, 16 bytes each. The 16-byte
/// chunks of a row are permuted so that neither the fragments' reads nor their writes have bank
/// conflicts.
struct Operand {
  float *data;
  float *inverse_scale;  ///< [rows] set by split_row
  int width;             ///< a multiple of 32

  static __device__ int swizzle(int row) { return (row & 1) << 2 | (row & 2) | (row >> 2 & 1); }

  /// Where the FP32 numbers (row, column) to column + 3 are; column: a multiple of 4.
  __device__ float *at(int row, int column) const {
    return data + row * width + ((column >> 2 ^ swizzle(row)) << 2);
  }
};

/// The thread's index, from which all addresses follow. Asked for anew in every phase, or else the
/// compiler computes addresses phases ahead, and products are short of registers.
__device__ inline int thread_index() {
  int thread = threadIdx.x;
  asm volatile("" : "+r"(thread));
  return thread;
}

/// The exponent of the power of two that scales a row, given the bits of its largest magnitude.
/// Rows with a number that is not finite are left as they are.
__device__ inline int scale_exponent(unsigned largest) {
  const int biased = largest >> 23;
  return biased == 255 ? 0 : min(127 + 13 - biased, 126);
}

__device__ inline float power_of_two(int exponent) {
  return __int_as_float((127 + exponent) << 23);
}

__device__ inline unsigned bits(half2 x) { return reinterpret_cast<const unsigned &>(x); }

/// Splits four scaled numbers.
__device__ inline void split(const Channels &x, uint2 &high, uint2 &low) {
  const half2 h[2] = {__floats2half2_rn(x.x, x.y), __floats2half2_rn(x.z, x.w)};
  const float2 a = __half22float2(h[0]), b = __half22float2(h[1]);
  high = {bits(h[0]), bits(h[1])};
  low = {bits(__floats2half2_rn(x.x - a.x, x.y - a.y)),
         bits(__floats2half2_rn(x.z - b.x, x.w - b.y))};
}

/// A fragment of activations: 16 rows and 16 columns, spread over a warp.
struct Fragment {
  unsigned x[4];
};

/// Instructions of processors since Ampere. painn_tiles_fit() keeps others away from here.
#if __CUDA_ARCH__ >= 800
__device__ inline unsigned largest_of_warp(unsigned x) { return __reduce_max_sync(kAllLanes, x); }

__device__ inline Fragment load_fragment(unsigned shared_address) {
  Fragment a;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(a.x[0]), "=r"(a.x[1]), "=r"(a.x[2]), "=r"(a.x[3])
               : "r"(shared_address)
               : "memory");
  return a;
}

/// sum += a b for 16 rows and 8 columns, over 16 inputs.
__device__ inline void multiply_add(float (&sum)[4], const Fragment &a, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b0), "r"(b1));
}

/// sum = a b.
__device__ inline void multiply(float (&sum)[4], const Fragment &a, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
      : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
      : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b0), "r"(b1), "f"(0.0f));
}
#else
__device__ inline unsigned largest_of_warp(unsigned x) {
  __trap();
  return x;
}
__device__ inline Fragment load_fragment(unsigned) { return {}; }
__device__ inline void multiply_add(float (&)[4], const Fragment &, unsigned, unsigned) {}
__device__ inline void multiply(float (&)[4], const Fragment &, unsigned, unsigned) {}
#endif

/// Scales and splits a row that this warp has made.
__device__ inline void split_row(const Operand &x, int row) {
  const int lane = threadIdx.x % 32;
  unsigned largest = 0;
#pragma unroll 1
  for (int column = 4 * lane; column < x.width; column += 128) {
    const Channels y = load(x.at(row, column));
    for (const float a : {y.x, y.y, y.z, y.w})
      largest = max(largest, __float_as_uint(a) & 0x7fffffff);
  }
  const int exponent = scale_exponent(largest_of_warp(largest));
  const float scale = power_of_two(exponent);
  if (lane == 0) x.inverse_scale[row] = power_of_two(-exponent);
#pragma unroll 1
  for (int begin = 0; begin < x.width; begin += 128) {
    const int column = begin + 4 * lane;
    uint2 high, low;
    if (column < x.width) split(load(x.at(row, column)) * scale, high, low);
    __syncwarp();
    if (column < x.width) {
      *reinterpret_cast<uint2 *>(x.at(row, column & ~7) + (column & 4) / 2) = high;
      *reinterpret_cast<uint2 *>(x.at(row, column | 4) + (column & 4) / 2) = low;
    }
  }
}

/// Splits the rows of a tile once all warps have made them, and has all warps wait for the result.
__device__ inline void split_rows(const Operand &x, int rows) {
  __syncthreads();
#pragma unroll 1
  for (int row = thread_index() / 32; row < rows; row += kTileWarps) split_row(x, row);
  __syncthreads();
}

/// sum = a b over a step of 16 inputs, for fragments of rows and columns that are split. Tensor
/// cores truncate what they add: a step's products are summed there from zero, smallest first, and
/// are to be rounded to nearest where they join the others.
template <int Rows, int Columns>
__device__ inline void multiply_split(float (&sum)[Rows][Columns][4], const Fragment (&high)[Rows],
                                      const Fragment (&low)[Rows], const uint4 *b) {
#pragma unroll
  for (int i = 0; i < Rows * Columns; ++i)
    multiply(sum[i / Columns][i % Columns], low[i / Columns], b[i % Columns].x, b[i % Columns].y);
#pragma unroll
  for (int i = 0; i < Rows * Columns; ++i)
    multiply_add(sum[i / Columns][i % Columns], high[i / Columns], b[i % Columns].z,
                 b[i % Columns].w);
#pragma unroll
  for (int i = 0; i < Rows * Columns; ++i)
    multiply_add(sum[i / Columns][i % Columns], high[i / Columns], b[i % Columns].x,
                 b[i % Columns].y);
}

/// Reads the weights of a step: two fragments for each block.
template <int Blocks>
__device__ inline void read_weights(const uint4 *weights, int block_stride, int step,
                                    uint4 (&b)[2 * Blocks]) {
#pragma unroll
  for (int n = 0; n < 2 * Blocks; ++n)
    b[n] = __ldg(weights + n / 2 * block_stride + step * 64 + n % 2 * 32);
}

/// A warp's part of a product: Axes x Tiles fragments of 16 rows, one below the other within an
/// axis and M rows apart between the axes, times 16 columns of each of `Blocks` blocks.
template <int M, int Axes, int Tiles, int Blocks>
struct Part {
  static constexpr int kFragments = Axes * Tiles;
  /// Steps that the weights are read ahead: as many as registers hold beside the sums.
  static constexpr int kAhead = Blocks == 1 ? 4 : 2;

  /// Fragments whose products overlap, so that none has to wait for its own.
  static constexpr int kTogether = Blocks == 1 && kFragments % 2 == 0 ? 2 : 1;

  float sum[kFragments][2 * Blocks][4];

  /// weights: of this part's columns in the first block; steps of 16 inputs, an even number.
  __device__ void compute(const Operand &x, int first_row, const uint4 *weights, int block_stride,
                          int steps) {
    const int lane = thread_index() % 32, row = first_row + lane % 16;
    weights += lane;
    const unsigned row_address =
        static_cast<unsigned>(__cvta_generic_to_shared(x.data)) + row * x.width * 4;
    const unsigned chunk = (lane / 16 * 2 ^ Operand::swizzle(row)) * 16;
    uint4 b[kAhead][2 * Blocks];
#pragma unroll
    for (int s = 0; s < kAhead; ++s)
      if (s < steps) read_weights<Blocks>(weights, block_stride, s, b[s]);
#pragma unroll
    for (int m = 0; m < kFragments; ++m)
#pragma unroll
      for (int n = 0; n < 2 * Blocks; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[m][n][i] = 0;
#pragma unroll 1
    for (int k = 0; k < steps; k += kAhead) {
#pragma unroll
      for (int s = 0; s < kAhead; ++s) {
        if (k + s >= steps) break;
        const unsigned at = row_address + (k + s) / 2 * 128 + (chunk ^ (k + s) % 2 * 64);
        step(at, x.width * 4, b[s]);
        if (k + s + kAhead < steps)
          read_weights<Blocks>(weights, block_stride, k + s + kAhead, b[s]);
      }
    }
  }

 private:
  __device__ void step(unsigned address, int row_bytes, const uint4 (&b)[2 * Blocks]) {
#pragma unroll
    for (int m = 0; m < kFragments; m += kTogether) {
      Fragment high[kTogether], low[kTogether];
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        const unsigned at = address + ((m + i) / Tiles * M + (m + i) % Tiles * 16) * row_bytes;
        high[i] = load_fragment(at);
        low[i] = load_fragment(at ^ 16);
      }
#pragma unroll
      for (int n = 0; n < 2 * Blocks; n += 2) {
        float part[kTogether][2][4];
        multiply_split(part, high, low, b + n);
#pragma unroll
        for (int i = 0; i < 8 * kTogether; ++i)
          sum[m + i / 8][n + i / 4 % 2][i % 4] += part[i / 8][i / 4 % 2][i % 4];
      }
    }
  }
};

/// For products whose `finish` reads nothing from global memory.
struct Nothing {
  __device__ Nothing operator()(int, int) const { return {}; }
};

/// Who works on a tile of M rows: the threads of a block.
template <int M>
struct OneBlock {
  static constexpr int kRows = M;
  static constexpr bool kManyTiles = true;  ///< one after the other

  __device__ OneBlock(float *, int) {}
  static __device__ int tile() { return blockIdx.x; }
  static __device__ int tiles() { return gridDim.x; }
  /// The thread's warp among all that work on the tile.
  __device__ int warp() const { return thread_index() / 32; }
  __device__ int warps() const { return kTileWarps; }
  /// Until a thread can read what others have made, other than operands.
  __device__ void wait() const { __syncthreads(); }
  /// The next operand comes together with so many columns of others, or, if negative, without so
  /// many that have come before.
  __device__ void also(int) const {}
};

/// Body(row, column, read(row, column)) for every four columns of a tile's rows; a warp has whole
/// rows.
template <int M, class Read, class Body>
__device__ inline void each_four(const OneBlock<M> &, int columns, Read read, Body body) {
  const int thread = thread_index();
#pragma unroll 1
  for (int row = thread / 32; row < M; row += kTileWarps)
#pragma unroll 1
    for (int column = thread % 32 * 4; column < columns; column += 128)
      body(row, column, read(row, column));
}

/// Makes four numbers of an operand of products.
template <int M>
__device__ inline void put(const OneBlock<M> &, const Operand &x, int row, int column,
                           const Channels &y) {
  store(x.at(row, column), y);
}

/// Waits for an operand of no product.
template <int M>
__device__ inline void await(const OneBlock<M> &, const Operand &) {
  __syncthreads();
}

/// y = x W^T + bias for a tile of M rows, or M rows for each axis. The outputs are `Blocks` blocks
/// of `channels`; finish(row, channel, y, read(row, channel)) gets four channels of every axis and
/// block at a time as Channels y[Axes][Blocks], and what `read` has got from global memory, maybe
/// long before. `Tiles` fragments of 16 rows share a warp's weights. x is split, once all threads
/// have made it: it is lost.
template <int Axes, int Tiles, int Blocks, int M, class Read, class Finish>
__device__ inline void product(const OneBlock<M> &, const SplitLayer &layer, int channels,
                               const Operand &x, Read read, Finish finish, bool = true) {
  split_rows(x, Axes * M);
  constexpr int groups = M / (16 * Tiles), kColumns = kTileWarps / groups;
  const int warp = thread_index() / 32, first_row = warp % groups * (16 * Tiles);
  const int steps = x.width / 16, strips = channels / 16;
  const uint4 *weights = reinterpret_cast<const uint4 *>(layer.fragments);
#pragma unroll 1
  for (int strip = warp / groups; strip < strips; strip += kColumns) {
    Part<M, Axes, Tiles, Blocks> part;
    part.compute(x, first_row, weights + strip * steps * 64, strips * steps * 64, steps);
    const int lane = thread_index() % 32, channel = 16 * strip + lane % 4 * 4;
    const int top_row = first_row + lane / 4;
#pragma unroll
    for (int t = 0; t < 2 * Tiles; ++t) {
      const int row = top_row + 8 * t;
      Channels y[Axes][Blocks];
#pragma unroll
      for (int a = 0; a < Axes; ++a) {
        const float scale = x.inverse_scale[a * M + row] * layer.inverse_scale;
#pragma unroll
        for (int b = 0; b < Blocks; ++b) {
          const auto &sum = part.sum[a * Tiles + t / 2];
          y[a][b] = Channels{sum[2 * b][t % 2 * 2], sum[2 * b][t % 2 * 2 + 1],
                             sum[2 * b + 1][t % 2 * 2], sum[2 * b + 1][t % 2 * 2 + 1]} *
                    scale;
          if (layer.bias) y[a][b] += load(layer.bias + b * 16 * strips + channel);
        }
      }
      finish(row, channel, y, read(row, channel));
    }
  }
}

}  // namespace mlff::cuda
