#include "first_layer.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mlff {

namespace {

double silu(double x) { return x / (1.0 + std::exp(-x)); }

/// y = W x + b for one vector.
std::vector<double> affine(const DenseWeights &dense, const std::vector<double> &x) {
  std::vector<double> y(dense.bias);
  for (int o = 0; o < dense.outputs; ++o)
    for (int i = 0; i < dense.inputs; ++i)
      y[o] += dense.weights[std::size_t(o) * dense.inputs + i] * x[i];
  return y;
}

}  // namespace

std::vector<int> element_rows(const Potential &potential, const NetworkOptions &options) {
  const std::vector<std::string> &names =
      options.elements.empty() ? potential.elements : options.elements;
  std::vector<int> rows;
  for (const std::string &name : names) {
    rows.push_back(potential.element_index(name));
    if (rows.back() >= 0) continue;
    std::string known;
    for (const std::string &element : potential.elements) known += ' ' + element;
    throw PotentialError(potential.file + ": elements: there is no element '" + name +
                         "' in this potential; it knows:" + known);
  }
  return rows;
}

std::vector<double> embedding_rows(const Potential &potential, const std::vector<int> &element_rows,
                                   int multiple) {
  const int F = potential.channels, C = padded(F, multiple);
  const std::vector<double> &table = potential.tensor("embedding").values;
  std::vector<double> rows(element_rows.size() * C, 0.0);
  for (std::size_t z = 0; z < element_rows.size(); ++z)
    std::copy_n(table.begin() + std::ptrdiff_t(element_rows[z]) * F, F,
                rows.begin() + std::ptrdiff_t(z) * C);
  return rows;
}

FirstLayer::FirstLayer(const Potential &potential, const std::vector<int> &element_rows,
                       int multiple, int radial_stride, int inputs)
    : embedding(embedding_rows(potential, element_rows, multiple)) {
  const int F = potential.channels, K = potential.number_of_radial_functions;
  const int C = padded(F, multiple), elements = static_cast<int>(element_rows.size());
  const Blocks one = padded_blocks(1, F, multiple), three = padded_blocks(3, F, multiple);
  const DenseWeights phi0 = DenseWeights::read(potential, "phi.0.0", one, one, {0});
  const DenseWeights phi1 = DenseWeights::read(potential, "phi.0.1", three, one, {0, 1});
  const DenseWeights filter =
      DenseWeights::read(potential, "filter.0", three, {1, K, radial_stride}, {0, 1});
  scalar.inputs = vector.inputs = inputs > 0 ? inputs : elements * radial_stride;
  scalar.outputs = vector.outputs = C;
  scalar.weights.assign(std::size_t(C) * scalar.inputs, 0.0);
  vector.weights = scalar.weights;
  for (int z = 0; z < elements; ++z) {
    const auto row = embedding.begin() + std::ptrdiff_t(z) * C;
    std::vector<double> hidden = affine(phi0, {row, row + C});
    for (double &h : hidden) h = silu(h);
    const std::vector<double> x = affine(phi1, hidden);
    for (int f = 0; f < C; ++f)
      for (int k = 0; k <= K; ++k) {
        const auto weight = [&](int o) {
          return k < K ? filter.weights[std::size_t(o) * filter.inputs + k] : filter.bias[o];
        };
        const std::size_t at = std::size_t(f) * scalar.inputs + z * radial_stride + k;
        scalar.weights[at] = x[f] * weight(f);
        vector.weights[at] = x[C + f] * weight(C + f);
      }
  }
}

}  // namespace mlff
