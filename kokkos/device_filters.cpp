#include "device_filters.h"

#include "instantiate.h"

namespace mlff::device {

namespace {

struct ValueAndSlope {
  double value, slope;
};

/// See cutoff_function in src/radial_kernels.h.
KOKKOS_INLINE_FUNCTION ValueAndSlope cutoff_function(const Radial &basis, double r) {
  if (!(r < basis.cutoff)) return {0.0, 0.0};
  if (basis.cutoff_function == CutoffFunction::Cosine) {
    const double a = Kokkos::numbers::pi / basis.cutoff;
    return {0.5 * (Kokkos::cos(a * r) + 1.0), -0.5 * a * Kokkos::sin(a * r)};
  }
  const double x = r / basis.cutoff, gap = 1.0 - x * x;
  const double f = Kokkos::exp(1.0 - 1.0 / gap);
  return {f, f > 0.0 ? -2.0 * x / (gap * gap * basis.cutoff) * f : 0.0};
}

/// exp(-(r - center)^2 / (2 width^2)) or sin(frequency r) / r.
KOKKOS_INLINE_FUNCTION ValueAndSlope radial_function(const Radial &basis, int k, double r) {
  if (basis.functions == RadialFunctions::Gaussian) {
    const double d = (r - basis.centers[k]) * basis.inverse_widths[k];
    const double g = Kokkos::exp(-0.5 * d * d);
    return {g, -d * basis.inverse_widths[k] * g};
  }
  const double f = basis.frequencies[k], g = Kokkos::sin(f * r) / r;
  return {g, (f * Kokkos::cos(f * r) - g) / r};
}

/// values and slopes [edges of the range][columns] of g_k fc, and of fc itself as function K.
template <class Space, class Real>
void radial_functions(const Radial &basis, const Edges<Real> &edges, Range range, int columns,
                      Real *values, Real *slopes) {
  for_rows<Space>(
      "mlff::radial_functions", range.size, KOKKOS_LAMBDA(const Team<Space> &lanes, int n) {
        const int first = edges.begin[range.begin], begin = edges.begin[range.begin + n];
        for_lanes(lanes, edges.end[range.begin + n] - begin, [&](int m) {
          const int e = begin + m;
          const double r = edges.edge[e].t;
          const ValueAndSlope fc = cutoff_function(basis, r);
          Real *value = values + std::size_t(e - first) * columns;
          Real *slope = slopes + std::size_t(e - first) * columns;
          for (int k = 0; k < columns; ++k) {
            ValueAndSlope g = {k == basis.number ? 1.0 : 0.0, 0.0};
            if (k < basis.number) g = radial_function(basis, k, r);
            value[k] = static_cast<Real>(g.value * fc.value);
            slope[k] = static_cast<Real>(g.slope * fc.value + g.value * fc.slope);
          }
        });
      });
}

}  // namespace

int radial_columns(const Potential &potential) {
  return padded(potential.number_of_radial_functions + 1, 8);
}

template <class Real, class Space>
Table<Real, Space>::Table(const SplineGrid &grid, int columns,
                          const std::vector<double> &coefficients) {
  coefficients_.assign(coefficients);
  view_ = {coefficients_.data(), grid.intervals, columns, static_cast<Real>(1.0 / grid.spacing)};
}

template <class Real, class Space>
Table<Real, Space> device_filter_table(const Potential &potential, int l, const SplineGrid &grid) {
  const mlff::SplineTable<double> table = filter_table<double>(potential, l, grid);
  const FilterRows<double> host = table.rows();
  const int F = potential.channels, C = padded(F, kChannelPadding), rows = grid.intervals + 3;
  std::vector<double> coefficients(std::size_t(3) * C * rows, 0.0);
  for (int row = 0; row < rows; ++row)
    for (int block = 0; block < 3; ++block)
      for (int f = 0; f < F; ++f)
        coefficients[(std::size_t(3) * row + block) * C + f] =
            host.table[std::size_t(row) * host.stride + interleaved<3>(f) + block * kChannelBlock];
  return {grid, 3 * C, coefficients};
}

template <class Real, class Space>
Table<Real, Space> device_radial_table(const Potential &potential, int columns,
                                       const SplineGrid &grid) {
  const mlff::SplineTable<double> table = radial_table<double>(potential, grid);
  const FilterRows<double> host = table.rows();
  const int K = potential.number_of_radial_functions, rows = grid.intervals + 3;
  std::vector<double> coefficients(std::size_t(rows) * columns, 0.0);
  for (int row = 0; row < rows; ++row)
    std::copy_n(host.table + std::size_t(row) * host.stride, K + 1,
                coefficients.begin() + std::ptrdiff_t(row) * columns);
  return {grid, columns, coefficients};
}

template <class Real, class Space>
ExactFilters<Real, Space>::ExactFilters(const Potential &potential, int first) : first_(first) {
  basis_.functions = potential.radial_functions;
  basis_.cutoff_function = potential.cutoff_function;
  basis_.cutoff = potential.cutoff;
  basis_.number = potential.number_of_radial_functions;
  if (basis_.functions == RadialFunctions::Bessel) {
    frequencies_.assign(potential.tensor("radial.frequencies").values);
    basis_.frequencies = frequencies_.data();
  } else {
    std::vector<double> widths = potential.tensor("radial.widths").values;
    for (double &width : widths) width = 1.0 / width;
    centers_.assign(potential.tensor("radial.centers").values);
    inverse_widths_.assign(widths);
    basis_.centers = centers_.data();
    basis_.inverse_widths = inverse_widths_.data();
  }
  for (int l = first; l < potential.layers; ++l) {
    layers_.emplace_back();
    for (const DenseWeights &layer : filter_layers(potential, l, kChannelPadding))
      layers_.back().emplace_back(layer);
  }
}

template <class Real, class Space>
ExactRows<Real> ExactFilters<Real, Space>::radial_rows(const Edges<Real> &edges, Range range,
                                                       int count, int columns) {
  const std::size_t size = std::size_t(count) * columns;
  radial_.reserve(2 * size);
  Real *values = radial_.data(), *slopes = values + size;
  radial_functions<Space>(basis_, edges, range, columns, values, slopes);
  return {values, slopes, columns};
}

template <class Real, class Space>
ExactRows<Real> ExactFilters<Real, Space>::filter_rows(int l, const Edges<Real> &edges, Range range,
                                                       int count) {
  const std::vector<Dense<Real, Space>> &layers = layers_[l - first_];
  ExactRows<Real> x = radial_rows(edges, range, count, basis_.number + 1);
  if (layers.size() > 1) {
    const DenseView<Real> &layer = layers[0].view();
    const int width = layer.outputs;
    hidden_.reserve(std::size_t(3) * count * width);
    Real *hidden = hidden_.data(), *hidden_slope = hidden + std::size_t(count) * width,
         *silu_slope = hidden_slope + std::size_t(count) * width;
    dense<Space, Real>(layer, count, {x.values, x.columns}, {hidden, width}, Epilogue::Silu,
                       {silu_slope, width});
    dense<Space, Real>(layers[0].without_bias(), count, {x.slopes, x.columns},
                       {hidden_slope, width}, Epilogue::Multiply, {silu_slope, width});
    x = {hidden, hidden_slope, width};
  }
  const DenseView<Real> &layer = layers.back().view();
  const int width = layer.outputs;
  rows_.reserve(std::size_t(2) * count * width);
  Real *values = rows_.data(), *slopes = values + std::size_t(count) * width;
  dense<Space, Real>(layer, count, {x.values, x.columns}, {values, width}, Epilogue::Store);
  dense<Space, Real>(layers.back().without_bias(), count, {x.slopes, x.columns}, {slopes, width},
                     Epilogue::Store);
  return {values, slopes, width};
}

#define MLFF_FILTERS(Space)                                                                      \
  template class Table<float, Space>;                                                            \
  template class Table<double, Space>;                                                           \
  template class ExactFilters<float, Space>;                                                     \
  template class ExactFilters<double, Space>;                                                    \
  template Table<float, Space> device_filter_table(const Potential &, int, const SplineGrid &);  \
  template Table<double, Space> device_filter_table(const Potential &, int, const SplineGrid &); \
  template Table<float, Space> device_radial_table(const Potential &, int, const SplineGrid &);  \
  template Table<double, Space> device_radial_table(const Potential &, int, const SplineGrid &);
MLFF_ON_EACH_SPACE(MLFF_FILTERS)

}  // namespace mlff::device
