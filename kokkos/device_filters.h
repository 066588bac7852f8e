// Filters of the layers on the device: spline tables, and exact rows for the edges at hand.
#pragma once

#include "dense.h"
#include "edge_list.h"
#include "filter_rows.h"
#include "filters.h"

namespace mlff::device {

/// A spline table in the device's memory.
template <class Real, class Space>
class Table {
 public:
  Table() = default;
  /// coefficients: [intervals + 3][columns]
  Table(const SplineGrid &grid, int columns, const std::vector<double> &coefficients);
  const SplineTable<Real> &view() const { return view_; }

 private:
  Array<Real, Space> coefficients_{"mlff::table"};
  SplineTable<Real> view_;
};

/// Columns that radial functions have on the device: K + 1, padded.
int radial_columns(const Potential &potential);
/// Table of layer l's filter: columns [3][C].
template <class Real, class Space>
Table<Real, Space> device_filter_table(const Potential &potential, int l, const SplineGrid &grid);
/// Table of the radial functions times cutoff: `columns` of them, K + 1 and padding.
template <class Real, class Space>
Table<Real, Space> device_radial_table(const Potential &potential, int columns,
                                       const SplineGrid &grid);

/// Radial functions as kernels read them, see RadialBasis in src/kernels.h.
struct Radial {
  RadialFunctions functions = RadialFunctions::Gaussian;
  CutoffFunction cutoff_function = CutoffFunction::Cosine;
  double cutoff = 0.0;
  int number = 0;                          ///< K
  const double *centers = nullptr;         ///< [K] gaussian
  const double *inverse_widths = nullptr;  ///< [K] gaussian
  const double *frequencies = nullptr;     ///< [K] bessel
};

/// Exact filters of the layers from `first` on, evaluated for a range of atoms at a time.
template <class Real, class Space>
class ExactFilters {
 public:
  ExactFilters() = default;
  ExactFilters(const Potential &potential, int first);

  /// Radial functions times cutoff and their derivatives for the range's edges, `count` of them:
  /// `columns` columns, K + 1 and padding.
  ExactRows<Real> radial_rows(const Edges<Real> &edges, Range range, int count, int columns);
  /// Filters of layer l and their derivatives: columns [3][C].
  ExactRows<Real> filter_rows(int l, const Edges<Real> &edges, Range range, int count);
  std::size_t bytes() const { return radial_.bytes() + hidden_.bytes() + rows_.bytes(); }

 private:
  int first_ = 0;
  Radial basis_;
  Array<double, Space> centers_{"mlff::radial"}, inverse_widths_{"mlff::radial"};
  Array<double, Space> frequencies_{"mlff::radial"};
  std::vector<std::vector<Dense<Real, Space>>> layers_;
  Array<Real, Space> radial_{"mlff::radial_rows"}, hidden_{"mlff::hidden_rows"};
  Array<Real, Space> rows_{"mlff::filter_rows"};
};

}  // namespace mlff::device
