// Dense layers on their way from the potential file to the kernels: padded, reordered, packed.
#pragma once

#include <string>
#include <vector>

#include "aligned_array.h"
#include "kernels.h"
#include "potential.h"

namespace mlff {

/// The smallest multiple that holds n channels.
constexpr int padded(int n, int multiple = kChannelBlock) {
  return (n + multiple - 1) / multiple * multiple;
}

/// A vector of features as equal blocks, each padded with zeros.
struct Blocks {
  int number = 1;  ///< blocks
  int size = 0;    ///< used entries of a block
  int stride = 0;  ///< entries of a block with padding
  int total() const { return number * stride; }
};

/// A block of `size` entries, padded to a multiple, `number` times.
inline Blocks padded_blocks(int number, int size, int multiple = kChannelBlock) {
  return {number, size, padded(size, multiple)};
}

/// Weights in double, [outputs, inputs] with the padding in place.
struct DenseWeights {
  int inputs = 0, outputs = 0;
  std::vector<double> weights;  ///< [outputs, inputs]
  std::vector<double> bias;     ///< [outputs] or empty

  /// Reads NAME.weight and, if there is one, NAME.bias. `order` lists the file's output blocks in
  /// the order wanted; it may leave blocks out.
  static DenseWeights read(const Potential &potential, const std::string &name, Blocks outputs,
                           Blocks inputs, const std::vector<int> &order);
  /// The layer that carries adjoints back: no bias.
  DenseWeights transposed() const;
  /// The same layer with its three blocks of outputs interleaved, as filters are.
  DenseWeights with_interleaved_outputs() const;
};

/// A dense layer in the form that the kernels read.
template <class Real>
class PackedLayer {
 public:
  PackedLayer() = default;
  PackedLayer(const DenseWeights &dense, int panel);
  const DenseLayer<Real> &view() const { return view_; }

 private:
  AlignedArray<Real> weights_, bias_;
  DenseLayer<Real> view_;
};

/// A dense layer and its adjoint.
template <class Real>
struct LayerPair {
  PackedLayer<Real> forward, adjoint;
  LayerPair() = default;
  LayerPair(const DenseWeights &dense, int panel)
      : forward(dense, panel), adjoint(dense.transposed(), panel) {}
};

}  // namespace mlff
