// The read-out: E_i = out(s_i), dense layers with SiLU behind each, and a weighted sum.
#pragma once

#include <vector>

#include "dense_layer.h"

namespace mlff {

/// Its weights as the file has them: dense layers with a SiLU behind each, then the weighted sum.
struct ReadOutWeights {
  std::vector<DenseWeights> layers;
  std::vector<double> weights;  ///< [inputs of the sum]
  double bias = 0.0;
  /// Widths are padded to `multiple`.
  static ReadOutWeights read(const Potential &potential, int multiple = kChannelBlock);
};

template <class Real>
class ReadOut {
 public:
  ReadOut(const Potential &potential, const Kernels<Real> &kernels);

  /// Numbers of scratch for this many atoms.
  std::size_t scratch_size(int atoms) const;
  /// Energies of `atoms` atoms without E0, from s; keeps in scratch what the adjoint needs.
  void forward(const Kernels<Real> &kernels, int atoms, Matrix<const Real> s, Real *scratch,
               double *energies) const;
  /// s_bar, the gradient of each atom's energy; scratch is forward's.
  void adjoint(const Kernels<Real> &kernels, int atoms, Real *scratch, Matrix<Real> s_bar) const;

 private:
  /// Rows that layer k writes, and behind them its silu'.
  Matrix<Real> output(int k, int atoms, Real *scratch) const;
  Matrix<Real> slope(int k, int atoms, Real *scratch) const;

  std::vector<LayerPair<Real>> layers_;
  std::vector<int> offset_;  ///< of layer k's rows, per atom
  /// The last layer, in double: energies are some eV, and single precision would cost 1e-6 eV of
  /// them.
  std::vector<double> weights_;
  double bias_ = 0.0;
};

}  // namespace mlff
