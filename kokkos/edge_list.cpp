#include "edge_list.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "instantiate.h"

namespace mlff::device {

namespace {

/// Rows of a choice of atoms: row_of_atom[atom(k)] = first + number of those chosen before k.
template <class Space, class Atom>
int number(int n, int first, const Atom &atom, int *row_of_atom, int *atom_of_row) {
  int chosen = 0;
  Kokkos::parallel_scan(
      "mlff::number_rows", Kokkos::RangePolicy<Space>(0, n),
      KOKKOS_LAMBDA(int k, int &before, bool final) {
        const int i = atom(k);
        if (i < 0) return;
        if (final) {
          row_of_atom[i] = first + before;
          atom_of_row[first + before] = i;
        }
        ++before;
      },
      chosen);
  return chosen;
}

/// The rows of centres, then of ghosts that others own; images share their owner's row.
template <class Space>
void number_all(const DeviceAtoms &atoms, const DeviceNeighbourList &list, int *row_of_atom,
                int *atom_of_row, int &local_rows, int &rows) {
  const int local = atoms.local;
  const int *types = atoms.types, *element = atoms.element_of_type, *owner = atoms.owner;
  const int *centre = list.centre;
  for_each<Space>(
      "mlff::forget_rows", atoms.total, KOKKOS_LAMBDA(std::size_t i) { row_of_atom[i] = -1; });
  local_rows = number<Space>(
      list.centres, 0,
      KOKKOS_LAMBDA(int k) { return element[types[centre[k]]] >= 0 ? centre[k] : -1; }, row_of_atom,
      atom_of_row);
  rows = local_rows;
  if (atoms.total == local || !owner) return;
  rows += number<Space>(
      atoms.total - local, local_rows,
      KOKKOS_LAMBDA(int k) {
        const int i = local + k;
        return element[types[i]] >= 0 && owner[i] < 0 ? i : -1;
      },
      row_of_atom, atom_of_row);
  for_each<Space>(
      "mlff::image_rows", atoms.total - local, KOKKOS_LAMBDA(std::size_t k) {
        const std::size_t i = local + k;
        if (owner[i] >= 0 && element[types[i]] >= 0) row_of_atom[i] = row_of_atom[owner[i]];
      });
}

/// Elements of the rows of other processes' atoms.
template <class Space>
void set_ghost_elements(int local, int rows, const ElementOfAtom &element_of_atom,
                        const int *atom_of_row, int *element) {
  for_each<Space>(
      "mlff::ghost_elements", rows - local, KOKKOS_LAMBDA(std::size_t k) {
        element[local + k] = element_of_atom(atom_of_row[local + k]);
      });
}

/// begin[row] = number of candidates of the row, for now.
template <class Space>
void count_candidates(int rows, const int *atom_of_row, const int *count, int *begin) {
  for_each<Space>(
      "mlff::count_candidates", rows,
      KOKKOS_LAMBDA(std::size_t row) { begin[row] = count[atom_of_row[row]]; });
}

/// begin[row] = number of edges of the row, for now.
template <class Space>
void count_edges(int rows, const Candidates &candidates, int *begin) {
  for_rows<Space>(
      "mlff::count_edges", rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const int atom = candidates.atom_of_row[row];
        int edges = 0;
        Kokkos::parallel_reduce(
            Kokkos::ThreadVectorRange(lanes, candidates.list.count[atom]),
            [&](int k, int &sum) { sum += candidates.measure(atom, k).neighbour >= 0; }, edges);
        Kokkos::single(Kokkos::PerThread(lanes), [&] { begin[row] = edges; });
      });
}

/// The edges of each row, where they end, and the row's element.
template <class Space, class Real>
void place_edges(int rows, const EdgePlacement<Real> &placement) {
  for_rows<Space>(
      "mlff::place_edges", rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const Candidates &candidates = placement.candidates;
        const int first = placement.begin[row], atom = candidates.atom_of_row[row];
        int edges = 0;
        Kokkos::parallel_scan(
            Kokkos::ThreadVectorRange(lanes, candidates.list.count[atom]),
            [&](int k, int &before, bool final) {
              const auto pair = candidates.measure(atom, k);
              if (pair.neighbour < 0) return;
              if (final) placement.place(atom, pair, first + before);
              ++before;
            },
            edges);
        Kokkos::single(Kokkos::PerThread(lanes), [&] {
          placement.finish(row, atom, first + edges, placement.element_of_atom(atom));
        });
      });
}

/// picked[k] = offsets[rows[k]].
template <class Space>
void pick(int n, const int *rows, const int *offsets, int *picked) {
  for_each<Space>(
      "mlff::pick", n, KOKKOS_LAMBDA(std::size_t k) { picked[k] = offsets[rows[k]]; });
}

}  // namespace

template <class Real, class Space>
void EdgeList<Real, Space>::number_rows(const DeviceAtoms &atoms, const DeviceNeighbourList &list) {
  row_of_atom_.reserve(atoms.total);
  atom_.reserve(atoms.total);
  element_.reserve(atoms.total);
  number_all<Space>(atoms, list, row_of_atom_.data(), atom_.data(), local_rows_, rows_);
  begin_.reserve(local_rows_ + 1);
  end_.reserve(local_rows_);
  count_candidates<Space>(local_rows_, atom_.data(), list.count, begin_.data());
  if (options_.compact) copy_to_host(candidate_counts_, begin_, local_rows_);
  const long long candidates = add_up<Space>("mlff::offsets", local_rows_, begin_.data());
  has_room_ = !options_.compact && candidates <= kRoomForAll;
  if (has_room_) reserve(candidates);
}

template <class Real, class Space>
void EdgeList<Real, Space>::reserve(std::size_t edges) {
  // Kernels may read the room between rows, to no effect.
  neighbour_.reserve_zeros(edges);
  interval_.reserve_zeros(edges);
  edge_.reserve_zeros(edges);
  capacity_ = neighbour_.view().extent(0);
}

template <class Real, class Space>
void EdgeList<Real, Space>::make_room(const DeviceAtoms &atoms, const DeviceNeighbourList &list) {
  if (atoms.changed) {
    number_rows(atoms, list);
    if (atoms.tags) sorted_.sort(atoms, list, local_rows_, atom_.data());
  }
  list_ = atoms.tags ? sorted_.list() : list;
  if (has_room_) return;
  count_edges<Space>(local_rows_, candidates(atoms), begin_.data());
  const long long edges = add_up<Space>("mlff::offsets", local_rows_, begin_.data());
  if (edges > std::numeric_limits<int>::max())
    throw std::length_error(std::to_string(edges) +
                            " edges on one process, which can have 2147483647; use more processes");
  reserve(edges);
}

template <class Real, class Space>
Candidates EdgeList<Real, Space>::candidates(const DeviceAtoms &atoms) const {
  const double limit = options_.cutoff / options_.length_scale;
  return {atoms.positions, atom_.data(), row_of_atom_.data(), list_, limit * limit};
}

template <class Real, class Space>
void EdgeList<Real, Space>::begin(const DeviceAtoms &atoms, const Trouble &trouble) {
  const bool tables = options_.intervals > 0;
  placement_ = {candidates(atoms),
                {atoms.types, atoms.element_of_type},
                atoms.local,
                options_.length_scale,
                options_.softening,
                tables ? 1.0 / options_.spacing : 1.0,
                tables ? options_.intervals - 1 : 0,
                trouble.reporter(),
                begin_.data(),
                end_.data(),
                neighbour_.data(),
                interval_.data(),
                edge_.data(),
                element_.data()};
  if (rows_ > local_rows_)
    set_ghost_elements<Space>(local_rows_, rows_, placement_.element_of_atom, atom_.data(),
                              element_.data());
}

template <class Real, class Space>
void EdgeList<Real, Space>::place() const {
  place_edges<Space>(local_rows_, placement_);
}

template <class Real, class Space>
Edges<Real> EdgeList<Real, Space>::view() const {
  return {local_rows_,      begin_.data(), end_.data(),    neighbour_.data(),
          interval_.data(), edge_.data(),  element_.data()};
}

template <class Real, class Space>
std::vector<int> EdgeList<Real, Space>::offsets(const Array<int, Space> &rows, int n) {
  some_offsets_.reserve(n);
  pick<Space>(n, rows.data(), begin_.data(), some_offsets_.data());
  std::vector<int> offsets;
  copy_to_host(offsets, some_offsets_, n);
  return offsets;
}

template <class Real, class Space>
std::size_t EdgeList<Real, Space>::bytes() const {
  return atom_.bytes() + element_.bytes() + row_of_atom_.bytes() + begin_.bytes() + end_.bytes() +
         neighbour_.bytes() + interval_.bytes() + edge_.bytes() + sorted_.bytes();
}

#define MLFF_EDGE_LISTS(Space)           \
  template class EdgeList<float, Space>; \
  template class EdgeList<double, Space>;
MLFF_ON_EACH_SPACE(MLFF_EDGE_LISTS)

}  // namespace mlff::device
