// Dense layers on the device, in Kokkos alone.
#pragma once

#include "dense_layer.h"
#include "device_array.h"

namespace mlff::device {

/// y = x W^T + bias as the kernel reads it.
template <class Real>
struct DenseView {
  int inputs = 0, outputs = 0;    ///< outputs: a multiple of kChannelPadding
  const Real *weights = nullptr;  ///< [inputs][outputs]
  const Real *bias = nullptr;     ///< [outputs] or null
};

template <class Real, class Space>
class Dense {
 public:
  Dense() = default;
  explicit Dense(const DenseWeights &dense) {
    weights_.assign(dense.transposed().weights);
    if (!dense.bias.empty()) bias_.assign(dense.bias);
    view_ = {dense.inputs, dense.outputs, weights_.data(),
             dense.bias.empty() ? nullptr : bias_.data()};
  }
  const DenseView<Real> &view() const { return view_; }
  DenseView<Real> without_bias() const {
    DenseView<Real> view = view_;
    view.bias = nullptr;
    return view;
  }

 private:
  Array<Real, Space> weights_{"mlff::weights"}, bias_{"mlff::bias"};
  DenseView<Real> view_;
};

/// A dense layer and its adjoint.
template <class Real, class Space>
struct DensePair {
  Dense<Real, Space> forward, adjoint;
  DensePair() = default;
  explicit DensePair(const DenseWeights &dense) : forward(dense), adjoint(dense.transposed()) {}
};

/// Rows in memory: `stride` from row to row.
template <class Real>
struct Rows {
  Real *data = nullptr;
  int stride = 0;
};

/// What is done with y: see Epilogue in src/kernels.h.
template <class Real, int width>
struct Finish {
  Epilogue epilogue;
  Rows<Real> y, factor;

  KOKKOS_FORCEINLINE_FUNCTION void operator()(int row, int at, const Real *value) const {
    Real *to = y.data + std::size_t(row) * y.stride + at;
    Real *slope = factor.data + std::size_t(row) * factor.stride + at;
    for (int k = 0; k < width; ++k) {
      const Real x = value[k];
      switch (epilogue) {
        case Epilogue::Store:
          to[k] = x;
          break;
        case Epilogue::Add:
          to[k] += x;
          break;
        case Epilogue::Silu: {
          const Real gate = 1 / (1 + Kokkos::exp(-x));
          to[k] = x * gate;
          slope[k] = gate * (1 + x * (1 - gate));
          break;
        }
        case Epilogue::Multiply:
          to[k] = x * slope[k];
      }
    }
  }
};

/// y = epilogue(layer(x)) for a number of rows.
template <class Space, class Real>
static void dense(const DenseView<Real> &layer, int rows, Rows<const Real> x, Rows<Real> y,
                  Epilogue epilogue, Rows<Real> factor = {}) {
  // A thread has a tile of rows and, on a GPU, an output in each of its lanes.
  constexpr int kTile = 4, width = is_host<Space> ? 16 : 1;
  const int block = is_host<Space> ? layer.outputs : kChannelPadding;
  const int blocks = layer.outputs / block, tiles = (rows + kTile - 1) / kTile;
  const Finish<Real, width> finish{epilogue, y, factor};
  for_rows<Space>(
      "mlff::dense", tiles * blocks, KOKKOS_LAMBDA(const Team<Space> &lanes, int index) {
        const int begin = index / blocks * kTile, first = index % blocks * block;
        // The last tile repeats its last row rather than read behind it.
        const Real *row[kTile];
        for (int r = 0; r < kTile; ++r)
          row[r] = x.data + std::size_t(begin + r < rows ? begin + r : rows - 1) * x.stride;
        for_lanes(lanes, block / width, [&](int lane) {
          const int at = first + lane * width;
          Real sum[kTile][width];
          for (int r = 0; r < kTile; ++r)
            for (int k = 0; k < width; ++k) sum[r][k] = layer.bias ? layer.bias[at + k] : Real(0);
          for (int i = 0; i < layer.inputs; ++i) {
            const Real *w = layer.weights + std::size_t(i) * layer.outputs + at;
            for (int r = 0; r < kTile; ++r)
              for (int k = 0; k < width; ++k) sum[r][k] += w[k] * row[r][i];
          }
          for (int r = 0; r < kTile && begin + r < rows; ++r) finish(begin + r, at, sum[r]);
        });
      });
}

}  // namespace mlff::device
