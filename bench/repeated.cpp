#include "repeated.h"

#include <array>
#include <cmath>
#include <stdexcept>

#include "neighbour_search.h"

namespace mlff::bench {

namespace {

/// A neighbour within the cell's own list: which atom, in which cell around.
struct Neighbour {
  int atom;
  std::array<int, 3> shift;
};

std::vector<std::vector<Neighbour>> neighbours_of(const System &cell, double cutoff) {
  const Structure structure(cell.positions, cell.elements, cell.cell, cutoff);
  const Atoms atoms = structure.atoms();
  const NeighbourList list = structure.list();
  std::vector<std::vector<Neighbour>> found(cell.size());
  for (int i = 0; i < cell.size(); ++i)
    for (int k = 0; k < list.count[i]; ++k) {
      const int j = list.neighbours[i][k];
      Neighbour neighbour{atoms.owner[j], {0, 0, 0}};
      for (int d = 0; cell.cell && d < 3; ++d)
        neighbour.shift[d] = static_cast<int>(std::lround(
            (atoms.positions[j][d] - atoms.positions[neighbour.atom][d]) / cell.cell->front()));
      found[i].push_back(neighbour);
    }
  return found;
}

}  // namespace

Repeated::Repeated(const System &cell, int along, double cutoff) {
  const int n = cell.size(), wide = along + 2;
  const double edge = cell.cell ? cell.cell->front() : 0.0;
  if (cell.cell ? edge < cutoff : along != 1)
    throw std::invalid_argument(cell.name + " cannot be repeated");
  local = n * along * along * along;
  // Atoms by their cell, counted from -1, which holds images; -1: not needed so far.
  std::vector<int> index(std::size_t(wide) * wide * wide * n, -1);
  const auto place = [&](const std::array<int, 3> &c, int i) -> int & {
    return index[((std::size_t(c[0] + 1) * wide + c[1] + 1) * wide + c[2] + 1) * n + i];
  };
  const auto add = [&](const std::array<int, 3> &c, int i) {
    for (int d = 0; d < 3; ++d) positions.push_back(cell.positions[3 * i + d] + c[d] * edge);
    elements.push_back(cell.elements[i]);
    place(c, i) = total() - 1;
  };
  std::vector<std::array<int, 3>> cells;
  for (int a = 0; a < along; ++a)
    for (int b = 0; b < along; ++b)
      for (int c = 0; c < along; ++c) cells.push_back({a, b, c});
  for (const auto &c : cells)
    for (int i = 0; i < n; ++i) {
      add(c, i);
      owner.push_back(place(c, i));
    }
  const auto found = neighbours_of(cell, cutoff);
  first.push_back(0);
  for (const auto &home : cells)
    for (int i = 0; i < n; ++i) {
      for (const Neighbour &neighbour : found[i]) {
        std::array<int, 3> c, inside;
        for (int d = 0; d < 3; ++d) {
          c[d] = home[d] + neighbour.shift[d];
          inside[d] = (c[d] + along) % along;
        }
        if (place(c, neighbour.atom) < 0) {
          add(c, neighbour.atom);
          owner.push_back(place(inside, neighbour.atom));
        }
        neighbours.push_back(place(c, neighbour.atom));
      }
      first.push_back(neighbours.size());
    }
}

}  // namespace mlff::bench
