// Weights of cubic B-splines: src/message_kernels.h, SplineRow.
#pragma once

#include <cuda_runtime.h>

namespace mlff::cuda {

/// a / 6 to the last bit or so. A product with the rounded 1/6 is off by the same factor for all
/// edges, which would add up in energies.
__device__ __forceinline__ float sixth(float a) {
  constexpr float kSixth = 1.0f / 6.0f;
  const float quotient = a * kSixth;
  return fmaf(fmaf(-6.0f, quotient, a), kSixth, quotient);
}

/// Weights of the four rows of the table that an edge at t needs.
__device__ __forceinline__ float4 spline_weights(float t) {
  const float q = 1 - t, t2 = t * t, q2 = q * q;
  return {sixth(q2 * q), sixth(3 * t2 * (t - 2) + 4), sixth(3 * q2 * (q - 2) + 4), sixth(t2 * t)};
}

/// Weights of the three differences between these rows in the derivative: all positive, and small
/// numbers are their factors, so that nothing cancels.
__device__ __forceinline__ float3 spline_slopes(float t, float inverse_spacing) {
  const float q = 1 - t;
  return {0.5f * q * q * inverse_spacing, (0.5f + t * q) * inverse_spacing,
          0.5f * t * t * inverse_spacing};
}

}  // namespace mlff::cuda
