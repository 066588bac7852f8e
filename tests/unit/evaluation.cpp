#include "evaluation.h"

#include <yaml-cpp/yaml.h>

#include <cmath>
#include <random>
#include <stdexcept>

#include "neighbour_search.h"

namespace mlff::test {

namespace {

const char *kFixtures = MLFF_SOURCE_DIR "/tests/fixtures/";

std::vector<double> flat(const YAML::Node &node) {
  if (node.IsScalar()) return {node.as<double>()};
  std::vector<double> values;
  for (const YAML::Node &entry : node)
    for (const double value : flat(entry)) values.push_back(value);
  return values;
}

const std::vector<std::string> &symbols() {
  static const std::vector<std::string> names = {"X", "H", "He", "Li", "Be",
                                                 "B", "C", "N",  "O",  "F"};
  return names;
}

}  // namespace

const std::vector<std::string> &fixture_names() {
  static const std::vector<std::string> names = {"painn_f8_l1",
                                                 "painn_f8_l2_bohr",
                                                 "painn_f16_l4_shared_filters",
                                                 "painn_f24_l2_bessel_mollifier",
                                                 "painn_f100_l2_shared_interactions",
                                                 "painn_f128_l3_kcal",
                                                 "distiller_f8_l2",
                                                 "distiller_f24_l3"};
  return names;
}

Potential load_fixture(const std::string &name) {
  return Potential::load(kFixtures + name + ".yaml");
}

std::vector<Reference> load_references(const std::string &name, const Potential &potential) {
  std::vector<Reference> references;
  for (const YAML::Node &node : YAML::LoadFile(kFixtures + name + ".json")["structures"]) {
    Reference reference;
    reference.name = node["name"].as<std::string>();
    reference.system.positions = flat(node["positions"]);
    for (const int z : node["numbers"].as<std::vector<int>>())
      reference.system.elements.push_back(potential.element_index(symbols().at(z)));
    if (!node["cell"].IsNull()) reference.system.cell = flat(node["cell"]);
    reference.expected.energy = node["energy"].as<double>();
    reference.expected.atomic_energies = flat(node["atomic_energies"]);
    reference.expected.forces = flat(node["forces"]);
    const std::vector<double> w = flat(node["virial"]);
    reference.expected.virial = {w[0], w[4], w[8], w[1], w[2], w[5]};
    references.push_back(reference);
  }
  return references;
}

NetworkOptions options_for(const Potential &potential, Precision precision, Filters filters) {
  NetworkOptions options;
  options.precision = precision;
  options.filters = filters;
  options.energy_unit_in_eV = potential.energy_in_eV;
  options.length_unit_in_angstrom = potential.length_in_angstrom;
  return options;
}

Evaluation evaluate(Network &network, const System &system) {
  const Structure structure(system.positions, system.elements, system.cell, network.cutoff());
  const std::size_t total = structure.total(), n = system.size();
  Evaluation evaluation;
  evaluation.atomic_energies.assign(total, 0.0);
  evaluation.forces.assign(3 * total, 0.0);
  evaluation.atomic_virial.assign(9 * total, 0.0);
  Results results;
  results.want_virial = true;
  results.forces = reinterpret_cast<double(*)[3]>(evaluation.forces.data());
  results.atomic_energies = evaluation.atomic_energies.data();
  results.atomic_virial = reinterpret_cast<double(*)[9]>(evaluation.atomic_virial.data());
  network.compute(structure.atoms(), structure.list(), nullptr, results);
  evaluation.energy = results.energy;
  for (int k = 0; k < 6; ++k) evaluation.virial[k] = results.virial[k];
  evaluation.atomic_energies.resize(n);
  evaluation.forces.resize(3 * n);
  evaluation.atomic_virial.resize(9 * n);
  return evaluation;
}

Evaluation evaluate(const Potential &potential, const NetworkOptions &options,
                    const System &system) {
  return evaluate(*Network::create(potential, options), system);
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas = {Isa::Baseline};
  if (best_isa() != Isa::Baseline) isas.push_back(Isa::Avx2);
  if (best_isa() == Isa::Avx512) isas.push_back(Isa::Avx512);
  return isas;
}

System random_liquid(const Potential &potential, int n, unsigned seed) {
  const int side = static_cast<int>(std::ceil(std::cbrt(n)));
  const double spacing =
      std::cbrt(10.0) / potential.length_in_angstrom * std::cbrt(double(n)) / side;
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> jitter(-0.15 * spacing, 0.15 * spacing);
  System system;
  const double edge = side * spacing;
  system.cell = std::vector<double>{edge, 0, 0, 0, edge, 0, 0, 0, edge};
  for (int k = 0; k < n; ++k) {
    const int grid[3] = {k % side, k / side % side, k / side / side};
    for (const int g : grid) system.positions.push_back(g * spacing + jitter(random));
    system.elements.push_back(static_cast<int>(random() % potential.elements.size()));
  }
  return system;
}

System random_cluster(const Potential &potential, int n, unsigned seed) {
  std::mt19937 random(seed);
  const double unit = 1.2 / potential.length_in_angstrom;
  std::uniform_real_distribution<double> place(0.0, unit * std::cbrt(double(n)) * 1.6);
  System system;
  while (system.size() < n) {
    const double x[3] = {place(random), place(random), place(random)};
    bool free = true;
    for (int i = 0; i < system.size(); ++i) {
      double r2 = 0.0;
      for (int c = 0; c < 3; ++c) r2 += std::pow(x[c] - system.positions[3 * i + c], 2);
      free = free && r2 > 0.7 * unit * unit;
    }
    if (!free) continue;
    system.positions.insert(system.positions.end(), x, x + 3);
    system.elements.push_back(static_cast<int>(random() % potential.elements.size()));
  }
  return system;
}

double largest(const std::vector<double> &x) {
  double result = 0.0;
  for (const double value : x) result = std::fmax(result, std::fabs(value));
  return result;
}

double largest_difference(const std::vector<double> &x, const std::vector<double> &y) {
  if (x.size() != y.size()) throw std::invalid_argument("arrays of different sizes");
  double result = 0.0;
  for (std::size_t k = 0; k < x.size(); ++k) result = std::fmax(result, std::fabs(x[k] - y[k]));
  return result;
}

double root_mean_square(const std::vector<double> &x) {
  double sum = 0.0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum / static_cast<double>(x.size()));
}

double root_mean_square_difference(const std::vector<double> &x, const std::vector<double> &y) {
  std::vector<double> difference(x);
  for (std::size_t k = 0; k < x.size(); ++k) difference[k] -= y.at(k);
  return root_mean_square(difference);
}

}  // namespace mlff::test
