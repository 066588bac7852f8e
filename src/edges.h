// The edges of a step: pairs within the cutoff in both directions, by centre, each with its
// reverse.
#pragma once

#include <cstddef>
#include <vector>

#include "aligned_array.h"
#include "kernels.h"
#include "network.h"

namespace mlff {

/// Where distances fall in the spline tables.
struct SplineGrid {
  int intervals = 0;     ///< 0: no table
  double spacing = 0.0;  ///< file's length unit
};

/// Rows are the atoms that the network acts on: first the centres (local atoms), then ghosts that
/// other processes own. Images of local atoms share their row.
template <class Real>
class EdgeList {
 public:
  /// Builds rows and edges with r < cutoff, u = (r_j - r_i) / (r + softening). length_scale
  /// converts the caller's positions to the file's unit, in which cutoff and softening are. An edge
  /// between two local atoms is measured once, so that both directions agree exactly. Throws
  /// NonFiniteError for a position that is not a number and for two atoms on one spot.
  void build(const Atoms &atoms, const NeighbourList &list, double cutoff, double length_scale,
             double softening, const SplineGrid &grid);

  int local_rows() const { return local_rows_; }
  int rows() const { return static_cast<int>(atom_.size()); }
  int atom(int row) const { return atom_[row]; }
  int element(int row) const { return element_[row]; }
  const std::vector<int> &row_of_atom() const { return row_of_atom_; }

  std::size_t size() const { return static_cast<std::size_t>(offset_[local_rows_]); }
  int begin(int row) const { return offset_[row]; }
  int count(int row) const { return offset_[row + 1] - offset_[row]; }
  int largest_count() const { return largest_count_; }
  const Edge<Real> *edge(int row) const { return edge_.data() + offset_[row]; }
  /// Index of the reverse edge, or -1 where the neighbour is another process's atom.
  int reverse(int e) const { return reverse_[e]; }

  std::size_t bytes() const;

 private:
  void number_rows(const Atoms &atoms, const NeighbourList &list);
  void check_positions(const Atoms &atoms) const;
  /// Calls visit(centre row, neighbour row, vector, distance) once for each pair within the cutoff.
  template <class Visit>
  void each_pair(const Atoms &atoms, const NeighbourList &list, double cutoff, double length_scale,
                 Visit visit) const;
  void place(int at, int neighbour, const double *d, double r, double length,
             const SplineGrid &grid);

  int local_rows_ = 0, largest_count_ = 0;
  std::vector<int> atom_, element_, row_of_atom_, offset_, cursor_;
  AlignedArray<Edge<Real>> edge_;
  AlignedArray<int> reverse_;
};

}  // namespace mlff
