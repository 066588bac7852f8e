// Neighbours of a stand-alone structure, for the check structure, tests and benchmarks; in LAMMPS
// the neighbour list is LAMMPS's own.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "network.h"

namespace mlff {

/// A molecule (no cell) or a periodic box of any shape and size, its periodic images as ghosts, and
/// its full neighbour list; `atoms` and `list` can be handed to Network::compute.
class Structure {
 public:
  /// positions [n, 3] and cell [3, 3] (rows; periodic in all directions) in one unit with the
  /// cutoff; elements [n] as in Atoms. All pairs within the cutoff of each other are found, image
  /// by image.
  Structure(const std::vector<double> &positions, const std::vector<int> &elements,
            const std::optional<std::vector<double>> &cell, double cutoff);

  Atoms atoms() const;
  NeighbourList list() const;
  int size() const { return size_; }
  int total() const { return static_cast<int>(positions_.size()); }

 private:
  void add_images(const std::vector<double> &cell, double cutoff);
  void find_neighbours(double cutoff);

  int size_;
  std::vector<std::array<double, 3>> positions_;
  std::vector<int> elements_, owner_, centre_, count_;
  std::vector<std::vector<int>> neighbours_;
  std::vector<const int *> rows_;
};

}  // namespace mlff
