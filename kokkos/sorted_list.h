// Neighbour lists in an order that does not depend on how they were built.
#pragma once

#include "device_array.h"
#include "device_network.h"

namespace mlff::device {

/// On GPUs LAMMPS leaves the order of neighbours to chance, and sums of floats follow their order.
template <class Space>
class SortedList {
 public:
  /// Sorts the neighbours of the atoms [rows] by their tags, images of one atom by where they are.
  void sort(const DeviceAtoms &atoms, const DeviceNeighbourList &list, int rows,
            const int *atom_of_row);
  /// Lists the same neighbours as what was sorted.
  const DeviceNeighbourList &list() const { return list_; }
  std::size_t bytes() const { return neighbours_.bytes(); }

 private:
  DeviceNeighbourList list_;
  Array<int, Space> neighbours_{"mlff::sorted_list::neighbours"};
};

}  // namespace mlff::device
