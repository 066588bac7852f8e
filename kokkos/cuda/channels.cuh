// Four neighbouring channels: the share of one lane, moved 16 bytes at a time. The Value of
// src/algebra.h on the device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

namespace mlff::cuda {

struct alignas(16) Channels {
  float x, y, z, w;
};

__host__ __device__ __forceinline__ Channels operator*(Channels a, Channels b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w};
}
__host__ __device__ __forceinline__ Channels operator*(Channels a, float b) {
  return {a.x * b, a.y * b, a.z * b, a.w * b};
}
__host__ __device__ __forceinline__ Channels operator*(float a, Channels b) { return b * a; }
__host__ __device__ __forceinline__ Channels operator+(Channels a, Channels b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}
__host__ __device__ __forceinline__ Channels operator-(Channels a, Channels b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w};
}
__host__ __device__ __forceinline__ Channels operator+(Channels a, float b) {
  return {a.x + b, a.y + b, a.z + b, a.w + b};
}
__host__ __device__ __forceinline__ void operator+=(Channels &a, Channels b) { a = a + b; }

__device__ __forceinline__ Channels square_root(Channels a) {
  return {sqrtf(a.x), sqrtf(a.y), sqrtf(a.z), sqrtf(a.w)};
}
/// a / sqrt(square).
__device__ __forceinline__ Channels over_root(Channels a, Channels square) {
  return {a.x * rsqrtf(square.x), a.y * rsqrtf(square.y), a.z * rsqrtf(square.z),
          a.w * rsqrtf(square.w)};
}

/// SiLU a sigma(a), and its derivative.
__device__ __forceinline__ float silu(float a, float &slope) {
  const float sigma = __fdividef(1.0f, 1.0f + expf(-a));
  slope = sigma * (1.0f + a * (1.0f - sigma));
  return a * sigma;
}
__device__ __forceinline__ Channels silu(Channels a, Channels &slope) {
  return {silu(a.x, slope.x), silu(a.y, slope.y), silu(a.z, slope.z), silu(a.w, slope.w)};
}

/// Adds the sum of the products: what mlff::add_product is for a number.
__device__ __forceinline__ void add_product(float &sum, Channels a, Channels b) {
  sum = fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
}

/// Where a row of `columns` numbers begins. Written as a product of two 32-bit numbers, which is
/// one instruction.
template <class Number>
__device__ __forceinline__ Number *row_of(Number *rows, int row, int columns) {
  const size_t bytes = static_cast<size_t>(static_cast<unsigned>(row)) *
                       static_cast<unsigned>(columns * static_cast<int>(sizeof(Number)));
  using Byte = std::conditional_t<std::is_const_v<Number>, const char, char>;
  return reinterpret_cast<Number *>(reinterpret_cast<Byte *>(rows) + bytes);
}

/// Reads what no thread writes during the kernel.
__device__ __forceinline__ Channels gather(const float *from) {
  const float4 a = __ldg(reinterpret_cast<const float4 *>(from));
  return {a.x, a.y, a.z, a.w};
}
__device__ __forceinline__ Channels load(const float *from) {
  const float4 a = *reinterpret_cast<const float4 *>(from);
  return {a.x, a.y, a.z, a.w};
}
__device__ __forceinline__ void store(float *to, Channels a) {
  *reinterpret_cast<float4 *>(to) = make_float4(a.x, a.y, a.z, a.w);
}
/// Writes what this kernel does not read again, and leaves the caches to other data.
__device__ __forceinline__ void stream(float *to, Channels a) {
  __stcs(reinterpret_cast<float4 *>(to), make_float4(a.x, a.y, a.z, a.w));
}

__device__ __forceinline__ void load3(int stride, const float *from, Channels *a) {
  for (int c = 0; c < 3; ++c) a[c] = load(from + c * stride);
}
__device__ __forceinline__ void store3(int stride, float *to, const Channels *a) {
  for (int c = 0; c < 3; ++c) store(to + c * stride, a[c]);
}

}  // namespace mlff::cuda
