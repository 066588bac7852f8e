// Dense layers: y = epilogue(x W^T + bias) by an outer-product micro-kernel on packed weights.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mlff::MLFF_ISA {

// A tile of kTileRows x kTileVectors accumulators fills the register file but for the operands.
constexpr int kTileRows = kVectorBytes == 64 ? 12 : 6;
constexpr int kTileVectors = 2;

template <class Real>
MLFF_INLINE void finish(Vector<Real> y, Real *to, Epilogue epilogue, Real *factor) {
  switch (epilogue) {
    case Epilogue::Store:
      break;
    case Epilogue::Add:
      y += load(to);
      break;
    case Epilogue::Silu: {
      Vector<Real> derivative;
      y = silu<Real>(y, derivative);
      store(factor, derivative);
      break;
    }
    case Epilogue::Multiply:
      y *= load(factor);
      break;
  }
  store(to, y);
}

/// One tile. Each output is summed over the inputs in order, whatever the tile's size: a row's
/// result does not depend on the rows beside it.
template <class Real, int Rows, int Vectors>
MLFF_INLINE void dense_tile(int inputs, const Real *weights, int panel, const Real *bias,
                            Matrix<const Real> x, Matrix<Real> y, Epilogue epilogue,
                            Matrix<Real> factor) {
  constexpr int W = width<Real>;
  Vector<Real> sum[Rows][Vectors];
#pragma GCC unroll 12
  for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) sum[m][n] = bias ? load(bias + n * W) : Vector<Real>{};
  for (int k = 0; k < inputs; ++k) {
    Vector<Real> w[Vectors];
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) w[n] = load(weights + k * panel + n * W);
#pragma GCC unroll 12
    for (int m = 0; m < Rows; ++m) {
      const Vector<Real> a = fill<Real>(x.data[m * x.stride + k]);
#pragma GCC unroll 2
      for (int n = 0; n < Vectors; ++n) sum[m][n] += a * w[n];
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n)
      finish<Real>(sum[m][n], y.data + m * y.stride + n * W, epilogue,
                   factor.data + m * factor.stride + n * W);
}

/// All rows of one panel: full tiles, then what remains in one smaller tile.
template <class Real, int Vectors, int Rows = kTileRows>
MLFF_INLINE void dense_rows(int rows, int inputs, const Real *weights, int panel, const Real *bias,
                            Matrix<const Real> x, Matrix<Real> y, Epilogue epilogue,
                            Matrix<Real> factor) {
  while (rows >= Rows) {
    dense_tile<Real, Rows, Vectors>(inputs, weights, panel, bias, x, y, epilogue, factor);
    x.data += Rows * x.stride;
    y.data += Rows * y.stride;
    factor.data += Rows * factor.stride;
    rows -= Rows;
  }
  if constexpr (Rows > 1) {
    if (rows > 0)
      dense_rows<Real, Vectors,
                 (Rows == 12  ? 8
                  : Rows == 8 ? 6
                  : Rows == 6 ? 4
                              : Rows / 2)>(rows, inputs, weights, panel, bias, x, y, epilogue,
                                           factor);
  }
}

template <class Real>
void dense(const DenseLayer<Real> &layer, int rows, Matrix<const Real> x, Matrix<Real> y,
           Epilogue epilogue, Matrix<Real> factor) {
  constexpr int panel = kTileVectors * width<Real>;
  if (!factor.data) factor = y;  // not used then
  int output = 0;
  const Real *weights = layer.weights;
  for (; output + panel <= layer.outputs; output += panel, weights += layer.inputs * panel)
    dense_rows<Real, kTileVectors>(
        rows, layer.inputs, weights, panel, layer.bias ? layer.bias + output : nullptr, x,
        {y.data + output, y.stride}, epilogue, {factor.data + output, factor.stride});
  // Outputs come in multiples of kChannelBlock, which is half a panel where vectors are widest.
  if (output < layer.outputs)
    dense_rows<Real, 1>(rows, layer.inputs, weights, panel,
                        layer.bias ? layer.bias + output : nullptr, x, {y.data + output, y.stride},
                        epilogue, {factor.data + output, factor.stride});
}

}  // namespace mlff::MLFF_ISA
