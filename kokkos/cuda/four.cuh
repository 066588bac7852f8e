// Four neighbouring channels: what a thread reads, computes and writes at a time.
#pragma once

namespace mlff::cuda {

/// A Value of src/algebra.h.
struct alignas(16) Four {
  float x[4];

  __host__ __device__ Four &operator+=(const Four &y) {
    for (int i = 0; i < 4; ++i) x[i] += y.x[i];
    return *this;
  }
};

__host__ __device__ inline Four operator+(Four x, const Four &y) { return x += y; }

__host__ __device__ inline Four operator+(Four x, float y) {
  for (int i = 0; i < 4; ++i) x.x[i] += y;
  return x;
}

__host__ __device__ inline Four operator*(Four x, const Four &y) {
  for (int i = 0; i < 4; ++i) x.x[i] *= y.x[i];
  return x;
}

__host__ __device__ inline Four operator*(Four x, float y) {
  for (int i = 0; i < 4; ++i) x.x[i] *= y;
  return x;
}

__device__ inline Four load(const float *p) { return *reinterpret_cast<const Four *>(p); }

__device__ inline void store(float *p, const Four &x) { *reinterpret_cast<Four *>(p) = x; }

/// Writes what this kernel does not read again, and leaves the caches to other data.
__device__ inline void stream(float *p, const Four &x) {
  __stcs(reinterpret_cast<float4 *>(p), reinterpret_cast<const float4 &>(x));
}

__device__ inline void load3(int stride, const float *p, Four *x) {
  for (int c = 0; c < 3; ++c) x[c] = load(p + c * stride);
}

__device__ inline void store3(int stride, float *p, const Four *x) {
  for (int c = 0; c < 3; ++c) store(p + c * stride, x[c]);
}

__device__ inline Four square_root(Four x) {
  for (int i = 0; i < 4; ++i) x.x[i] = sqrtf(x.x[i]);
  return x;
}

/// x / sqrt(square).
__device__ inline Four over_root(Four x, const Four &square) {
  for (int i = 0; i < 4; ++i) x.x[i] *= rsqrtf(square.x[i]);
  return x;
}

/// SiLU x sigma(x), and its derivative.
__device__ inline Four silu(Four x, Four &slope) {
  for (int i = 0; i < 4; ++i) {
    const float sigma = __fdividef(1.0f, 1.0f + expf(-x.x[i]));
    slope.x[i] = sigma * (1.0f + x.x[i] * (1.0f - sigma));
    x.x[i] *= sigma;
  }
  return x;
}

}  // namespace mlff::cuda
