// Every kernel's adjoint against central differences of the kernel, in double precision, and the
// kernels' values against the equations written plainly.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "differences.h"
#include "evaluation.h"
#include "filters.h"
#include "kernels.h"

namespace mlff::test {
namespace {

constexpr double kTolerance = 1e-9;
constexpr int kWidths[] = {16, 32, 48,
                           80};  // padded channels: whole blocks of vectors, and remainders

class Adjoints : public testing::TestWithParam<Isa> {
 protected:
  const Kernels<double> &k = kernels<double>(GetParam());
};

/// Where feature k of channel f lies in an interleaved row of n features.
template <int n>
int at(int k, int f) {
  return interleaved<n>(f) + k * kChannelBlock;
}

/// A row of n plain features of C channels each, interleaved.
template <int n>
Numbers interleave(const Numbers &x) {
  const int C = static_cast<int>(x.size()) / n;
  Numbers y(x.size());
  for (int k = 0; k < n; ++k)
    for (int f = 0; f < C; ++f) y[at<n>(k, f)] = x[k * C + f];
  return y;
}

INSTANTIATE_TEST_SUITE_P(Isas, Adjoints, testing::ValuesIn(available_isas()),
                         [](const auto &info) { return std::string(name(info.param)); });

// ---------------------------------------------------------------------------- dense layers

DenseWeights random_layer(int inputs, int outputs, bool bias, unsigned seed) {
  DenseWeights dense;
  dense.inputs = inputs;
  dense.outputs = outputs;
  dense.weights = random_numbers(std::size_t(inputs) * outputs, seed);
  for (double &w : dense.weights) w /= std::sqrt(double(inputs));
  if (bias) dense.bias = random_numbers(outputs, seed + 1);
  return dense;
}

TEST_P(Adjoints, TwoDenseLayersWithSilu) {
  constexpr int inputs = 32, hidden = 48, outputs = 16;
  const LayerPair<double> first(random_layer(inputs, hidden, true, 1), k.panel);
  const LayerPair<double> second(random_layer(hidden, outputs, true, 2), k.panel);
  for (const int rows : {1, 2, 3, 5, 7, 13, 25}) {
    SCOPED_TRACE(rows);
    Numbers h(rows * hidden), slope(rows * hidden);
    const auto forward = [&](const Numbers &x) {
      Numbers y(rows * outputs);
      k.dense(first.forward.view(), rows, {x.data(), inputs}, {h.data(), hidden}, Epilogue::Silu,
              {slope.data(), hidden});
      k.dense(second.forward.view(), rows, {h.data(), hidden}, {y.data(), outputs}, Epilogue::Store,
              {});
      return y;
    };
    const Numbers x = random_numbers(rows * inputs, 3), y_bar = random_numbers(rows * outputs, 4);
    const Numbers expected = numeric_adjoint(forward, x, y_bar);
    forward(x);
    Numbers h_bar(rows * hidden), x_bar = random_numbers(rows * inputs, 5), before = x_bar;
    k.dense(second.adjoint.view(), rows, {y_bar.data(), outputs}, {h_bar.data(), hidden},
            Epilogue::Multiply, {slope.data(), hidden});
    k.dense(first.adjoint.view(), rows, {h_bar.data(), hidden}, {x_bar.data(), inputs},
            Epilogue::Add, {});
    for (std::size_t i = 0; i < x_bar.size(); ++i)
      ASSERT_NEAR(x_bar[i] - before[i], expected[i], kTolerance) << i;
  }
}

// -------------------------------------------------------------------------------- edges

/// Filter rows as smooth functions of r, either tabulated or evaluated for each edge.
class FilterModel {
 public:
  static constexpr double kCutoff = 4.0;

  FilterModel(Filters mode, int columns, unsigned seed)
      : columns_(columns),
        amplitude_(random_numbers(columns, seed)),
        phase_(random_numbers(columns, seed + 1)) {
    if (mode == Filters::Exact) return;
    grid_ = {8, kCutoff / 8};
    Numbers values, derivatives;
    for (int knot = 0; knot <= grid_.intervals; ++knot)
      for (int c = 0; c < columns; ++c) {
        values.push_back(value(c, knot * grid_.spacing));
        derivatives.push_back(slope(c, knot * grid_.spacing));
      }
    table_ = SplineTable<double>(grid_, columns, values, derivatives);
  }

  /// Edges from x = (r, u) each, between `neighbours`; elements alternate.
  std::vector<Edge<double>> edges(const Numbers &x, const std::vector<int> &neighbours) const {
    std::vector<Edge<double>> all(neighbours.size());
    for (std::size_t e = 0; e < all.size(); ++e) {
      all[e].neighbour = neighbours[e];
      all[e].element = static_cast<int>(e) % 2;
      all[e].r = x[4 * e];
      for (int c = 0; c < 3; ++c) all[e].u[c] = x[4 * e + 1 + c];
      if (grid_.intervals == 0) continue;
      all[e].interval = static_cast<int>(all[e].r / grid_.spacing);
      all[e].t = all[e].r / grid_.spacing - all[e].interval;
    }
    return all;
  }

  /// The rows for these edges; the arrays live until the next call.
  FilterRows<double> rows(const std::vector<Edge<double>> &edges) {
    if (grid_.intervals > 0) return table_.rows();
    values_.clear();
    derivatives_.clear();
    for (const Edge<double> &edge : edges)
      for (int c = 0; c < columns_; ++c) {
        values_.push_back(value(c, edge.r));
        derivatives_.push_back(slope(c, edge.r));
      }
    FilterRows<double> rows;
    rows.values = values_.data();
    rows.derivatives = derivatives_.data();
    rows.stride = columns_;
    return rows;
  }

 private:
  double value(int c, double r) const { return amplitude_[c] * std::sin(1.5 * r + phase_[c]); }
  double slope(int c, double r) const {
    return 1.5 * amplitude_[c] * std::cos(1.5 * r + phase_[c]);
  }

  int columns_;
  Numbers amplitude_, phase_, values_, derivatives_;
  SplineGrid grid_;
  SplineTable<double> table_;
};

/// (r, u) of n edges; r stays away from the knots, where the third derivative jumps.
Numbers random_geometry(std::size_t n, unsigned seed) {
  Numbers x = random_numbers(4 * n, seed);
  for (std::size_t e = 0; e < n; ++e) x[4 * e] = 0.5 * (1 + e % 6) + 0.25 + 0.2 * x[4 * e];
  return x;
}

TEST_P(Adjoints, SumsOfRadialFunctionsByElement) {
  constexpr int elements = 2, stride = 32, edges = 7;
  const std::vector<int> neighbours(edges, 0);
  for (const Filters mode : {Filters::Exact, Filters::Spline}) {
    SCOPED_TRACE(mode == Filters::Exact ? "exact" : "spline");
    FilterModel model(mode, stride, 1);
    const auto sums = [&](const Numbers &x) {
      const std::vector<Edge<double>> edge = model.edges(x, neighbours);
      Numbers y(4 * elements * stride, NAN);  // the kernel sets them
      k.element_sums(model.rows(edge), elements, edges, edge.data(), y.data(),
                     y.data() + elements * stride);
      return y;
    };
    const Numbers x = random_geometry(edges, 2), y_bar = random_numbers(4 * elements * stride, 3);
    const Numbers expected = numeric_adjoint(sums, x, y_bar);
    const std::vector<Edge<double>> edge = model.edges(x, neighbours);
    std::vector<EdgeGradient<double>> gradient(edges, {0.5, {1, 2, 3}});  // the kernel adds
    k.element_sums_adjoint(model.rows(edge), elements, edges, edge.data(), y_bar.data(),
                           y_bar.data() + elements * stride, gradient.data());
    for (int e = 0; e < edges; ++e) {
      EXPECT_NEAR(gradient[e].r - 0.5, expected[4 * e], kTolerance);
      for (int c = 0; c < 3; ++c)
        EXPECT_NEAR(gradient[e].u[c] - (1 + c), expected[4 * e + 1 + c], kTolerance);
    }
  }
}

/// Four atoms that all see each other: directed edges by centre, and each edge's reverse.
struct Clique {
  static constexpr int kAtoms = 4, kEdges = kAtoms * (kAtoms - 1), kDegree = kAtoms - 1;
  std::vector<int> neighbours, reverse;
  Clique() : reverse(kEdges) {
    for (int i = 0; i < kAtoms; ++i)
      for (int j = 0; j < kAtoms; ++j)
        if (i != j) neighbours.push_back(j);
    for (int e = 0; e < kEdges; ++e)
      for (int b = 0; b < kEdges; ++b)
        if (neighbours[b] == e / kDegree && b / kDegree == neighbours[e]) reverse[e] = b;
  }
  /// Geometry with r_ji = r_ij and u_ji = -u_ij.
  Numbers geometry(unsigned seed) const {
    Numbers x = random_geometry(kEdges, seed);
    for (int e = 0; e < kEdges; ++e) {
      const int b = reverse[e];
      if (b < e) continue;
      x[4 * b] = x[4 * e];
      for (int c = 1; c < 4; ++c) x[4 * b + c] = -x[4 * e + c];
    }
    return x;
  }
};

TEST_P(Adjoints, Messages) {
  const Clique clique;
  constexpr int N = Clique::kAtoms, E = Clique::kEdges, D = Clique::kDegree;
  for (const int C : {16, 48})
    for (const Filters mode : {Filters::Exact, Filters::Spline}) {
      SCOPED_TRACE(testing::Message() << C << (mode == Filters::Exact ? " exact" : " spline"));
      FilterModel model(mode, 3 * C, 1);
      const Numbers start = random_numbers(4 * N * C, 9);
      // x: geometry of the directed edges, then senders; each edge moves on its own here.
      const auto messages = [&](const Numbers &x) {
        const std::vector<Edge<double>> edge = model.edges(x, clique.neighbours);
        Numbers features = start;  // messages are added
        for (int i = 0; i < N; ++i) {
          const std::vector<Edge<double>> own(edge.begin() + i * D, edge.begin() + (i + 1) * D);
          k.message(C, model.rows(own), D, own.data(), x.data() + 4 * E,
                    features.data() + 4 * C * i, features.data() + 4 * C * i + C);
        }
        return features;
      };
      const Numbers x = joined({clique.geometry(2), random_numbers(5 * N * C, 3)});
      const Numbers h = random_numbers(4 * N * C, 4);
      const Numbers expected = numeric_adjoint(messages, x, h);
      Numbers features_bar;
      for (int i = 0; i < N; ++i)
        features_bar = joined({features_bar, interleave<4>(part(h, 4 * C * i, 4 * C))});
      const std::vector<Edge<double>> edge = model.edges(x, clique.neighbours);
      std::vector<EdgeGradient<double>> gradient(E, {0.5, {1, 2, 3}});
      for (int j = 0; j < N; ++j) {
        Numbers sender_bar(5 * C, NAN);
        const std::vector<Edge<double>> own(edge.begin() + j * D, edge.begin() + (j + 1) * D);
        k.message_adjoint(C, model.rows(own), D, own.data(), x.data() + 4 * E + 5 * C * j,
                          features_bar.data(), sender_bar.data(), gradient.data() + j * D);
        for (int f = 0; f < 5 * C; ++f)
          ASSERT_NEAR(sender_bar[f], expected[4 * E + 5 * C * j + f], kTolerance) << f;
      }
      for (int e = 0; e < E; ++e) {
        const EdgeGradient<double> &back = gradient[clique.reverse[e]];
        EXPECT_NEAR(back.r - 0.5, expected[4 * e], kTolerance);
        for (int c = 0; c < 3; ++c)
          EXPECT_NEAR(-(back.u[c] - (1 + c)), expected[4 * e + 1 + c], kTolerance);
      }
    }
}

TEST_P(Adjoints, MessageIsThePaper) {
  constexpr int C = 32, edges = 3;
  FilterModel model(Filters::Exact, 3 * C, 1);
  const std::vector<int> neighbours = {1, 0, 2};
  const std::vector<Edge<double>> edge = model.edges(random_geometry(edges, 2), neighbours);
  const FilterRows<double> rows = model.rows(edge);
  const Numbers senders = random_numbers(3 * 5 * C, 3);
  Numbers s(C), v(3 * C);
  k.message(C, rows, edges, edge.data(), senders.data(), s.data(), v.data());
  for (int f = 0; f < C; ++f) {
    double expected_s = 0.0, expected_v[3] = {};
    for (int e = 0; e < edges; ++e) {
      const double *W = rows.values + e * rows.stride, *x = &senders[5 * C * neighbours[e]];
      expected_s += x[at<5>(0, f)] * W[at<3>(0, f)];
      for (int c = 0; c < 3; ++c)
        expected_v[c] +=
            x[at<5>(1, f)] * W[at<3>(1, f)] * edge[e].u[c] + W[at<3>(2, f)] * x[at<5>(2 + c, f)];
    }
    EXPECT_NEAR(s[f], expected_s, 1e-14);
    for (int c = 0; c < 3; ++c) EXPECT_NEAR(v[c * C + f], expected_v[c], 1e-14);
  }
}

// ---------------------------------------------------------------------- within one atom

TEST_P(Adjoints, Senders) {
  for (const int C : kWidths) {
    const auto sender = [&](const Numbers &x) {
      Numbers y(5 * C);
      k.make_sender(C, x.data(), x.data() + 3 * C, y.data());
      return y;
    };
    const Numbers x = random_numbers(6 * C, 1), y_bar = random_numbers(5 * C, 2);
    const Numbers expected = numeric_adjoint(sender, x, y_bar), y = sender(x);
    for (int f = 0; f < C; ++f)
      for (int c = 0; c < 3; ++c)
        EXPECT_NEAR(y[at<5>(2 + c, f)], x[2 * C + f] * x[(3 + c) * C + f], 1e-14);
    Numbers x_bar(3 * C, NAN), v_bar(3 * C, 0.25);
    k.make_sender_adjoint(C, x.data() + 2 * C, x.data() + 3 * C, y_bar.data(), x_bar.data(),
                          v_bar.data());
    for (int f = 0; f < 3 * C; ++f) {
      ASSERT_NEAR(x_bar[f], expected[f], kTolerance) << f;
      ASSERT_NEAR(v_bar[f] - 0.25, expected[3 * C + f], kTolerance) << f;
    }
  }
}

TEST_P(Adjoints, UpdateAndNorm) {
  constexpr double epsilon = 1e-3;
  for (const int C : kWidths)
    for (const bool vectors : {true, false}) {
      SCOPED_TRACE(testing::Message() << C << ", vectors " << vectors);
      const int G = vectors ? 3 * C : 2 * C;
      // x: gates, mixed, s, v; y: s, v behind the update, and n
      const auto step = [&](const Numbers &x) {
        Numbers y = joined({part(x, G + 6 * C, 4 * C), Numbers(C)});
        const double *mixed = x.data() + G;
        k.update(C, x.data(), mixed, y.data(), vectors ? y.data() + C : nullptr);
        k.norm(C, epsilon, mixed, y.data() + 4 * C);
        return y;
      };
      const Numbers x = random_numbers(G + 10 * C, 1);
      Numbers y_bar = random_numbers(5 * C, 2);
      const Numbers features_bar = part(y_bar, 0, 4 * C), n_bar = part(y_bar, 4 * C, C);
      if (!vectors)
        std::fill(y_bar.begin() + C, y_bar.begin() + 4 * C, 0.0);  // not to be read then
      const Numbers expected = numeric_adjoint(step, x, y_bar, 1e-4), y = step(x);
      Numbers gates_bar(G, NAN), mixed_bar(6 * C, NAN);
      k.update_adjoint_gates(C, x.data() + G, features_bar.data(), vectors, gates_bar.data());
      k.update_adjoint_mix(C, x.data(), x.data() + G, y.data() + 4 * C, n_bar.data(),
                           features_bar.data(), vectors, mixed_bar.data());
      for (int f = 0; f < G; ++f) ASSERT_NEAR(gates_bar[f], expected[f], kTolerance) << f;
      for (int f = 0; f < 6 * C; ++f) ASSERT_NEAR(mixed_bar[f], expected[G + f], kTolerance) << f;
    }
}

TEST_P(Adjoints, UpdateIsThePaper) {
  constexpr int C = 16;
  const Numbers gates = random_numbers(3 * C, 1), mixed = random_numbers(6 * C, 2);
  const Numbers before = random_numbers(4 * C, 3);
  Numbers after = before, n(C);
  k.update(C, gates.data(), mixed.data(), after.data(), after.data() + C);
  k.norm(C, 0.01, mixed.data(), n.data());
  for (int f = 0; f < C; ++f) {
    double VW = 0.0, VV = 0.0;
    for (int c = 0; c < 3; ++c) {
      const double V = mixed[2 * c * C + f], W = mixed[(2 * c + 1) * C + f];
      VW += V * W;
      VV += V * V;
      EXPECT_NEAR(after[(1 + c) * C + f], before[(1 + c) * C + f] + gates[2 * C + f] * W, 1e-14);
    }
    EXPECT_NEAR(after[f], before[f] + gates[f] + gates[C + f] * VW, 1e-14);
    EXPECT_NEAR(n[f], std::sqrt(VV + 0.01), 1e-14);
  }
}

TEST_P(Adjoints, DistillerUpdateAndNorm) {
  const Numbers mixing = random_numbers(9, 7);
  for (const int C : kWidths) {
    // x: gates, v, s; y: s, v behind the update, and n = |v| before it
    const auto step = [&](const Numbers &x) {
      Numbers y = joined({part(x, 6 * C, C), part(x, 3 * C, 3 * C), Numbers(C)});
      k.distiller_norm(C, x.data() + 3 * C, y.data() + 4 * C);
      k.distiller_update(C, x.data(), mixing.data(), y.data(), y.data() + C);
      return y;
    };
    Numbers x = random_numbers(7 * C, 1);
    for (int f = 3 * C; f < 6 * C; ++f) x[f] += x[f] > 0 ? 0.3 : -0.3;  // away from |v| = 0
    const Numbers y_bar = random_numbers(5 * C, 2), y = step(x);
    const Numbers expected = numeric_adjoint(step, x, y_bar, 1e-4);
    Numbers gates_bar(3 * C, NAN), v_bar = part(y_bar, C, 3 * C);
    k.distiller_update_adjoint_gates(C, mixing.data(), x.data() + 3 * C, y_bar.data(),
                                     gates_bar.data());
    k.distiller_update_adjoint_vectors(C, x.data(), mixing.data(), x.data() + 3 * C,
                                       y.data() + 4 * C, y_bar.data() + 4 * C, v_bar.data());
    for (int f = 0; f < 3 * C; ++f) {
      ASSERT_NEAR(gates_bar[f], expected[f], kTolerance) << f;
      ASSERT_NEAR(v_bar[f], expected[3 * C + f], kTolerance) << f;
    }
    for (int f = 0; f < C; ++f)
      for (int a = 0; a < 3; ++a) {
        double Mv = 0.0;
        for (int b = 0; b < 3; ++b) Mv += mixing[3 * a + b] * x[(3 + b) * C + f];
        EXPECT_NEAR(y[(1 + a) * C + f], x[C + f] * x[(3 + a) * C + f] + x[2 * C + f] * Mv, 1e-13);
      }
  }
}

TEST_P(Adjoints, DistillerNormHasNoGradientAtZero) {
  constexpr int C = 16;
  const Numbers gates(3 * C, 0.0), mixing(9, 1.0), v(3 * C, 0.0), n(C, 0.0), n_bar(C, 1.0);
  Numbers v_bar = random_numbers(3 * C, 1);
  k.distiller_update_adjoint_vectors(C, gates.data(), mixing.data(), v.data(), n.data(),
                                     n_bar.data(), v_bar.data());
  for (const double value : v_bar) EXPECT_EQ(value, 0.0);
}

}  // namespace
}  // namespace mlff::test
