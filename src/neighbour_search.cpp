#include "neighbour_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace mlff {

namespace {

using Vec = std::array<double, 3>;

Vec cross(const double *a, const double *b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double dot3(const Vec &a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// Distances between opposite faces of the cell.
Vec heights(const std::vector<double> &cell) {
  Vec h;
  for (int k = 0; k < 3; ++k) {
    const Vec normal = cross(&cell[3 * ((k + 1) % 3)], &cell[3 * ((k + 2) % 3)]);
    h[k] = std::fabs(dot3(normal, &cell[3 * k])) / std::sqrt(dot3(normal, normal.data()));
  }
  return h;
}

}  // namespace

Structure::Structure(const std::vector<double> &positions, const std::vector<int> &elements,
                     const std::optional<std::vector<double>> &cell, double cutoff)
    : size_(static_cast<int>(elements.size())), elements_(elements), owner_(size_), centre_(size_) {
  for (int i = 0; i < size_; ++i)
    positions_.push_back({positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]});
  std::iota(owner_.begin(), owner_.end(), 0);
  std::iota(centre_.begin(), centre_.end(), 0);
  if (cell) add_images(*cell, cutoff);
  find_neighbours(cutoff);
}

void Structure::add_images(const std::vector<double> &cell, double cutoff) {
  const Vec h = heights(cell);
  // An image is needed if its fractional coordinates lie within cutoff / height of the atoms'
  // range.
  std::array<std::pair<double, double>, 3> range;
  std::vector<Vec> fractions(size_);
  for (int k = 0; k < 3; ++k) {
    const Vec normal = cross(&cell[3 * ((k + 1) % 3)], &cell[3 * ((k + 2) % 3)]);
    const double volume = dot3(normal, &cell[3 * k]);
    range[k] = {INFINITY, -INFINITY};
    for (int i = 0; i < size_; ++i) {
      const double f = fractions[i][k] = dot3(normal, positions_[i].data()) / volume;
      range[k] = {std::min(range[k].first, f), std::max(range[k].second, f)};
    }
    range[k].first -= cutoff / h[k];
    range[k].second += cutoff / h[k];
  }
  std::array<int, 3> most;
  for (int k = 0; k < 3; ++k)
    most[k] = static_cast<int>(std::ceil(range[k].second - range[k].first));
  for (int a = -most[0]; a <= most[0]; ++a)
    for (int b = -most[1]; b <= most[1]; ++b)
      for (int c = -most[2]; c <= most[2]; ++c) {
        if (a == 0 && b == 0 && c == 0) continue;
        const std::array<int, 3> shift = {a, b, c};
        for (int i = 0; i < size_; ++i) {
          bool near = true;
          for (int k = 0; k < 3; ++k) {
            const double f = fractions[i][k] + shift[k];
            near = near && f >= range[k].first && f <= range[k].second;
          }
          if (!near) continue;
          Vec x = positions_[i];
          for (int k = 0; k < 3; ++k)
            for (int d = 0; d < 3; ++d) x[d] += shift[k] * cell[3 * k + d];
          positions_.push_back(x);
          elements_.push_back(elements_[i]);
          owner_.push_back(i);
        }
      }
}

void Structure::find_neighbours(double cutoff) {
  // Cells of the cutoff's size; a map, because vacuum costs nothing then.
  std::map<std::array<int, 3>, std::vector<int>> cells;
  const auto cell_of = [&](const Vec &x) {
    return std::array<int, 3>{static_cast<int>(std::floor(x[0] / cutoff)),
                              static_cast<int>(std::floor(x[1] / cutoff)),
                              static_cast<int>(std::floor(x[2] / cutoff))};
  };
  for (int i = 0; i < total(); ++i) cells[cell_of(positions_[i])].push_back(i);
  neighbours_.resize(size_);
  for (int i = 0; i < size_; ++i) {
    const std::array<int, 3> home = cell_of(positions_[i]);
    for (int k = 0; k < 27; ++k) {
      const auto found =
          cells.find({home[0] + k % 3 - 1, home[1] + k / 3 % 3 - 1, home[2] + k / 9 - 1});
      if (found == cells.end()) continue;
      for (const int j : found->second) {
        double r2 = 0.0;
        for (int d = 0; d < 3; ++d) r2 += std::pow(positions_[j][d] - positions_[i][d], 2);
        // A margin, because the network decides itself about pairs at the cutoff.
        if (j != i && r2 < cutoff * cutoff * 1.0001) neighbours_[i].push_back(j);
      }
    }
    count_.push_back(static_cast<int>(neighbours_[i].size()));
    rows_.push_back(neighbours_[i].data());
  }
}

Atoms Structure::atoms() const {
  Atoms atoms;
  atoms.local = size_;
  atoms.total = total();
  atoms.positions = reinterpret_cast<const double(*)[3]>(positions_.data());
  atoms.elements = elements_.data();
  atoms.owner = owner_.data();
  return atoms;
}

NeighbourList Structure::list() const {
  NeighbourList list;
  list.centres = size_;
  list.centre = centre_.data();
  list.count = count_.data();
  list.neighbours = rows_.data();
  return list;
}

}  // namespace mlff
