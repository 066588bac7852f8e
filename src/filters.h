// Filters W(r) of a layer: exact rows for a set of edges, and the spline table made from them.
#pragma once

#include <vector>

#include "aligned_array.h"
#include "dense_layer.h"
#include "edges.h"

namespace mlff {

/// The radial functions of a potential, in arrays of the kernels' type.
template <class Real>
class RadialFunctionSet {
 public:
  explicit RadialFunctionSet(const Potential &potential);
  const RadialBasis<Real> &basis() const { return basis_; }
  /// Padded number of functions g_k fc and, as function K, fc itself.
  int stride() const { return padded(basis_.number + 1); }

 private:
  AlignedArray<Real> centers_, inverse_widths_;
  std::vector<double> frequencies_;
  RadialBasis<Real> basis_;
};

/// The spline grid that a potential's radial functions need: interpolation errors of W below about
/// 3e-7 of its size. Cubic splines err by h^4 |W''''| / 384, so the narrowest function sets the
/// spacing.
SplineGrid spline_grid(const Potential &potential);

/// The dense layers on the radial functions that make layer l's filter: one (painn, whose bias
/// belongs to function K, the cutoff) or two (mlff-distiller, with a SiLU between them). Outputs
/// are [3][C], blocks in the order (Wa, Wb, Wc) that messages use, C padded to `multiple`; inputs
/// are the K + 1 radial functions, unpadded.
std::vector<DenseWeights> filter_layers(const Potential &potential, int l,
                                        int multiple = kChannelBlock);

/// Exact filters of one layer: a stack of one (painn) or two (mlff-distiller) dense layers on the
/// radial functions.
template <class Real>
class ExactFilter {
 public:
  ExactFilter(const Potential &potential, int l, const Kernels<Real> &kernels);

  int stride() const { return stack_.back().view().outputs; }  ///< [3C]~
  /// Numbers of scratch for this many edges.
  std::size_t scratch_size(int edges) const;
  /// Filters and derivatives, [edges, stride] each, from the radial functions [edges, K padded].
  /// Without derivatives (null) it takes half the time.
  void evaluate(const Kernels<Real> &kernels, int edges, const Real *radial,
                const Real *radial_slope, Real *scratch, Real *values, Real *derivatives) const;

 private:
  std::vector<PackedLayer<Real>> stack_;
};

/// Cubic B-spline coefficients [intervals + 3, columns] of functions given by their values and
/// derivatives [intervals + 1, columns] at the knots: an interpolating spline clamped at both ends
/// (de Boor 1978, ch. IV).
std::vector<double> spline_coefficients(const SplineGrid &grid, int columns,
                                        const std::vector<double> &values,
                                        const std::vector<double> &derivatives);

/// Tables for the network's layers; the first layer of painn tabulates the radial functions
/// themselves.
template <class Real>
class SplineTable {
 public:
  SplineTable() = default;
  SplineTable(const SplineGrid &grid, int columns, const std::vector<double> &values,
              const std::vector<double> &derivatives);
  FilterRows<Real> rows() const;

 private:
  AlignedArray<Real> table_;
  Real inverse_spacing_ = 0;
  int columns_ = 0;
};

/// Table of layer l's filter.
template <class Real>
SplineTable<Real> filter_table(const Potential &potential, int l, const SplineGrid &grid);
/// Table of the radial functions times cutoff.
template <class Real>
SplineTable<Real> radial_table(const Potential &potential, const SplineGrid &grid);

}  // namespace mlff
