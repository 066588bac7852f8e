// Edges to other processes' atoms, by the atom that they point to.
#pragma once

#include "forces.h"

namespace mlff::device {

/// What edges give to ghosts is gathered by these, not scattered by the edges: sums of floats then
/// never depend on who comes first.
template <class Real, class Space>
class GhostEdges {
 public:
  /// Finds the edges of each ghost row in [edges.rows, rows), in the order of their centres' tags
  /// if there are tags [atoms], else of their rows.
  void build(const Edges<Real> &edges, int rows, const int *atom_of_row, const int *tags);
  /// forces [atom] -= scale dE/d(vector) of its edges.
  void add_forces(const EdgeGradient<Real> *gradient, const int *atom_of_row, double scale,
                  double *forces) const;
  /// atomic_virial [atom, 9] += half of its edges' virials.
  void add_atomic_virials(const Edges<Real> &edges, const Geometry<Real> &geometry,
                          const EdgeGradient<Real> *gradient, const int *atom_of_row, double scale,
                          double *atomic_virial) const;
  std::size_t bytes() const {
    return offset_.bytes() + cursor_.bytes() + edge_.bytes() + order_.bytes();
  }

 private:
  int local_ = 0, ghosts_ = 0;
  Array<int, Space> offset_{"mlff::ghost_edges::offset"}, cursor_{"mlff::ghost_edges::cursor"};
  Array<int, Space> edge_{"mlff::ghost_edges::edge"}, order_{"mlff::ghost_edges::order"};
};

}  // namespace mlff::device
