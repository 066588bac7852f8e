#include <algorithm>
#include <cmath>

#include "potential_parts.h"

namespace mlff {

using yaml::Field;

namespace {

// The check structure is recomputed on loading; this bounds what a file can ask for.
constexpr double most_atoms = 1000, most_images = 1e5, farthest = 1e4;

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
    if (!seen[k])
      list.fail("lacks " + potential.elements[k] + "; every element of the file must occur");
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

/// Images of the cell, itself included, among which an atom's neighbours within the cutoff are
/// sought: they cover the cutoff and the atoms' spread over cells. Infinite or NaN for a cell
/// without volume.
double images_to_search(const CheckStructure &structure, double cutoff) {
  const std::vector<double> &cell = *structure.cell;
  double images = 1.0;
  for (int k = 0; k < 3; ++k) {
    const double *a = &cell[3 * k], *b = &cell[3 * ((k + 1) % 3)], *c = &cell[3 * ((k + 2) % 3)];
    const double normal[3] = {b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2],
                              b[0] * c[1] - b[1] * c[0]};
    const double volume = a[0] * normal[0] + a[1] * normal[1] + a[2] * normal[2];
    double least = INFINITY, largest = -INFINITY;
    for (std::size_t i = 0; i < structure.positions.size(); i += 3) {
      const double *x = &structure.positions[i];
      const double fraction = (x[0] * normal[0] + x[1] * normal[1] + x[2] * normal[2]) / volume;
      least = std::min(least, fraction), largest = std::max(largest, fraction);
    }
    const double area = std::hypot(normal[0], normal[1], normal[2]);
    images *= 2.0 * std::ceil(largest - least + 2.0 * cutoff * area / std::abs(volume)) + 1.0;
  }
  return images;
}

/// Refuses a structure that would cost much time or memory to recompute.
void bound_work(const Field &check, const Potential &potential) {
  const CheckStructure &structure = potential.check;
  for (const double x : structure.positions)
    if (!(std::abs(x) <= farthest * potential.cutoff))
      check.at("positions")
          .fail("holds an atom farther than " + std::to_string(static_cast<long>(farthest)) +
                " cutoffs from the origin");
  const double images = structure.cell ? images_to_search(structure, potential.cutoff) : 1.0;
  if (!std::isfinite(images)) check.at("cell").fail("its rows span no volume");
  const double atoms = static_cast<double>(structure.elements.size());
  if (!(atoms <= most_atoms && atoms * images <= most_images))
    check.fail(
        "has " + std::to_string(structure.elements.size()) + " atoms; more than " +
        std::to_string(static_cast<long>(most_atoms)) + ", or " +
        std::to_string(static_cast<long>(most_images)) +
        " with the periodic images to be searched, are not recomputed; use a smaller structure");
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
