// On devices LAMMPS leaves the order of ghosts and neighbours to chance. No bit may depend on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "backends.h"
#include "neighbour_search.h"

namespace mlff::test {
namespace {

/// The same atoms and neighbours as a structure's, its ghosts and rows shuffled.
class Shuffled {
 public:
  Shuffled(const Structure &structure, std::mt19937 &random) : atoms_(structure.atoms()) {
    const NeighbourList list = structure.list();
    std::vector<int> old_of_new(atoms_.total), new_of_old(atoms_.total);
    std::iota(old_of_new.begin(), old_of_new.end(), 0);
    std::shuffle(old_of_new.begin() + atoms_.local, old_of_new.end(), random);
    for (int i = 0; i < atoms_.total; ++i) new_of_old[old_of_new[i]] = i;
    for (const int old : old_of_new) {
      positions_.insert(positions_.end(), atoms_.positions[old], atoms_.positions[old] + 3);
      elements_.push_back(atoms_.elements[old]);
      owner_.push_back(atoms_.owner ? atoms_.owner[old] : old);
    }
    for (int i = 0; i < atoms_.local; ++i) {
      neighbours_.emplace_back(list.neighbours[i], list.neighbours[i] + list.count[i]);
      for (int &j : neighbours_.back()) j = new_of_old[j & list.mask];
      std::shuffle(neighbours_.back().begin(), neighbours_.back().end(), random);
      centre_.push_back(i);
      count_.push_back(list.count[i]);
    }
    for (const auto &row : neighbours_) rows_.push_back(row.data());
    atoms_.positions = reinterpret_cast<const double(*)[3]>(positions_.data());
    atoms_.elements = elements_.data();
    atoms_.owner = owner_.data();
  }

  /// Energy and forces on the owned atoms.
  std::vector<double> evaluate(Network &network) const {
    std::vector<double> forces(3 * atoms_.total, 0.0);
    Results results;
    results.forces = reinterpret_cast<double(*)[3]>(forces.data());
    NeighbourList list{atoms_.local, centre_.data(), count_.data(), rows_.data()};
    network.compute(atoms_, list, nullptr, results);
    forces.resize(3 * atoms_.local);
    forces.push_back(results.energy);
    return forces;
  }

 private:
  Atoms atoms_;
  std::vector<double> positions_;
  std::vector<int> elements_, owner_, centre_, count_;
  std::vector<std::vector<int>> neighbours_;
  std::vector<const int *> rows_;
};

class ShuffledLists : public testing::TestWithParam<Case>, protected NetworkTest {
 protected:
  ShuffledLists() : NetworkTest(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(Backends, ShuffledLists, testing::ValuesIn(cases()),
                         [](const auto &info) { return case_name(info.param); });

TEST_P(ShuffledLists, ChangeNoBit) {
  const std::unique_ptr<Network> net = network(Precision::Single, Filters::Spline);
  std::mt19937 random(1);
  // In the second box an atom has several images of another one for neighbours.
  for (const System &system : {random_liquid(potential, 60, 1), random_liquid(potential, 8, 2)}) {
    const Structure structure(system.positions, system.elements, system.cell, net->cutoff());
    const std::vector<double> first = Shuffled(structure, random).evaluate(*net);
    for (int k = 0; k < 3; ++k)
      EXPECT_EQ(Shuffled(structure, random).evaluate(*net), first) << system.size() << " atoms";
  }
}

/// Devices divide few atoms otherwise than many, and keep what they queue for the next step.
TEST_P(ShuffledLists, ChangeNoBitBehindOtherSizes) {
  const std::unique_ptr<Network> net = network(Precision::Single, Filters::Spline);
  std::mt19937 random(1);
  for (const int size : {60, 300, 8, 700, 300, 60}) {
    const System system = random_liquid(potential, size, 1);
    const Structure structure(system.positions, system.elements, system.cell, net->cutoff());
    const std::unique_ptr<Network> other = network(Precision::Single, Filters::Spline);
    const std::vector<double> alone = Shuffled(structure, random).evaluate(*other);
    for (int k = 0; k < 3; ++k)
      EXPECT_EQ(Shuffled(structure, random).evaluate(*net), alone) << size << " atoms";
  }
}

}  // namespace
}  // namespace mlff::test
