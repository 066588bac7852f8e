#include "diagnostics.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "neighbour_search.h"
#include "network.h"

namespace mlff {

namespace {

/// The exact network in the file's own units.
std::unique_ptr<Network> exact_network(const Potential &potential) {
  NetworkOptions options;
  options.precision = Precision::Double;
  options.filters = Filters::Exact;
  options.energy_unit_in_eV = potential.energy_in_eV;
  options.length_unit_in_angstrom = potential.length_in_angstrom;
  return Network::create(potential, options);
}

struct Evaluation {
  double energy = 0.0;
  std::vector<double> forces;  ///< [n, 3]
};

Evaluation evaluate(Network &network, const std::vector<double> &positions,
                    const std::vector<int> &elements,
                    const std::optional<std::vector<double>> &cell) {
  const Structure structure(positions, elements, cell, network.cutoff());
  Evaluation evaluation;
  evaluation.forces.assign(3 * std::size_t(structure.total()), 0.0);
  Results results;
  results.forces = reinterpret_cast<double(*)[3]>(evaluation.forces.data());
  network.compute(structure.atoms(), structure.list(), nullptr, results);
  evaluation.energy = results.energy;
  evaluation.forces.resize(positions.size());
  return evaluation;
}

/// A rotation about (1, 2, 3) / sqrt(14) by an angle (Rodrigues).
std::vector<double> rotated(const std::vector<double> &x, double angle) {
  const double length = std::sqrt(14.0), k[3] = {1 / length, 2 / length, 3 / length};
  const double cosine = std::cos(angle), sine = std::sin(angle);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i + 2 < x.size(); i += 3) {
    const double *v = &x[i];
    const double along = (k[0] * v[0] + k[1] * v[1] + k[2] * v[2]) * (1 - cosine);
    const double turn[3] = {k[1] * v[2] - k[2] * v[1], k[2] * v[0] - k[0] * v[2],
                            k[0] * v[1] - k[1] * v[0]};
    for (int c = 0; c < 3; ++c) y[i + c] = v[c] * cosine + turn[c] * sine + k[c] * along;
  }
  return y;
}

}  // namespace

void verify_check_structure(const Potential &potential) {
  const CheckStructure &check = potential.check;
  const std::unique_ptr<Network> network = exact_network(potential);
  Evaluation found;
  try {
    found = evaluate(*network, check.positions, check.elements, check.cell);
  } catch (const NonFiniteError &trouble) {
    throw PotentialError(potential.file + ": check: " + trouble.what() + "; the file is damaged");
  }
  double largest = 0.0, deviation = 0.0;
  for (std::size_t k = 0; k < check.forces.size(); ++k) {
    largest = std::max(largest, std::fabs(check.forces[k]));
    deviation = std::max(deviation, std::fabs(check.forces[k] - found.forces[k]));
  }
  std::ostringstream message;
  message.precision(12);
  if (!(std::fabs(found.energy - check.energy) <= 1e-8 * std::max(1.0, std::fabs(check.energy))))
    message << "check: energy: the file says " << check.energy << ' ' << potential.energy_unit
            << ", the network gives " << found.energy;
  else if (!(deviation <= 1e-7 * std::max(largest, 1e-3)))
    message << "check: forces: they differ by " << deviation
            << " from what the network gives, the largest is " << largest;
  else
    return;
  throw PotentialError(potential.file + ": " + message.str() +
                       "; the file is damaged, or was written by a faulty converter");
}

double energy_jump_at_cutoff(const Potential &potential) {
  const CheckStructure &check = potential.check;
  const std::unique_ptr<Network> network = exact_network(potential);
  // The new atom stands outside, on the line from the centre through the first atom.
  double centre[3] = {}, out[3], length = 0.0, largest = 0.0;
  const std::size_t n = check.elements.size();
  for (std::size_t i = 0; i < n; ++i)
    for (int c = 0; c < 3; ++c) centre[c] += check.positions[3 * i + c] / n;
  std::size_t outermost = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double r2 = 0.0;
    for (int c = 0; c < 3; ++c) r2 += std::pow(check.positions[3 * i + c] - centre[c], 2);
    if (r2 > length) {
      length = r2;
      outermost = i;
    }
  }
  length = std::sqrt(length);
  for (int c = 0; c < 3; ++c)
    out[c] = length > 0 ? (check.positions[3 * outermost + c] - centre[c]) / length : (c == 0);
  std::vector<int> elements = check.elements;
  elements.push_back(0);
  for (std::size_t z = 0; z < potential.elements.size(); ++z) {
    elements.back() = static_cast<int>(z);
    double energy[2];
    for (int side = 0; side < 2; ++side) {
      std::vector<double> positions = check.positions;
      const double r = potential.cutoff * (side == 0 ? 1 - 1e-9 : 1 + 1e-9);
      for (int c = 0; c < 3; ++c)
        positions.push_back(check.positions[3 * outermost + c] + r * out[c]);
      energy[side] = evaluate(*network, positions, elements, std::nullopt).energy;
    }
    largest = std::max(largest, std::fabs(energy[0] - energy[1]));
  }
  return largest;
}

double orientation_dependence(const Potential &potential) {
  const CheckStructure &check = potential.check;
  const std::unique_ptr<Network> network = exact_network(potential);
  double lowest = INFINITY, highest = -INFINITY;
  constexpr int kRotations = 12;
  for (int k = 0; k < kRotations; ++k) {
    const double angle = 2 * 3.14159265358979323846 * k / kRotations;
    std::optional<std::vector<double>> cell = check.cell;
    if (cell) cell = rotated(*cell, angle);
    const double energy =
        evaluate(*network, rotated(check.positions, angle), check.elements, cell).energy;
    lowest = std::min(lowest, energy);
    highest = std::max(highest, energy);
  }
  return highest - lowest;
}

}  // namespace mlff
