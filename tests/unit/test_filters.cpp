// Radial functions, cutoffs, filters and their spline tables: values against the formulas, slopes
// against central differences.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "differences.h"
#include "evaluation.h"
#include "filters.h"
#include "potential_writer.h"

namespace mlff::test {
namespace {

struct Rows {
  Numbers values, slopes;
};

Edge<double> edge_at(double r, const SplineGrid &grid = {}) {
  Edge<double> edge = {};
  edge.r = r;
  if (grid.intervals == 0) return edge;
  edge.interval = std::min(static_cast<int>(r / grid.spacing), grid.intervals - 1);
  edge.t = r / grid.spacing - edge.interval;
  return edge;
}

Rows radial_at(const Potential &potential, double r, Isa isa) {
  const RadialFunctionSet<double> set(potential);
  Rows rows{Numbers(set.stride(), NAN), Numbers(set.stride(), NAN)};
  const Edge<double> edge = edge_at(r);
  kernels<double>(isa).radial_functions(set.basis(), 1, &edge, set.stride(), rows.values.data(),
                                        rows.slopes.data());
  return rows;
}

Rows filter_at(const Potential &potential, int l, double r, Isa isa) {
  const Kernels<double> &k = kernels<double>(isa);
  const ExactFilter<double> filter(potential, l, k);
  const Rows radial = radial_at(potential, r, isa);
  Rows rows{Numbers(filter.stride(), NAN), Numbers(filter.stride(), NAN)};
  Numbers scratch(filter.scratch_size(1));
  filter.evaluate(k, 1, radial.values.data(), radial.slopes.data(), scratch.data(),
                  rows.values.data(), rows.slopes.data());
  return rows;
}

/// A table's row at one edge, read through the kernels that use it.
Rows table_at(const SplineTable<double> &table, const Edge<double> &edge, Isa isa) {
  const Kernels<double> &k = kernels<double>(isa);
  const FilterRows<double> rows = table.rows();
  const int n = rows.stride;
  Rows found{Numbers(n), Numbers(n)};
  Numbers vector(3 * n), zero(3 * n, 0.0), one(n, 0.0);
  k.element_sums(rows, 1, 1, &edge, found.values.data(), vector.data());
  for (int c = 0; c < n; ++c) {
    EdgeGradient<double> gradient = {};
    one[c] = 1.0;
    k.element_sums_adjoint(rows, 1, 1, &edge, one.data(), zero.data(), &gradient);
    found.slopes[c] = gradient.r;
    one[c] = 0.0;
  }
  return found;
}

/// Radial function k times cutoff, as doc/potential_format.md states it; k = K is the cutoff
/// itself.
double radial_formula(const Potential &p, int k, double r) {
  if (r >= p.cutoff) return 0.0;
  const double x = r / p.cutoff;
  const double fc = p.cutoff_function == CutoffFunction::Cosine ? 0.5 * (std::cos(M_PI * x) + 1)
                                                                : std::exp(1 - 1 / (1 - x * x));
  if (k == p.number_of_radial_functions) return fc;
  if (p.radial_functions == RadialFunctions::Bessel)
    return std::sin(p.tensor("radial.frequencies").values[k] * r) / r * fc;
  const double d = (r - p.tensor("radial.centers").values[k]) / p.tensor("radial.widths").values[k];
  return std::exp(-0.5 * d * d) * fc;
}

class Filter : public testing::TestWithParam<Isa> {
 protected:
  /// Each combination of radial and cutoff functions.
  static std::vector<Potential> potentials() {
    std::vector<Potential> all;
    for (const RadialFunctions radial : {RadialFunctions::Gaussian, RadialFunctions::Bessel})
      for (const CutoffFunction cutoff : {CutoffFunction::Cosine, CutoffFunction::Mollifier})
        for (const int K : {1, 5, 15, 16, 20}) {
          WriterOptions options;
          options.radial_functions = radial;
          options.cutoff_function = cutoff;
          options.number_of_radial_functions = K;
          options.cutoff = 4.5;
          all.push_back(random_potential(options));
        }
    return all;
  }
};

INSTANTIATE_TEST_SUITE_P(Isas, Filter, testing::ValuesIn(available_isas()),
                         [](const auto &info) { return std::string(name(info.param)); });

TEST_P(Filter, RadialFunctionsFollowTheirFormulas) {
  for (const Potential &p : potentials())
    for (const double r : {0.01, 0.7, 1.9, 3.3, 4.49, 4.5, 4.6}) {
      const Rows rows = radial_at(p, r, GetParam());
      const int K = p.number_of_radial_functions;
      for (int k = 0; k <= K; ++k)
        ASSERT_NEAR(rows.values[k], radial_formula(p, k, r),
                    1e-13 * (1 + std::fabs(rows.values[k])))
            << "function " << k << " at " << r;
      for (std::size_t k = K + 1; k < rows.values.size(); ++k) {
        ASSERT_EQ(rows.values[k], 0.0);
        ASSERT_EQ(rows.slopes[k], 0.0);
      }
    }
}

TEST_P(Filter, RadialSlopesAreDerivatives) {
  for (const Potential &p : potentials())
    for (const double r : {0.3, 0.7, 1.9, 3.3, 4.3}) {
      const Rows rows = radial_at(p, r, GetParam());
      double scale = 1.0;
      for (const double slope : rows.slopes) scale = std::fmax(scale, std::fabs(slope));
      for (int k = 0; k <= p.number_of_radial_functions; ++k) {
        const double expected =
            derivative([&](double h) { return radial_formula(p, k, r + h); }, 1e-4);
        ASSERT_NEAR(rows.slopes[k], expected, 1e-9 * scale) << "function " << k << " at " << r;
      }
    }
}

TEST_P(Filter, MollifierEndsWithoutOverflow) {
  WriterOptions options;
  options.cutoff_function = CutoffFunction::Mollifier;
  const Potential p = random_potential(options);
  for (const double gap : {1e-2, 1e-4, 1e-8, 1e-12, 1e-15}) {
    const Rows rows = radial_at(p, p.cutoff * (1 - gap), GetParam());
    for (std::size_t k = 0; k < rows.values.size(); ++k) {
      ASSERT_TRUE(std::isfinite(rows.values[k])) << gap;
      ASSERT_TRUE(std::isfinite(rows.slopes[k])) << gap;
    }
  }
}

class FixtureFilter : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Fixtures, FixtureFilter, testing::ValuesIn(fixture_names()),
                         [](const auto &info) { return info.param; });

TEST_P(FixtureFilter, SlopesAreDerivatives) {
  const Potential p = load_fixture(GetParam());
  for (const Isa isa : available_isas())
    for (int l = 0; l < p.layers; ++l)
      for (const double x : {0.15, 0.4, 0.77, 0.95}) {
        const double r = x * p.cutoff;
        const Rows here = filter_at(p, l, r, isa);
        const double h = 1e-4 * p.cutoff;
        const Rows at[4] = {filter_at(p, l, r + h, isa), filter_at(p, l, r - h, isa),
                            filter_at(p, l, r + 2 * h, isa), filter_at(p, l, r - 2 * h, isa)};
        for (std::size_t f = 0; f < here.values.size(); ++f) {
          const double expected =
              (8 * (at[0].values[f] - at[1].values[f]) - (at[2].values[f] - at[3].values[f])) /
              (12 * h);
          ASSERT_NEAR(here.slopes[f], expected, 1e-8 * (1 + largest(here.slopes)))
              << "column " << f;
        }
      }
}

TEST_P(FixtureFilter, PainnFiltersEndAtTheCutoff) {
  const Potential p = load_fixture(GetParam());
  const Rows rows = filter_at(p, 0, p.cutoff * (1 - 1e-9), best_isa());
  if (p.architecture == Architecture::PaiNN)
    EXPECT_LT(largest(rows.values), 1e-15);
  else
    EXPECT_GT(largest(rows.values), 1e-3);  // the defect that belongs to these weights
}

TEST_P(FixtureFilter, TableFollowsTheExactFilter) {
  const Potential p = load_fixture(GetParam());
  const SplineGrid grid = spline_grid(p);
  const Isa isa = best_isa();
  const SplineTable<double> table = filter_table<double>(p, p.layers - 1, grid);
  double scale = 0.0, deviation = 0.0, slope_scale = 0.0, slope_deviation = 0.0;
  for (int k = 0; k < 97; ++k) {
    // Pairs of atoms are never nearer than a tenth of the cutoff.
    const double r = p.cutoff * (0.1 + 0.9 * (k + 0.37) / 97);
    const Rows exact = filter_at(p, p.layers - 1, r, isa),
               found = table_at(table, edge_at(r, grid), isa);
    scale = std::fmax(scale, largest(exact.values));
    deviation = std::fmax(deviation, largest_difference(exact.values, found.values));
    slope_scale = std::fmax(slope_scale, largest(exact.slopes));
    slope_deviation = std::fmax(slope_deviation, largest_difference(exact.slopes, found.slopes));
  }
  EXPECT_LT(deviation, 1e-6 * scale);
  EXPECT_LT(slope_deviation, 3e-5 * slope_scale);
  RecordProperty("deviation", std::to_string(deviation / scale));
}

TEST_P(FixtureFilter, TableEndsLikeTheExactFilter) {
  const Potential p = load_fixture(GetParam());
  const SplineGrid grid = spline_grid(p);
  const Isa isa = best_isa();
  const SplineTable<double> table = filter_table<double>(p, 0, grid);
  const double r = p.cutoff * (1 - 1e-12);
  const Rows exact = filter_at(p, 0, r, isa), found = table_at(table, edge_at(r, grid), isa);
  EXPECT_LT(largest_difference(exact.values, found.values), 1e-11 * (1 + largest(exact.values)));
  EXPECT_LT(largest_difference(exact.slopes, found.slopes), 1e-8 * (1 + largest(exact.slopes)));
}

// ------------------------------------------------------------------------------ tables

/// Columns of cubic polynomials, which cubic splines must reproduce exactly, and of a sine.
struct TableExample {
  static constexpr int kColumns = 16;
  SplineGrid grid{10, 0.35};
  SplineTable<double> table;
  TableExample() {
    Numbers values, slopes;
    for (int k = 0; k <= grid.intervals; ++k)
      for (int c = 0; c < kColumns; ++c) {
        values.push_back(value(c, k * grid.spacing));
        slopes.push_back(slope(c, k * grid.spacing));
      }
    table = SplineTable<double>(grid, kColumns, values, slopes);
  }
  static bool is_cubic(int c) { return c < kColumns - 1; }
  static double value(int c, double r) {
    return is_cubic(c) ? 1 + c * r - 0.3 * r * r + 0.1 * c * r * r * r : std::sin(2 * r);
  }
  static double slope(int c, double r) {
    return is_cubic(c) ? c - 0.6 * r + 0.3 * c * r * r : 2 * std::cos(2 * r);
  }
};

TEST_P(Filter, TablesReproduceCubics) {
  const TableExample example;
  for (const double x : {0.0, 0.21, 1.0, 3.5, 5.999, 9.0, 9.7, 10.0}) {
    const double r = x * example.grid.spacing;
    const Rows found = table_at(example.table, edge_at(r, example.grid), GetParam());
    for (int c = 0; c < TableExample::kColumns - 1; ++c) {
      ASSERT_NEAR(found.values[c], example.value(c, r), 1e-11) << c << " at " << r;
      ASSERT_NEAR(found.slopes[c], example.slope(c, r), 1e-10) << c << " at " << r;
    }
  }
}

TEST_P(Filter, TableSlopesAreExactDerivativesOfTheTable) {
  const TableExample example;
  const int sine = TableExample::kColumns - 1;
  for (const double x : {0.3, 1.5, 4.6, 9.5}) {
    const double r = x * example.grid.spacing;
    const auto value = [&](double h) {
      return table_at(example.table, edge_at(r + h, example.grid), GetParam()).values[sine];
    };
    EXPECT_NEAR(table_at(example.table, edge_at(r, example.grid), GetParam()).slopes[sine],
                derivative(value, 1e-3), 1e-11);
  }
}

TEST_P(Filter, TablesAreSmoothAtIntervalBorders) {
  const TableExample example;
  for (int k = 1; k < example.grid.intervals; ++k) {
    Edge<double> left = {}, right = {};
    left.interval = k - 1;
    left.t = 1;
    right.interval = k;
    const Rows a = table_at(example.table, left, GetParam()),
               b = table_at(example.table, right, GetParam());
    EXPECT_LT(largest_difference(a.values, b.values), 1e-12);
    EXPECT_LT(largest_difference(a.slopes, b.slopes), 1e-11);
  }
}

TEST(Spline, IsClampedAtBothEnds) {
  const SplineGrid grid{4, 0.5};
  const Numbers values = random_numbers(5, 1), slopes = random_numbers(5, 2);
  const Numbers c = spline_coefficients(grid, 1, values, slopes);
  ASSERT_EQ(c.size(), 7u);
  for (int k = 0; k <= 4; ++k) EXPECT_NEAR((c[k] + 4 * c[k + 1] + c[k + 2]) / 6, values[k], 1e-13);
  EXPECT_NEAR((c[2] - c[0]) / (2 * grid.spacing), slopes[0], 1e-13);
  EXPECT_NEAR((c[6] - c[4]) / (2 * grid.spacing), slopes[4], 1e-13);
}

}  // namespace
}  // namespace mlff::test
