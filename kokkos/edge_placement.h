// How a step's edges are found among the neighbours in the lists: for the kernels that place them.
#pragma once

#include "device_data.h"
#include "device_network.h"
#include "trouble.h"

namespace mlff::device {

/// What a kernel needs to visit the neighbours of an atom.
struct Candidates {
  const double *positions;
  const int *atom_of_row, *row_of_atom;
  DeviceNeighbourList list;
  double limit2;

  struct Pair {
    int atom;       ///< the neighbour as the list has it: perhaps an image
    int neighbour;  ///< its row, or -1: not an edge
    double d[3], r2;
  };

  /// The k-th candidate of an atom.
  KOKKOS_FORCEINLINE_FUNCTION Pair measure(std::size_t i, int k) const {
    const std::size_t j =
        list.neighbours[i * list.atom_stride + k * list.neighbour_stride] & list.mask;
    Pair pair;
    pair.atom = static_cast<int>(j);
    pair.neighbour = row_of_atom[j];
    pair.r2 = 0;
    for (int c = 0; c < 3; ++c) {
      pair.d[c] = positions[3 * j + c] - positions[3 * i + c];
      pair.r2 += pair.d[c] * pair.d[c];
    }
    if (!(pair.r2 < limit2)) pair.neighbour = -1;
    return pair;
  }
};

/// An atom's element, asked for in each step: some fixes change types and keep the list.
struct ElementOfAtom {
  const int *types, *element_of_type;
  KOKKOS_FORCEINLINE_FUNCTION int operator()(int atom) const {
    return element_of_type[types[atom]];
  }
};

/// Where the edges of a step go: those of each row from begin[row] on, in the order of the
/// candidates.
template <class Real>
struct EdgePlacement {
  Candidates candidates;
  ElementOfAtom element_of_atom;
  int local;  ///< atoms from here on are ghosts, perhaps images
  double length_scale, softening, inverse_spacing;
  int last_interval;
  Trouble::Reporter report;
  const int *begin;
  int *end, *neighbour, *interval;
  Edge<Real> *edge;
  int *element;

  struct Placed {
    Edge<Real> edge;
    int interval;
  };

  /// Places an atom's edge, measured as `pair`.
  KOKKOS_FORCEINLINE_FUNCTION Placed place(int atom, const Candidates::Pair &pair, int at) const {
    if (!(pair.r2 > 0.0)) report(Trouble::SameSpot, atom);
    const double r = Kokkos::sqrt(pair.r2) * length_scale;
    const double scale = length_scale / (r + softening);
    const double t = r * inverse_spacing;
    const int cell = Kokkos::min(static_cast<int>(t), last_interval);
    const Placed placed = {
        {{static_cast<Real>(pair.d[0] * scale), static_cast<Real>(pair.d[1] * scale),
          static_cast<Real>(pair.d[2] * scale)},
         static_cast<Real>(t - cell)},
        cell};
    neighbour[at] = pair.neighbour;
    interval[at] = cell;
    edge[at] = placed.edge;
    return placed;
  }
  /// What is left to do for a row whose edges are placed up to row_end.
  KOKKOS_FORCEINLINE_FUNCTION void finish(int row, int atom, int row_end,
                                          int element_of_row) const {
    const double *x = candidates.positions + 3 * std::size_t(atom);
    if (!Kokkos::isfinite(x[0] + x[1] + x[2])) report(Trouble::Position, atom);
    end[row] = row_end;
    element[row] = element_of_row;
  }
};

}  // namespace mlff::device
