#include "sorted_list.h"

#include "instantiate.h"

namespace mlff::device {

namespace {

/// Whether atom a comes before atom b in every list; neither does before itself.
struct Precedes {
  const int *tags;
  const double *positions;

  KOKKOS_FUNCTION bool operator()(int a, int b) const {
    if (tags[a] != tags[b]) return tags[a] < tags[b];
    for (int c = 0; c < 3; ++c) {
      const double x = positions[3 * std::size_t(a) + c], y = positions[3 * std::size_t(b) + c];
      if (x != y) return x < y;
    }
    return a < b;  // on one spot, which the edges report
  }
};

template <class Space>
int longest(int rows, const int *atom_of_row, const int *count) {
  int most = 0;
  Kokkos::parallel_reduce(
      "mlff::longest_list", Kokkos::RangePolicy<Space>(0, rows),
      KOKKOS_LAMBDA(int row, int &largest) {
        largest = Kokkos::max(largest, count[atom_of_row[row]]);
      },
      Kokkos::Max<int>(most));
  return rows > 0 ? most : 0;
}

/// Each neighbour goes where the number of those before it says. Lists are short, and a whole warp
/// reads the same entry at a time.
template <class Space>
void place_in_order(int rows, const int *atom_of_row, const DeviceNeighbourList &from,
                    const Precedes &precedes, std::size_t stride, int *to) {
  for_rows<Space>(
      "mlff::sort_neighbours", rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const std::size_t i = atom_of_row[row];
        const int *row_of_list = from.neighbours + i * from.atom_stride;
        const int count = from.count[i];
        for_lanes(lanes, count, [&](int k) {
          const int atom = row_of_list[k * from.neighbour_stride] & from.mask;
          int before = 0;
          for (int m = 0; m < count; ++m)
            before += precedes(row_of_list[m * from.neighbour_stride] & from.mask, atom);
          to[i * stride + before] = atom;
        });
      });
}

}  // namespace

template <class Space>
void SortedList<Space>::sort(const DeviceAtoms &atoms, const DeviceNeighbourList &list, int rows,
                             const int *atom_of_row) {
  const std::size_t stride = longest<Space>(rows, atom_of_row, list.count);
  neighbours_.reserve(stride * atoms.local);
  place_in_order<Space>(rows, atom_of_row, list, Precedes{atoms.tags, atoms.positions}, stride,
                        neighbours_.data());
  list_ = list;
  list_.neighbours = neighbours_.data();
  list_.atom_stride = stride;
  list_.neighbour_stride = 1;
  list_.mask = ~0;
}

#define MLFF_SORTED_LIST(Space) template class SortedList<Space>;
MLFF_ON_EACH_SPACE(MLFF_SORTED_LIST)

}  // namespace mlff::device
