// The edges of a step on the device, see src/edges.h: pairs within the cutoff in both directions,
// by centre.
#pragma once

#include "device_array.h"
#include "device_network.h"
#include "edge_placement.h"
#include "edges.h"
#include "sorted_list.h"
#include "trouble.h"

namespace mlff::device {

/// Rows are numbered where atoms or neighbour lists change, edges are measured each step.
template <class Real, class Space>
class EdgeList {
 public:
  struct Options {
    double cutoff = 0.0;  ///< file's length unit, as softening and spacing
    double length_scale = 1.0;
    double softening = 0.0;
    double spacing = 1.0;  ///< of the spline tables
    int intervals = 1;     ///< of the spline tables; 0: exact filters, t = r
    bool compact = false;  ///< no room between rows; costs a count of the edges in each step
  };

  EdgeList() = default;
  explicit EdgeList(const Options &options) : options_(options) {}

  /// Numbers rows and makes room for edges. It waits for the device where something changed; in
  /// each step only where rows are compact, or candidates too many to have room for all of them.
  void make_room(const DeviceAtoms &atoms, const DeviceNeighbourList &list);
  /// Begins a step: says how its edges are to be placed, and looks up the elements of ghosts.
  void begin(const DeviceAtoms &atoms, const Trouble &trouble);
  /// Measures the edges, for which there is room, and looks up the centres' elements.
  void place() const;
  /// For kernels that do what place() does.
  const EdgePlacement<Real> &placement() const { return placement_; }

  int local_rows() const { return local_rows_; }
  int rows() const { return rows_; }
  const int *atom_of_row() const { return atom_.data(); }
  const int *row_of_atom() const { return row_of_atom_.data(); }
  Edges<Real> view() const;
  /// Whether there is room for all candidates, until something changes.
  bool has_room() const { return has_room_; }
  /// Where candidates are looked up.
  const DeviceNeighbourList &list() const { return list_; }
  /// Room there is for edges: no less than there are.
  std::size_t capacity() const { return capacity_; }
  /// Candidates of each row, when they last changed; if rows are compact.
  const std::vector<int> &candidate_counts() const { return candidate_counts_; }
  /// Where the edges of `n` rows begin, if rows are compact; waits for the device.
  std::vector<int> offsets(const Array<int, Space> &rows, int n);
  const Options &options() const { return options_; }
  std::size_t bytes() const;

 private:
  void number_rows(const DeviceAtoms &atoms, const DeviceNeighbourList &list);
  Candidates candidates(const DeviceAtoms &atoms) const;
  void reserve(std::size_t edges);

  /// Up to so many candidates there is room for an edge each.
  static constexpr int kRoomForAll = 1 << 25;

  Options options_;
  int local_rows_ = 0, rows_ = 0;
  bool has_room_ = false;  ///< for all candidates
  std::size_t capacity_ = 0;
  Array<int, Space> atom_{"mlff::atom_of_row"}, element_{"mlff::element_of_row"};
  Array<int, Space> row_of_atom_{"mlff::row_of_atom"};
  SortedList<Space> sorted_;  ///< if atoms have tags
  DeviceNeighbourList list_;
  EdgePlacement<Real> placement_{};  ///< of this step
  Array<int, Space> begin_{"mlff::edges::begin"}, end_{"mlff::edges::end"};
  std::vector<int> candidate_counts_;
  Array<int, Space> some_offsets_{"mlff::edges::some_offsets"};
  Array<int, Space> neighbour_{"mlff::edges::neighbour"};
  Array<int, Space> interval_{"mlff::edges::interval"};
  Array<Edge<Real>, Space> edge_{"mlff::edges::edge"};
};

}  // namespace mlff::device
