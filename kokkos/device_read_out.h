// The read-out on the device, in Kokkos alone: E_i = out(s_i), see src/read_out.h.
#pragma once

#include "dense.h"
#include "read_out.h"

namespace mlff::device {

template <class Real, class Space>
class ReadOut {
 public:
  explicit ReadOut(const Potential &potential);

  void reserve(int atoms);
  /// Energies of a number of atoms without E0, from s; keeps what the adjoint needs.
  void forward(int atoms, Rows<const Real> s, double *energies);
  /// s_bar, the gradient of each atom's energy. Rows [4C] of features_bar: v_bar is set to zero.
  void adjoint(int atoms, int C, Real *features_bar);
  std::size_t bytes() const;

 private:
  /// Rows that layer k writes, and its silu'.
  Rows<Real> output(int k) const { return {output_[k].data(), layers_[k].forward.view().outputs}; }
  Rows<Real> slope(int k) const { return {slope_[k].data(), layers_[k].forward.view().outputs}; }

  std::vector<DensePair<Real, Space>> layers_;
  std::vector<Array<Real, Space>> output_, slope_;
  /// The last layer, in double: energies are some eV, and single precision would cost 1e-6 eV.
  Array<double, Space> weights_{"mlff::read_out"};
  int inputs_ = 0;
  double bias_ = 0.0;
};

}  // namespace mlff::device
