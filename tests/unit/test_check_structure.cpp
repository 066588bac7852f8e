// Damage to the check structure, which the hash does not cover, shows when it is recomputed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <random>

#include "diagnostics.h"
#include "potential.h"

namespace mlff {
namespace {

std::string fixture() {
  std::ifstream file(MLFF_SOURCE_DIR "/tests/fixtures/painn_f8_l1.yaml", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

double largest(const std::vector<double> &values) {
  double result = 0.0;
  for (const double value : values) result = std::max(result, std::abs(value));
  return result;
}

double largest_difference(const std::vector<double> &a, const std::vector<double> &b) {
  if (a.size() != b.size()) return INFINITY;
  double result = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) result = std::max(result, std::abs(a[i] - b[i]));
  return result;
}

TEST(CheckStructure, IsReproduced) {
  EXPECT_NO_THROW(verify_check_structure(Potential::parse(fixture(), "FILE")));
}

TEST(CheckStructure, RefusesAtomsInOnePlace) {
  std::string text = fixture();
  const std::string second = "[-0.2515, 0.8416, 0.9767]";
  ASSERT_NE(text.find(second), std::string::npos);
  text.replace(text.find(second), second.size(), "[0.0, 0.0, 0.0]");
  EXPECT_THROW(verify_check_structure(Potential::parse(text, "FILE")), PotentialError);
}

TEST(CheckStructure, RandomDamageIsRefusedOrBelowTheTolerances) {
  const std::string text = fixture();
  const std::size_t begin = text.find("\ncheck:");
  ASSERT_NE(begin, std::string::npos);
  const Potential original = Potential::parse(text, "FILE");
  std::mt19937 random(20261120);
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string damaged = text;
    const std::size_t where = begin + random() % (text.size() - begin);
    damaged[where] = static_cast<char>(damaged[where] ^ static_cast<char>(1 + random() % 255));
    SCOPED_TRACE("byte " + std::to_string(where) + " became " +
                 std::to_string(int(damaged[where])));
    try {
      const Potential potential = Potential::parse(damaged, "FILE");
      verify_check_structure(potential);
      const CheckStructure &a = original.check, &b = potential.check;
      EXPECT_EQ(a.elements, b.elements);
      // A move along which energy and forces stay within their tolerances is not seen, nor does it
      // matter.
      EXPECT_LT(largest_difference(a.positions, b.positions), 1e-4);
      EXPECT_LE(std::abs(a.energy - b.energy), 2.1e-8 * std::abs(a.energy));
      EXPECT_LE(largest_difference(a.forces, b.forces), 2.1e-7 * largest(a.forces));
    } catch (const PotentialError &) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace mlff
