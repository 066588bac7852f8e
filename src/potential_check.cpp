#include <algorithm>
#include <cmath>

#include "potential_parts.h"

namespace mlff {

using yaml::Field;

namespace {

/// The check structure is recomputed on loading; this bounds what a file can ask for.
constexpr double most_pairs = 1e6;

std::vector<int> read_elements(const Field &list, const Potential &potential) {
  std::vector<int> elements;
  std::vector<bool> seen(potential.elements.size(), false);
  for (const Field &item : list.items()) {
    const int element = potential.element_index(item.text());
    if (element < 0)
      item.fail("is " + yaml::quoted(item.text()) + "; this potential has " +
                yaml::joined({potential.elements.begin(), potential.elements.end()}));
    elements.push_back(element);
    seen[static_cast<std::size_t>(element)] = true;
  }
  for (std::size_t k = 0; k < seen.size(); ++k)
    if (!seen[k]) list.fail("lacks " + potential.elements[k] + "; every element of the file must occur");
  return elements;
}

std::vector<double> read_vectors(const Field &list, std::size_t count) {
  const std::vector<Field> rows = list.items();
  if (rows.size() != count)
    list.fail("has " + std::to_string(rows.size()) + " rows; expected " + std::to_string(count));
  std::vector<double> values;
  for (const Field &row : rows)
    for (const double value : row.reals(3)) values.push_back(value);
  return values;
}

/// Images of the cell, itself included, that an atom may meet within the cutoff.
double images_within_cutoff(const std::vector<double> &cell, double cutoff) {
  double images = 1.0, volume = 0.0;
  for (int k = 0; k < 3; ++k) {
    const double *a = &cell[3 * k], *b = &cell[3 * ((k + 1) % 3)], *c = &cell[3 * ((k + 2) % 3)];
    const double normal[3] = {b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]};
    const double area = std::hypot(normal[0], normal[1], normal[2]);
    volume = std::abs(a[0] * normal[0] + a[1] * normal[1] + a[2] * normal[2]);
    images *= 2.0 * std::ceil(cutoff * area / volume) + 1.0;
  }
  return images;  // infinite or NaN for a cell without volume
}

void bound_work(const Field &check, const Potential &potential) {
  const CheckStructure &structure = potential.check;
  const double images = structure.cell ? images_within_cutoff(*structure.cell, potential.cutoff) : 1.0;
  if (structure.cell && !std::isfinite(images)) check.at("cell").fail("its rows span no volume");
  const double atoms = static_cast<double>(structure.elements.size());
  if (!(atoms * atoms * images <= most_pairs))
    check.fail("asks for more than " + std::to_string(static_cast<long>(most_pairs)) +
               " pairs of atoms (with periodic images) to be looked at; use a smaller structure");
}

}  // namespace

void read_check_structure(const Field &check, Potential &potential) {
  check.only({"elements", "positions", "cell", "energy", "forces"});
  CheckStructure &structure = potential.check;
  structure.elements = read_elements(check.at("elements"), potential);
  structure.positions = read_vectors(check.at("positions"), structure.elements.size());
  if (!check.at("cell").is_null()) structure.cell = read_vectors(check.at("cell"), 3);
  structure.energy = check.at("energy").real();
  structure.forces = read_vectors(check.at("forces"), structure.elements.size());
  bound_work(check, potential);
}

}  // namespace mlff
