#include "filters.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mlff {

namespace {

/// Exact radial functions at the knots of a grid, in double.
struct KnotFunctions {
  int knots = 0, stride = 0;
  std::vector<double> values, derivatives;

  KnotFunctions(const Potential &potential, const SplineGrid &grid) {
    const RadialFunctionSet<double> radial(potential);
    knots = grid.intervals + 1;
    stride = radial.stride();
    std::vector<Edge<double>> edges(knots);
    // r = 0 is a removable singularity of the Bessel functions.
    for (int k = 0; k < knots; ++k) edges[k].r = std::max(k * grid.spacing, 1e-3 * grid.spacing);
    values.resize(static_cast<std::size_t>(knots) * stride);
    derivatives.resize(values.size());
    kernels<double>(Isa::Baseline)
        .radial_functions(radial.basis(), knots, edges.data(), stride, values.data(),
                          derivatives.data());
  }
};

}  // namespace

template <class Real>
RadialFunctionSet<Real>::RadialFunctionSet(const Potential &potential) {
  basis_.functions = potential.radial_functions;
  basis_.cutoff_function = potential.cutoff_function;
  basis_.cutoff = potential.cutoff;
  basis_.number = potential.number_of_radial_functions;
  if (basis_.functions == RadialFunctions::Bessel) {
    frequencies_ = potential.tensor("radial.frequencies").values;
    basis_.frequencies = frequencies_.data();
    return;
  }
  const Tensor &centers = potential.tensor("radial.centers"),
               &widths = potential.tensor("radial.widths");
  centers_.resize(stride());
  inverse_widths_.resize(stride());
  for (int k = 0; k < stride(); ++k) {
    centers_[k] = k < basis_.number ? static_cast<Real>(centers.values[k]) : Real(0);
    inverse_widths_[k] = k < basis_.number ? static_cast<Real>(1.0 / widths.values[k]) : Real(0);
  }
  basis_.centers = centers_.data();
  basis_.inverse_widths = inverse_widths_.data();
}

SplineGrid spline_grid(const Potential &potential) {
  double spacing;
  if (potential.radial_functions == RadialFunctions::Gaussian) {
    spacing = potential.cutoff;
    for (const double w : potential.tensor("radial.widths").values)
      spacing = std::min(spacing, std::fabs(w) / 13.0);
  } else {
    double fastest = 0.0;
    for (const double f : potential.tensor("radial.frequencies").values)
      fastest = std::max(fastest, std::fabs(f));
    spacing = 0.12 / fastest;
  }
  constexpr int kFewest = 128, kMost = 4096;
  const double wanted =
      std::clamp(std::ceil(potential.cutoff / spacing), double(kFewest), double(kMost));
  return {static_cast<int>(wanted), potential.cutoff / wanted};
}

std::vector<DenseWeights> filter_layers(const Potential &potential, int l, int multiple) {
  const int F = potential.channels, K = potential.number_of_radial_functions;
  const std::string name = "filter." + std::to_string(potential.shared_filters ? 0 : l);
  const Blocks radial = {1, K, K + 1}, one = padded_blocks(1, F, multiple),
               three = padded_blocks(3, F, multiple);
  if (potential.architecture == Architecture::PaiNN) {
    DenseWeights dense = DenseWeights::read(potential, name, three, radial, {0, 1, 2});
    // (A g + b) fc: the bias belongs to function K, the cutoff.
    for (int o = 0; o < dense.outputs; ++o)
      dense.weights[static_cast<std::size_t>(o) * dense.inputs + K] = dense.bias[o];
    dense.bias.clear();
    return {dense};
  }
  // The file's blocks are W_s, W_v, W_u; messages want those of xa = s, xb = 1 (along u) and p = v.
  return {DenseWeights::read(potential, name + ".0", one, radial, {0}),
          DenseWeights::read(potential, name + ".1", three, one, {0, 2, 1})};
}

template <class Real>
ExactFilter<Real>::ExactFilter(const Potential &potential, int l, const Kernels<Real> &kernels) {
  std::vector<DenseWeights> layers = filter_layers(potential, l);
  layers.back() = layers.back().with_interleaved_outputs();
  for (const DenseWeights &layer : layers) stack_.emplace_back(layer, kernels.panel);
}

template <class Real>
std::size_t ExactFilter<Real>::scratch_size(int edges) const {
  return stack_.size() < 2 ? 0 : std::size_t(3) * edges * stack_.front().view().outputs;
}

template <class Real>
void ExactFilter<Real>::evaluate(const Kernels<Real> &kernels, int edges, const Real *radial,
                                 const Real *radial_slope, Real *scratch, Real *values,
                                 Real *derivatives) const {
  const auto apply = [&](const DenseLayer<Real> &layer, const Real *x, Real *y, Epilogue epilogue,
                         Real *factor) {
    kernels.dense(layer, edges, {x, padded(layer.inputs)}, {y, layer.outputs}, epilogue,
                  {factor, layer.outputs});
  };
  const auto without_bias = [](DenseLayer<Real> layer) {
    layer.bias = nullptr;
    return layer;
  };
  const DenseLayer<Real> &last = stack_.back().view();
  if (stack_.size() > 1) {
    const DenseLayer<Real> &first = stack_.front().view();
    Real *hidden = scratch, *slope = hidden + std::size_t(edges) * first.outputs,
         *hidden_slope = slope + std::size_t(edges) * first.outputs;
    apply(first, radial, hidden, Epilogue::Silu, slope);
    if (derivatives)
      apply(without_bias(first), radial_slope, hidden_slope, Epilogue::Multiply, slope);
    radial = hidden;
    radial_slope = hidden_slope;
  }
  apply(last, radial, values, Epilogue::Store, nullptr);
  if (derivatives) apply(without_bias(last), radial_slope, derivatives, Epilogue::Store, nullptr);
}

std::vector<double> spline_coefficients(const SplineGrid &grid, int columns,
                                        const std::vector<double> &values,
                                        const std::vector<double> &derivatives) {
  const int n = grid.intervals;
  const auto at = [&](int k, int c) { return static_cast<std::size_t>(k) * columns + c; };
  std::vector<double> coefficients(static_cast<std::size_t>(n + 3) * columns), pivot(n + 1);
  // Rows k = 0 … n of (c_(k-1) + 4 c_k + c_(k+1)) / 6 = W_k; the end slopes (c_(k+1) - c_(k-1)) /
  // 2h remove the outer coefficients. Elimination without pivoting is safe, the matrix is dominant.
  const auto above = [&](int k) { return k == 0 ? 2.0 : 1.0; };
  const auto below = [&](int k) { return k == n ? 2.0 : 1.0; };
  pivot[0] = 4.0;
  for (int k = 1; k <= n; ++k) pivot[k] = 4.0 - below(k) * above(k - 1) / pivot[k - 1];
  for (int c = 0; c < columns; ++c) {
    const double start = 2.0 * grid.spacing * derivatives[at(0, c)];
    const double end = 2.0 * grid.spacing * derivatives[at(n, c)];
    double *x = coefficients.data() + columns;  // c_0
    for (int k = 0; k <= n; ++k) {
      double rhs = 6.0 * values[at(k, c)];
      if (k == 0) rhs += start;
      if (k == n) rhs -= end;
      x[at(k, c)] = k == 0 ? rhs : rhs - below(k) / pivot[k - 1] * x[at(k - 1, c)];
    }
    x[at(n, c)] /= pivot[n];
    for (int k = n - 1; k >= 0; --k)
      x[at(k, c)] = (x[at(k, c)] - above(k) * x[at(k + 1, c)]) / pivot[k];
    coefficients[at(0, c)] = x[at(1, c)] - start;
    coefficients[at(n + 2, c)] = x[at(n - 1, c)] + end;
  }
  return coefficients;
}

template <class Real>
SplineTable<Real>::SplineTable(const SplineGrid &grid, int columns,
                               const std::vector<double> &values,
                               const std::vector<double> &derivatives)
    : inverse_spacing_(static_cast<Real>(1.0 / grid.spacing)), columns_(columns) {
  const std::vector<double> coefficients = spline_coefficients(grid, columns, values, derivatives);
  table_.resize(coefficients.size());
  for (std::size_t k = 0; k < coefficients.size(); ++k)
    table_[k] = static_cast<Real>(coefficients[k]);
}

template <class Real>
FilterRows<Real> SplineTable<Real>::rows() const {
  FilterRows<Real> rows;
  rows.table = table_.data();
  rows.inverse_spacing = inverse_spacing_;
  rows.stride = columns_;
  return rows;
}

template <class Real>
SplineTable<Real> filter_table(const Potential &potential, int l, const SplineGrid &grid) {
  const Kernels<double> &kernel = kernels<double>(Isa::Baseline);
  const KnotFunctions radial(potential, grid);
  const ExactFilter<double> filter(potential, l, kernel);
  const std::size_t size = static_cast<std::size_t>(radial.knots) * filter.stride();
  std::vector<double> values(size), derivatives(size), scratch(filter.scratch_size(radial.knots));
  filter.evaluate(kernel, radial.knots, radial.values.data(), radial.derivatives.data(),
                  scratch.data(), values.data(), derivatives.data());
  return SplineTable<Real>(grid, filter.stride(), values, derivatives);
}

template <class Real>
SplineTable<Real> radial_table(const Potential &potential, const SplineGrid &grid) {
  const KnotFunctions radial(potential, grid);
  return SplineTable<Real>(grid, radial.stride, radial.values, radial.derivatives);
}

template class RadialFunctionSet<float>;
template class RadialFunctionSet<double>;
template class ExactFilter<float>;
template class ExactFilter<double>;
template class SplineTable<float>;
template class SplineTable<double>;
template SplineTable<float> filter_table<float>(const Potential &, int, const SplineGrid &);
template SplineTable<double> filter_table<double>(const Potential &, int, const SplineGrid &);
template SplineTable<float> radial_table<float>(const Potential &, const SplineGrid &);
template SplineTable<double> radial_table<double>(const Potential &, const SplineGrid &);

}  // namespace mlff
