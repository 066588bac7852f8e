// Which atoms of this process the ghosts are images of, found on the device by their IDs.
#pragma once

#include <cstddef>

#include "device_array.h"

namespace mlff::device {

/// A table of the local atoms by ID, with open addressing: entries are indices of atoms, or -1.
template <class Tags>
struct TagTable {
  Tags tags;  // [total] view of IDs, those of the local atoms distinct
  int *entry;
  unsigned size;  // a power of two above the number of local atoms

  KOKKOS_FUNCTION unsigned slot(long long tag) const {
    return static_cast<unsigned>((static_cast<unsigned long long>(tag) * 0x9e3779b97f4a7c15ull) >>
                                 32) &
           (size - 1);
  }
  KOKKOS_FUNCTION void insert(int atom) const {
    for (unsigned k = slot(tags(atom));; k = (k + 1) & (size - 1))
      if (Kokkos::atomic_compare_exchange(&entry[k], -1, atom) == -1) return;
  }
  KOKKOS_FUNCTION int find(int atom) const {
    for (unsigned k = slot(tags(atom));; k = (k + 1) & (size - 1))
      if (entry[k] < 0 || tags(entry[k]) == tags(atom)) return entry[k];
  }
};

template <class Tags>
struct InsertTags {
  TagTable<Tags> table;
  KOKKOS_FUNCTION void operator()(const int atom) const { table.insert(atom); }
};

template <class Tags>
struct FindOwners {
  TagTable<Tags> table;
  int local;
  int *owner;
  KOKKOS_FUNCTION void operator()(const int atom) const {
    owner[atom] = atom < local ? atom : table.find(atom);
  }
};

/// owner: [total] as DeviceAtoms::owner. entries: work space.
template <class Space, class Tags>
void find_owners(const Tags &tags, int local, int total, Array<int, Space> &entries, int *owner) {
  unsigned size = 2;
  while (size < 2u * static_cast<unsigned>(local)) size *= 2;
  entries.reserve(size);
  Kokkos::deep_copy(
      Space(), Kokkos::subview(entries.view(), std::make_pair(std::size_t(0), std::size_t(size))),
      -1);
  using Range = Kokkos::RangePolicy<Space, Kokkos::IndexType<int>>;
  const TagTable<Tags> table{tags, entries.data(), size};
  Kokkos::parallel_for("mlff::insert_tags", Range(0, local), InsertTags<Tags>{table});
  Kokkos::parallel_for("mlff::find_owners", Range(0, total), FindOwners<Tags>{table, local, owner});
}

}  // namespace mlff::device
