// Evaluates structures with a network, and reads the fixtures' reference numbers.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "network.h"

namespace mlff::test {

/// A structure in the potential's own units.
struct System {
  std::vector<double> positions;  ///< [n, 3]
  std::vector<int> elements;      ///< [n] indices into Potential::elements
  std::optional<std::vector<double>> cell;
  int size() const { return static_cast<int>(elements.size()); }
};

/// What the network says, in the potential's own units.
struct Evaluation {
  double energy = 0.0;
  std::vector<double> atomic_energies;  ///< [n]
  std::vector<double> forces;           ///< [n, 3]
  std::array<double, 6> virial{};       ///< xx yy zz xy xz yz
  std::vector<double> atomic_virial;    ///< [n, 9]
};

struct Reference {
  std::string name;
  System system;
  Evaluation expected;  ///< without the atomic virials
};

/// Names of the fixtures' potentials, without the ending.
const std::vector<std::string> &fixture_names();
Potential load_fixture(const std::string &name);
std::vector<Reference> load_references(const std::string &name, const Potential &potential);

/// Options in the potential's own units.
NetworkOptions options_for(const Potential &potential, Precision precision, Filters filters);
Evaluation evaluate(Network &network, const System &system);
Evaluation evaluate(const Potential &potential, const NetworkOptions &options,
                    const System &system);

/// Instruction sets that this processor can run.
std::vector<Isa> available_isas();

/// A periodic box of `n` atoms at 0.1 atoms/A^3, jittered off a grid, elements in turn.
System random_liquid(const Potential &potential, int n, unsigned seed);
/// A molecule-like cluster of `n` atoms with nearest distances around 1.2 A.
System random_cluster(const Potential &potential, int n, unsigned seed);

double largest(const std::vector<double> &x);
double largest_difference(const std::vector<double> &x, const std::vector<double> &y);
double root_mean_square(const std::vector<double> &x);
double root_mean_square_difference(const std::vector<double> &x, const std::vector<double> &y);

}  // namespace mlff::test
