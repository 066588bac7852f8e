// What must hold for any energy surface and its forces, on every backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backends.h"
#include "diagnostics.h"
#include "differences.h"
#include "neighbour_search.h"
#include "potential_writer.h"

namespace mlff::test {
namespace {

/// Displaces every atom.
System moved(System system, const std::array<double, 3> &by) {
  for (std::size_t k = 0; k < system.positions.size(); ++k) system.positions[k] += by[k % 3];
  return system;
}

/// Positions and cell by a matrix (rows): x -> M x.
System transformed(System system, const std::array<double, 9> &M) {
  const auto apply = [&](std::vector<double> &x) {
    for (std::size_t i = 0; i < x.size(); i += 3) {
      const double old[3] = {x[i], x[i + 1], x[i + 2]};
      for (int a = 0; a < 3; ++a)
        x[i + a] = M[3 * a] * old[0] + M[3 * a + 1] * old[1] + M[3 * a + 2] * old[2];
    }
  };
  apply(system.positions);
  if (system.cell) apply(*system.cell);
  return system;
}

/// A rotation about (1, 2, 3) by an angle.
std::array<double, 9> rotation(double angle) {
  const double w = std::sqrt(14.0), k[3] = {1 / w, 2 / w, 3 / w};
  const double c = std::cos(angle), s = std::sin(angle);
  std::array<double, 9> R;
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) R[3 * a + b] = k[a] * k[b] * (1 - c) + (a == b ? c : 0.0);
  R[1] -= s * k[2], R[2] += s * k[1], R[3] += s * k[2];
  R[5] -= s * k[0], R[6] -= s * k[1], R[7] += s * k[0];
  return R;
}

System side_by_side(const System &a, const System &b) {
  System both = a;
  both.positions.insert(both.positions.end(), b.positions.begin(), b.positions.end());
  both.elements.insert(both.elements.end(), b.elements.begin(), b.elements.end());
  return both;
}

class Physics : public testing::TestWithParam<Case>, protected NetworkTest {
 protected:
  Physics() : NetworkTest(GetParam()) {}

  double angstrom() const { return 1.0 / potential.length_in_angstrom; }
  /// The fixture's structures: molecules, pairs, a triclinic box, a cell below the cutoff.
  std::vector<Reference> structures() const {
    return load_references(GetParam().fixture, potential);
  }
  System molecule() const { return structure("molecule"); }
  System triclinic() const { return structure("triclinic_box"); }
  System structure(const std::string &name) const {
    for (const Reference &reference : structures())
      if (reference.name == name) return reference.system;
    throw std::invalid_argument("no structure " + name);
  }
  double energy(Network &network, const System &system) const {
    return evaluate(network, system).energy;
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, Physics, testing::ValuesIn(cases()),
                         [](const auto &info) { return case_name(info.param); });

// ------------------------------------------------------------------ forces and virial

TEST_P(Physics, ForcesAreMinusTheGradient) {
  for (const Filters filters : {Filters::Exact, Filters::Spline}) {
    const std::unique_ptr<Network> net = network(Precision::Double, filters);
    // Across a knot of a spline table the third derivative jumps, so that the step has to be small
    // there.
    const double h = (filters == Filters::Exact ? 5e-4 : 6e-5) * angstrom();
    for (const Reference &reference : structures()) {
      SCOPED_TRACE(reference.name + (filters == Filters::Exact ? ", exact" : ", spline"));
      const std::vector<double> forces = evaluate(*net, reference.system).forces;
      const double scale = std::fmax(1.0, root_mean_square(forces));
      System system = reference.system;
      // Of wide networks and of boxes not every component.
      const std::size_t stride = (system.size() > 12 ? 7 : 1) * (potential.channels > 24 ? 5 : 1);
      for (std::size_t k = 0; k < forces.size(); k += stride) {
        const double here = system.positions[k];
        const double slope = -derivative_near(
            -forces[k],
            [&](double step) {
              system.positions[k] = here + step;
              return energy(*net, system);
            },
            h, 1e-8 * scale);
        system.positions[k] = here;
        EXPECT_NEAR(forces[k], slope, 1e-8 * scale) << "component " << k;
      }
    }
  }
}

TEST_P(Physics, VirialIsMinusTheStrainDerivative) {
  constexpr int from[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, to[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
  for (const Filters filters : {Filters::Exact, Filters::Spline}) {
    const std::unique_ptr<Network> net = network(Precision::Double, filters);
    for (const char *name : {"molecule", "triclinic_box", "cell_below_the_cutoff"}) {
      SCOPED_TRACE(std::string(name) + (filters == Filters::Exact ? ", exact" : ", spline"));
      const System system = structure(name);
      const Evaluation found = evaluate(*net, system);
      std::array<double, 9> sum{};
      for (std::size_t k = 0; k < found.atomic_virial.size(); ++k)
        sum[k % 9] += found.atomic_virial[k];
      const double scale = std::fmax(1.0, largest({found.virial.begin(), found.virial.end()}));
      for (int k = 0; k<9; k += potential.channels> 24 ? 4 : 1) {
        // dE/d(strain) with x_to += strain x_from is the sum of r_from dE/dr_to.
        const double slope = derivative_near(
            -sum[k],
            [&](double strain) {
              std::array<double, 9> M{1, 0, 0, 0, 1, 0, 0, 0, 1};
              M[3 * to[k] + from[k]] += strain;
              return energy(*net, transformed(system, M));
            },
            filters == Filters::Exact ? 1e-4 : 2e-5, 1e-8 * scale);
        EXPECT_NEAR(sum[k], -slope, 1e-8 * scale) << "component " << k;
        if (k < 6) {
          EXPECT_NEAR(found.virial[k], sum[k], 1e-11 * scale) << "component " << k;
        }
      }
    }
  }
}

TEST_P(Physics, AtomicEnergiesSumToTheEnergy) {
  const std::unique_ptr<Network> net = network();
  for (const Reference &reference : structures()) {
    const Evaluation found = evaluate(*net, reference.system);
    double sum = 0.0;
    for (const double e : found.atomic_energies) sum += e;
    EXPECT_NEAR(sum, found.energy, 1e-12 * (1 + std::fabs(found.energy))) << reference.name;
  }
}

TEST_P(Physics, APairSharesItsVirialEqually) {
  const std::unique_ptr<Network> net = network();
  const Evaluation found = evaluate(*net, structure("two_atoms"));
  const double scale = largest(found.atomic_virial);
  EXPECT_GT(scale, 0.0);
  for (int k = 0; k < 9; ++k)
    EXPECT_NEAR(found.atomic_virial[k], found.atomic_virial[9 + k], 1e-13 * scale);
}

/// A chain of three: the middle atom has half of both pairs, an outer one half of its own.
TEST_P(Physics, AChainSharesItsVirialByPairs) {
  const std::unique_ptr<Network> net = network();
  const double r = 0.7 * net->cutoff();  // the outer atoms do not see each other
  System chain;
  chain.elements = {0, static_cast<int>(potential.elements.size()) - 1, 0};
  chain.positions = {0, 0, 0, r, 0, 0, 2 * r, 0, 0};
  const Evaluation found = evaluate(*net, chain);
  EXPECT_GT(std::fabs(found.atomic_virial[9]), 0.0);
  EXPECT_NEAR(found.atomic_virial[9], 0.5 * found.virial[0], 1e-12 * std::fabs(found.virial[0]));
  // Of one pair, the force on the outer atom is all there is: w = r f, half of it for either end.
  EXPECT_NEAR(found.atomic_virial[0], -0.5 * r * found.forces[0],
              1e-12 * std::fabs(found.virial[0]));
}

TEST_P(Physics, NoNetForceAndNoNetTorque) {
  const std::unique_ptr<Network> net = network(Precision::Double, Filters::Spline);
  for (const Reference &reference : structures()) {
    const std::vector<double> forces = evaluate(*net, reference.system).forces;
    const std::vector<double> &x = reference.system.positions;
    const double scale = std::fmax(1.0, root_mean_square(forces)) * reference.system.size();
    double force[3] = {}, torque[3] = {};
    for (std::size_t i = 0; i < x.size(); i += 3)
      for (int c = 0; c < 3; ++c) {
        force[c] += forces[i + c];
        torque[c] += x[i + (c + 1) % 3] * forces[i + (c + 2) % 3] -
                     x[i + (c + 2) % 3] * forces[i + (c + 1) % 3];
      }
    for (int c = 0; c < 3; ++c) {
      EXPECT_NEAR(force[c], 0.0, 1e-12 * scale) << reference.name;
      if (is_painn() && !reference.system.cell) {
        EXPECT_NEAR(torque[c], 0.0, 1e-11 * scale) << reference.name;
      }
    }
  }
}

/// Forces of a small cluster are minus the energy's differences.
void expect_consistent_forces(const Backend &backend, const Potential &potential) {
  const std::unique_ptr<Network> net =
      backend.create(potential, options_for(potential, Precision::Double, Filters::Exact));
  System system = random_cluster(potential, 6, 1);
  const Evaluation found = evaluate(*net, system);
  EXPECT_GT(root_mean_square(found.forces), 1e-4);
  for (std::size_t k = 0; k < found.forces.size(); ++k) {
    const double here = system.positions[k];
    const double slope = derivative_near(
        -found.forces[k],
        [&](double step) {
          system.positions[k] = here + step;
          return evaluate(*net, system).energy;
        },
        5e-4, 1e-9);
    system.positions[k] = here;
    EXPECT_NEAR(found.forces[k], -slope, 1e-9 * (1 + largest(found.forces))) << "component " << k;
  }
}

/// Read-outs of no, one and three hidden layers; the fixtures have one or two.
TEST(ReadOuts, OfAnyDepthHaveConsistentForces) {
  const std::vector<std::vector<std::size_t>> depths = {{}, {5}, {17, 3, 20}};
  for (const Backend &backend : backends())
    for (const std::vector<std::size_t> &hidden : depths) {
      SCOPED_TRACE(testing::Message() << backend.name << ", " << hidden.size() << " hidden layers");
      WriterOptions options;
      options.hidden = hidden;
      expect_consistent_forces(backend, random_potential(options));
    }
}

/// Networks of a single layer, which turn back where they begin; the fixtures have one of painn.
TEST(Layers, OneAloneHasConsistentForces) {
  for (const Backend &backend : backends())
    for (const Architecture architecture : {Architecture::PaiNN, Architecture::MlffDistiller}) {
      SCOPED_TRACE(testing::Message() << backend.name << ", architecture " << int(architecture));
      WriterOptions options;
      options.architecture = architecture;
      options.layers = 1;
      expect_consistent_forces(backend, random_potential(options));
    }
}

// ------------------------------------------------------------------------ invariances

TEST_P(Physics, TranslationChangesNothing) {
  const std::unique_ptr<Network> net = network();
  for (const Reference &reference : structures()) {
    const Evaluation here = evaluate(*net, reference.system);
    const Evaluation there = evaluate(*net, moved(reference.system, {0.37, -5.1, 2.2}));
    EXPECT_NEAR(there.energy, here.energy, 1e-11 * (1 + std::fabs(here.energy))) << reference.name;
    EXPECT_LT(largest_difference(here.forces, there.forces), 1e-10 * (1 + largest(here.forces)));
  }
}

TEST_P(Physics, RotationTurnsForcesAndVirial) {
  const std::unique_ptr<Network> net = network();
  const std::array<double, 9> R = rotation(0.9);
  double change = 0.0;
  for (const Reference &reference : structures()) {
    SCOPED_TRACE(reference.name);
    const Evaluation here = evaluate(*net, reference.system);
    const Evaluation there = evaluate(*net, transformed(reference.system, R));
    change = std::fmax(change, std::fabs(there.energy - here.energy));
    if (!is_painn()) continue;
    EXPECT_NEAR(there.energy, here.energy, 1e-10 * (1 + std::fabs(here.energy)));
    System turned;
    turned.positions = here.forces;
    turned = transformed(turned, R);
    EXPECT_LT(largest_difference(turned.positions, there.forces),
              1e-10 * (1 + largest(here.forces)));
    const auto matrix = [](const std::array<double, 6> &w) {
      return std::array<double, 9>{w[0], w[3], w[4], w[3], w[1], w[5], w[4], w[5], w[2]};
    };
    const std::array<double, 9> W = matrix(here.virial), found = matrix(there.virial);
    for (int a = 0; a < 3; ++a)
      for (int b = 0; b < 3; ++b) {
        double expected = 0.0;
        for (int c = 0; c < 3; ++c)
          for (int d = 0; d < 3; ++d) expected += R[3 * a + c] * W[3 * c + d] * R[3 * b + d];
        EXPECT_NEAR(found[3 * a + b], expected, 1e-10 * (1 + largest({W.begin(), W.end()})));
      }
  }
  // The defect that belongs to these weights.
  if (!is_painn()) {
    EXPECT_GT(change, 1e-3);
  }
}

TEST_P(Physics, PermutationPermutes) {
  const std::unique_ptr<Network> net = network();
  const System system = triclinic();
  const int n = system.size();
  System permuted = system;
  const auto place = [&](int i) { return (7 * i + 3) % n; };
  for (int i = 0; i < n; ++i) {
    std::copy_n(&system.positions[3 * i], 3, &permuted.positions[3 * place(i)]);
    permuted.elements[place(i)] = system.elements[i];
  }
  const Evaluation here = evaluate(*net, system), there = evaluate(*net, permuted);
  const double scale = 1 + largest(here.forces), energy_scale = 1 + largest(here.atomic_energies);
  EXPECT_NEAR(there.energy, here.energy, 1e-11 * energy_scale * n);
  for (int i = 0; i < n; ++i) {
    EXPECT_NEAR(there.atomic_energies[place(i)], here.atomic_energies[i], 1e-11 * energy_scale);
    for (int c = 0; c < 3; ++c)
      EXPECT_NEAR(there.forces[3 * place(i) + c], here.forces[3 * i + c], 1e-10 * scale);
  }
}

TEST_P(Physics, FarCopiesAddUp) {
  const std::unique_ptr<Network> net = network();
  const System one = molecule();
  const Evaluation single = evaluate(*net, one);
  const Evaluation two =
      evaluate(*net, side_by_side(one, moved(one, {100 * angstrom(), 0.0, 0.0})));
  EXPECT_NEAR(two.energy, 2 * single.energy, 1e-11 * (1 + std::fabs(single.energy)));
  EXPECT_LT(largest_difference(two.forces, joined({single.forces, single.forces})),
            1e-10 * (1 + largest(single.forces)));
}

TEST_P(Physics, ADoubledBoxHasTwiceOfEverything) {
  const std::unique_ptr<Network> net = network(Precision::Double, Filters::Spline);
  const System one = triclinic();
  const std::vector<double> &cell = *one.cell;
  System two = side_by_side(one, moved(one, {cell[3], cell[4], cell[5]}));
  for (int c = 3; c < 6; ++c) (*two.cell)[c] *= 2;
  const Evaluation single = evaluate(*net, one), doubled = evaluate(*net, two);
  EXPECT_NEAR(doubled.energy, 2 * single.energy, 1e-11 * (1 + std::fabs(single.energy)));
  for (int k = 0; k < 6; ++k)
    EXPECT_NEAR(doubled.virial[k], 2 * single.virial[k], 1e-10 * (1 + std::fabs(single.virial[k])));
  for (std::size_t k = 0; k < single.forces.size(); ++k) {
    EXPECT_NEAR(doubled.forces[k], single.forces[k], 1e-10 * (1 + largest(single.forces)));
    EXPECT_NEAR(doubled.forces[k + single.forces.size()], single.forces[k],
                1e-10 * (1 + largest(single.forces)));
  }
}

// ------------------------------------------------------------------------- smoothness

TEST_P(Physics, EnergyAndForcesAreSmoothAtTheCutoff) {
  for (const Filters filters : {Filters::Exact, Filters::Spline}) {
    const std::unique_ptr<Network> net = network(Precision::Double, filters);
    // An atom beyond a molecule comes within the cutoff of one atom only.
    System system = molecule();
    int first = 0;
    for (int i = 0; i < system.size(); ++i)
      if (system.positions[3 * i] > system.positions[3 * first]) first = i;
    system.elements.push_back(0);
    for (int c = 0; c < 3; ++c) system.positions.push_back(system.positions[3 * first + c]);
    double &x = system.positions[system.positions.size() - 3];
    const double start = x, rc = net->cutoff();
    x = start + rc * (1 - 1e-7);
    const Evaluation inside = evaluate(*net, system);
    x = start + rc * (1 + 1e-7);
    const Evaluation outside = evaluate(*net, system);
    const double jump = std::fabs(inside.energy - outside.energy);
    if (!is_painn()) {
      EXPECT_GT(jump, 1e-6);  // the defect that belongs to these weights
      continue;
    }
    EXPECT_LT(jump, 1e-10 * (1 + largest(outside.forces)));
    EXPECT_LT(largest_difference(inside.forces, outside.forces),
              1e-5 * (1 + largest(outside.forces)));
  }
}

TEST_P(Physics, DiagnosticsSeeTheDefectsOfTheDistillerAndNoneInPainn) {
  if (GetParam().backend.name != backends().front().name) GTEST_SKIP() << "once is enough";
  const double jump = energy_jump_at_cutoff(potential), turn = orientation_dependence(potential);
  if (is_painn()) {
    EXPECT_LT(jump * potential.energy_in_eV, 1e-10);
    EXPECT_LT(turn * potential.energy_in_eV, 1e-10);
  } else {
    EXPECT_GT(jump, 1e-4);
    EXPECT_GT(turn, 1e-4);
  }
}

// ------------------------------------------------------------------- what callers do

TEST_P(Physics, TheCallersUnitsScaleEverything) {
  constexpr double kcal = 0.0433641153087705, nm = 10.0;
  NetworkOptions options = options_for(potential, Precision::Double, Filters::Exact);
  const System system = triclinic();
  const Evaluation own = evaluate(*backend.create(potential, options), system);
  options.energy_unit_in_eV = kcal;
  options.length_unit_in_angstrom = nm;
  const double length = potential.length_in_angstrom / nm, energy = potential.energy_in_eV / kcal;
  const std::unique_ptr<Network> net = backend.create(potential, options);
  EXPECT_NEAR(net->cutoff(), potential.cutoff * length, 1e-14 * net->cutoff());
  const Evaluation found =
      evaluate(*net, transformed(system, {length, 0, 0, 0, length, 0, 0, 0, length}));
  const auto expect_scaled = [](const auto &x, const auto &y, double factor) {
    const std::vector<double> reference(y.begin(), y.end());
    for (std::size_t k = 0; k < x.size(); ++k)
      EXPECT_NEAR(x[k], y[k] * factor, 1e-11 * factor * (1 + largest(reference)));
  };
  EXPECT_NEAR(found.energy, own.energy * energy, 1e-11 * energy * (1 + std::fabs(own.energy)));
  expect_scaled(found.atomic_energies, own.atomic_energies, energy);
  expect_scaled(found.forces, own.forces, energy / length);
  expect_scaled(found.virial, own.virial, energy);
  expect_scaled(found.atomic_virial, own.atomic_virial, energy);
}

TEST_P(Physics, TheCallersElementsMayBeFewerAndInAnyOrder) {
  NetworkOptions options = options_for(potential, Precision::Double, Filters::Exact);
  System system = triclinic();
  const int Z = static_cast<int>(potential.elements.size());
  const Evaluation all = evaluate(*backend.create(potential, options), system);
  options.elements.assign(potential.elements.rbegin(), potential.elements.rend());
  for (int &z : system.elements) z = Z - 1 - z;
  const Evaluation reversed = evaluate(*backend.create(potential, options), system);
  EXPECT_NEAR(reversed.energy, all.energy, 1e-11 * (1 + std::fabs(all.energy)));
  EXPECT_LT(largest_difference(reversed.forces, all.forces), 1e-10 * (1 + largest(all.forces)));

  options.elements.clear();
  for (int &z : system.elements) z = Z - 1;
  const Evaluation last = evaluate(*backend.create(potential, options), system);
  options.elements = {potential.elements.back()};
  for (int &z : system.elements) z = 0;
  const Evaluation alone = evaluate(*backend.create(potential, options), system);
  EXPECT_NEAR(alone.energy, last.energy, 1e-11 * (1 + std::fabs(last.energy)));
  EXPECT_LT(largest_difference(alone.forces, last.forces), 1e-10 * (1 + largest(last.forces)));
}

TEST_P(Physics, AnUnknownElementIsRefusedByName) {
  NetworkOptions options = options_for(potential, Precision::Double, Filters::Spline);
  options.elements = {potential.elements.front(), "Xe"};
  try {
    backend.create(potential, options);
    FAIL() << "accepted Xe";
  } catch (const PotentialError &error) {
    EXPECT_NE(std::string(error.what()).find("Xe"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(potential.elements.front()), std::string::npos);
  }
}

/// The triclinic box with strangers (element -1) between its atoms.
System with_strangers(const System &system) {
  System crowd;
  crowd.cell = system.cell;
  for (int i = 0; i < system.size(); ++i) {
    if (i % 3 == 0) {
      crowd.elements.push_back(-1);
      for (int c = 0; c < 3; ++c)
        crowd.positions.push_back(system.positions[3 * i + c] + 0.2 + 0.1 * c);
    }
    crowd.elements.push_back(system.elements[i]);
    crowd.positions.insert(crowd.positions.end(), &system.positions[3 * i],
                           &system.positions[3 * i] + 3);
  }
  return crowd;
}

TEST_P(Physics, StrangersAreIgnored) {
  const std::unique_ptr<Network> net = network();
  const System system = triclinic(), crowd = with_strangers(system);
  const Evaluation alone = evaluate(*net, system), found = evaluate(*net, crowd);
  EXPECT_NEAR(found.energy, alone.energy, 1e-12 * (1 + std::fabs(alone.energy)));
  for (int k = 0; k < 6; ++k)
    EXPECT_NEAR(found.virial[k], alone.virial[k], 1e-10 * (1 + largest(alone.forces)));
  int i = 0;
  for (int k = 0; k < crowd.size(); ++k) {
    const bool stranger = crowd.elements[k] < 0;
    EXPECT_NEAR(found.atomic_energies[k], stranger ? 0.0 : alone.atomic_energies[i], 1e-11);
    for (int c = 0; c < 3; ++c)
      EXPECT_NEAR(found.forces[3 * k + c], stranger ? 0.0 : alone.forces[3 * i + c],
                  1e-11 * (1 + largest(alone.forces)));
    i += !stranger;
  }
}

TEST_P(Physics, OnlyListedAtomsAct) {
  const std::unique_ptr<Network> net = network();
  const System system = triclinic();
  const Structure structure(system.positions, system.elements, system.cell, net->cutoff());
  System half;
  half.cell = system.cell;
  std::vector<int> centres;
  for (int i = 1; i < system.size(); i += 2) {
    centres.push_back(i);
    half.elements.push_back(system.elements[i]);
    half.positions.insert(half.positions.end(), &system.positions[3 * i],
                          &system.positions[3 * i] + 3);
  }
  NeighbourList list = structure.list();
  list.centres = static_cast<int>(centres.size());
  list.centre = centres.data();
  std::vector<double> forces(3 * structure.total(), 0.5);
  Results results;
  results.forces = reinterpret_cast<double(*)[3]>(forces.data());
  net->compute(structure.atoms(), list, nullptr, results);
  const Evaluation expected = evaluate(*net, half);
  EXPECT_NEAR(results.energy, expected.energy, 1e-12 * (1 + std::fabs(expected.energy)));
  for (std::size_t k = 0; k < forces.size(); ++k) {
    const std::size_t atom = k / 3;
    const bool listed = atom < std::size_t(system.size()) && atom % 2 == 1;
    EXPECT_NEAR(forces[k], 0.5 + (listed ? expected.forces[3 * (atom / 2) + k % 3] : 0.0),
                1e-11 * (1 + largest(expected.forces)));
  }
}

TEST_P(Physics, NeighbourIndicesAreMasked) {
  const std::unique_ptr<Network> net = network();
  const System system = triclinic();
  const Structure structure(system.positions, system.elements, system.cell, net->cutoff());
  NeighbourList list = structure.list();
  std::vector<std::vector<int>> marked;
  std::vector<const int *> rows;
  for (int i = 0; i < structure.size(); ++i) {
    marked.emplace_back(list.neighbours[i], list.neighbours[i] + list.count[i]);
    for (std::size_t k = 0; k < marked.back().size(); ++k) marked.back()[k] |= int(k % 4) << 29;
  }
  for (const std::vector<int> &row : marked) rows.push_back(row.data());
  list.neighbours = rows.data();
  list.mask = 0x1FFFFFFF;
  Results results;
  net->compute(structure.atoms(), list, nullptr, results);
  EXPECT_EQ(results.energy, energy(*net, system));
}

TEST_P(Physics, ResultsAreAddedToAndOnlyWhatIsWanted) {
  const std::unique_ptr<Network> net = network();
  const System system = triclinic();
  const Structure structure(system.positions, system.elements, system.cell, net->cutoff());
  const Evaluation expected = evaluate(*net, system);
  std::vector<double> forces(3 * structure.total(), 7.0);
  Results results;
  results.energy = 1e9;  // set, not added to
  results.forces = reinterpret_cast<double(*)[3]>(forces.data());
  net->compute(structure.atoms(), structure.list(), nullptr, results);
  EXPECT_EQ(results.energy, expected.energy);
  for (std::size_t k = 0; k < expected.forces.size(); ++k)
    EXPECT_NEAR(forces[k] - 7.0, expected.forces[k], 1e-11 * (1 + largest(expected.forces)));
  for (std::size_t k = expected.forces.size(); k < forces.size(); ++k) EXPECT_EQ(forces[k], 7.0);
  for (const double w : results.virial) EXPECT_EQ(w, 0.0);
  Results nothing;
  net->compute(structure.atoms(), structure.list(), nullptr, nothing);
  EXPECT_EQ(nothing.energy, expected.energy);
}

TEST_P(Physics, NoAtoms) {
  for (const Filters filters : {Filters::Exact, Filters::Spline}) {
    const std::unique_ptr<Network> net = network(Precision::Double, filters);
    Results results;
    results.want_virial = true;
    results.energy = 5.0;
    net->compute({}, {}, nullptr, results);
    EXPECT_EQ(results.energy, 0.0);
    for (const double w : results.virial) EXPECT_EQ(w, 0.0);
    System strangers;
    strangers.positions = {0, 0, 0, 1, 0, 0};
    strangers.elements = {-1, -1};
    EXPECT_EQ(energy(*net, strangers), 0.0);
    EXPECT_GT(std::fabs(energy(*net, molecule())), 0.0);  // and then it still works
  }
}

}  // namespace
}  // namespace mlff::test
