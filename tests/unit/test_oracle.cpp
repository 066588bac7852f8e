// The network against reference numbers that were computed independently
// (tests/fixtures/generate.py).
#include <gtest/gtest.h>

#include <cmath>

#include "backends.h"

namespace mlff::test {
namespace {

class Oracle : public testing::TestWithParam<std::string> {};

TEST_P(Oracle, IsReproducedInDoublePrecision) {
  const Potential potential = load_fixture(GetParam());
  const NetworkOptions options = options_for(potential, Precision::Double, Filters::Exact);
  for (const Backend &backend : backends()) {
    const std::unique_ptr<Network> network = backend.create(potential, options);
    for (const Reference &reference : load_references(GetParam(), potential)) {
      SCOPED_TRACE(backend.name + ", " + reference.name);
      const Evaluation found = evaluate(*network, reference.system);
      const Evaluation &expected = reference.expected;
      const double energy_scale = std::fmax(1.0, std::fabs(expected.energy));
      const double force_scale = std::fmax(1.0, root_mean_square(expected.forces));
      EXPECT_NEAR(found.energy, expected.energy, 1e-10 * energy_scale);
      EXPECT_LE(largest_difference(found.atomic_energies, expected.atomic_energies),
                1e-10 * energy_scale);
      EXPECT_LE(largest_difference(found.forces, expected.forces), 1e-10 * force_scale);
      for (int k = 0; k < 6; ++k)
        EXPECT_NEAR(found.virial[k], expected.virial[k],
                    1e-10 * force_scale * reference.system.size());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Oracle, testing::ValuesIn(fixture_names()),
                         [](const auto &info) { return info.param; });

}  // namespace
}  // namespace mlff::test
