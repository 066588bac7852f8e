// A structure repeated along its axes, with the periodic images around it and a neighbour list.
#pragma once

#include <cstddef>
#include <vector>

#include "systems.h"

namespace mlff::bench {

/// n x n x n copies of a cubic cell as one periodic box; a molecule for n = 1.
struct Repeated {
  int local = 0;                   ///< atoms, copy by copy in the cell's order; then images
  std::vector<double> positions;   ///< [total, 3]
  std::vector<int> elements;       ///< [total]
  std::vector<int> owner;          ///< [total] local atom that each is (an image of)
  std::vector<std::size_t> first;  ///< [local + 1] into `neighbours`
  std::vector<int> neighbours;     ///< all within the cutoff, in both directions
  int total() const { return static_cast<int>(elements.size()); }

  /// The cell must not be smaller than the cutoff. Throws std::invalid_argument if it is, or if a
  /// molecule is to be repeated.
  Repeated(const System &cell, int along, double cutoff);
};

}  // namespace mlff::bench
