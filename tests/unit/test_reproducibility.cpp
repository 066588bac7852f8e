// The same bits each time, and trouble that is named before it spreads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backends.h"
#include "neighbour_search.h"

namespace mlff::test {
namespace {

class Reproducibility : public testing::TestWithParam<Case>, protected NetworkTest {
 protected:
  Reproducibility() : NetworkTest(GetParam()) {}

  std::vector<System> systems() const {
    return {random_liquid(potential, potential.channels > 24 ? 50 : 100, 1),
            random_cluster(potential, 7, 2), random_cluster(potential, 49, 3)};
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Reproducibility, testing::ValuesIn(cases()),
                         [](const auto &info) { return case_name(info.param); });

void expect_same_bits(const Evaluation &a, const Evaluation &b) {
  EXPECT_EQ(a.energy, b.energy);
  EXPECT_EQ(a.atomic_energies, b.atomic_energies);
  EXPECT_EQ(a.forces, b.forces);
  EXPECT_EQ(a.virial, b.virial);
  EXPECT_EQ(a.atomic_virial, b.atomic_virial);
}

constexpr Precision kPrecisions[] = {Precision::Double, Precision::Mixed, Precision::Single};

TEST_P(Reproducibility, RepeatsAndOtherSystemsInBetweenChangeNoBit) {
  const std::pair<Precision, Filters> modes[] = {{Precision::Double, Filters::Exact},
                                                 {Precision::Mixed, Filters::Spline},
                                                 {Precision::Single, Filters::Spline}};
  const std::vector<System> all = systems();
  for (const auto &[precision, filters] : modes) {
    const std::unique_ptr<Network> net = network(precision, filters);
    std::vector<Evaluation> first;
    for (const System &system : all)
      first.push_back(evaluate(*network(precision, filters), system));
    for (int round = 0; round < 2; ++round)
      for (std::size_t k = 0; k < all.size(); ++k)
        expect_same_bits(evaluate(*net, all[k]), first[k]);
  }
}

class Threads : public Reproducibility {};

INSTANTIATE_TEST_SUITE_P(Backends, Threads, testing::ValuesIn(cases_on_one_backend()),
                         [](const auto &info) { return case_name(info.param); });

TEST_P(Threads, ChangeNoBit) {
  for (const Precision precision : {Precision::Double, Precision::Single}) {
    NetworkOptions options = options_for(potential, precision, Filters::Spline);
    for (const System &system : systems()) {
      options.threads = 1;
      const Evaluation one = evaluate(*backend.create(potential, options), system);
      for (const int threads : {2, 3}) {
        SCOPED_TRACE(testing::Message() << threads << " threads, " << system.size() << " atoms");
        options.threads = threads;
        expect_same_bits(evaluate(*backend.create(potential, options), system), one);
      }
    }
  }
}

TEST_P(Reproducibility, WorkSpaceDoesNotGrowWithUse) {
  for (const Filters filters : {Filters::Exact, Filters::Spline}) {
    const std::unique_ptr<Network> net = network(Precision::Single, filters);
    const System large = random_liquid(potential, 60, 1), small = random_cluster(potential, 10, 2);
    evaluate(*net, large);
    const std::size_t bytes = net->workspace_bytes();
    EXPECT_GT(bytes, 0u);
    for (int k = 0; k < 3; ++k) {
      evaluate(*net, small);
      evaluate(*net, large);
      EXPECT_EQ(net->workspace_bytes(), bytes);
    }
  }
}

// ------------------------------------------------------------------------------ trouble

/// Evaluates, expects a NonFiniteError and untouched results, and returns the atom that it names.
int atom_in_trouble(Network &net, const System &system) {
  // The search for neighbours needs positions that are numbers.
  System placeable = system;
  for (double &x : placeable.positions)
    if (!std::isfinite(x)) x = 0.0;
  const Structure structure(placeable.positions, placeable.elements, placeable.cell, net.cutoff());
  Atoms atoms = structure.atoms();
  std::vector<double> positions(3 * structure.total());
  std::copy_n(&atoms.positions[0][0], positions.size(), positions.begin());
  std::copy(system.positions.begin(), system.positions.end(), positions.begin());
  atoms.positions = reinterpret_cast<const double(*)[3]>(positions.data());
  std::vector<double> forces(3 * structure.total(), 1.0), energies(structure.total(), 2.0),
      virials(9 * structure.total(), 3.0);
  Results results;
  results.want_virial = true;
  results.forces = reinterpret_cast<double(*)[3]>(forces.data());
  results.atomic_energies = energies.data();
  results.atomic_virial = reinterpret_cast<double(*)[9]>(virials.data());
  int atom = -1;
  try {
    net.compute(atoms, structure.list(), nullptr, results);
    ADD_FAILURE() << "no NonFiniteError";
  } catch (const NonFiniteError &error) {
    atom = error.atom;
  }
  for (const double x : forces) EXPECT_EQ(x, 1.0);
  for (const double x : energies) EXPECT_EQ(x, 2.0);
  for (const double x : virials) EXPECT_EQ(x, 3.0);
  EXPECT_EQ(results.energy, 0.0);
  return atom;
}

TEST_P(Reproducibility, TroubleNamesTheAtomAndAddsNothing) {
  for (const Precision precision : kPrecisions)
    for (const Filters filters : {Filters::Exact, Filters::Spline}) {
      const std::unique_ptr<Network> net = network(precision, filters);
      const System healthy = random_cluster(potential, 12, 1);
      const Evaluation before = evaluate(*net, healthy);

      System coinciding = healthy;
      std::copy_n(&coinciding.positions[3 * 5], 3, &coinciding.positions[3 * 9]);
      const int atom = atom_in_trouble(*net, coinciding);
      EXPECT_TRUE(atom == 5 || atom == 9) << atom;

      for (const double value : {double(NAN), double(INFINITY)}) {
        System lost = healthy;
        lost.positions[3 * 7 + 1] = value;
        EXPECT_EQ(atom_in_trouble(*net, lost), 7);
      }
      expect_same_bits(evaluate(*net, healthy), before);  // nothing of it stays
    }
}

TEST_P(Reproducibility, AnInfiniteEnergyIsFoundAtItsAtom) {
  System system = random_cluster(potential, 12, 1);
  for (int &z : system.elements) z = 0;
  system.elements[4] = static_cast<int>(potential.elements.size()) - 1;
  potential.tensors.at("atomic_energies").values.back() = INFINITY;
  for (const Precision precision : kPrecisions)
    EXPECT_EQ(atom_in_trouble(*network(precision, Filters::Spline), system), 4);
}

TEST_P(Reproducibility, OverflowWithinTheNetworkIsFound) {
  for (double &w : potential.tensors.at("upd.0.1.weight").values) w *= 1e37;
  for (double &w : potential.tensors.at("upd.0.0.weight").values) w *= 1e5;
  const System system = random_cluster(potential, 12, 1);
  for (const Precision precision : {Precision::Mixed, Precision::Single}) {
    const int atom = atom_in_trouble(*network(precision, Filters::Spline), system);
    EXPECT_GE(atom, 0);
    EXPECT_LT(atom, system.size());
  }
}

}  // namespace
}  // namespace mlff::test
