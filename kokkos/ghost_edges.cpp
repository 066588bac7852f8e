#include "ghost_edges.h"

#include "instantiate.h"

namespace mlff::device {

namespace {

template <class Space, class Real>
void count_by_ghost(const Edges<Real> &edges, int ghosts, int *count) {
  for_each<Space>(
      "mlff::ghosts::clear", ghosts, KOKKOS_LAMBDA(std::size_t k) { count[k] = 0; });
  for_each<Space>(
      "mlff::ghosts::count", edges.rows, KOKKOS_LAMBDA(std::size_t row) {
        for (int e = edges.begin[row]; e < edges.end[row]; ++e)
          if (edges.neighbour[e] >= edges.rows)
            Kokkos::atomic_add(&count[edges.neighbour[e] - edges.rows], 1);
      });
}

/// list: edges of each ghost, order: what to sort them by.
template <class Space, class Real>
void list_by_ghost(const Edges<Real> &edges, const int *atom_of_row, const int *tags, int *cursor,
                   int *list, int *order) {
  for_each<Space>(
      "mlff::ghosts::list", edges.rows, KOKKOS_LAMBDA(std::size_t row) {
        const int place = tags ? tags[atom_of_row[row]] : static_cast<int>(row);
        for (int e = edges.begin[row]; e < edges.end[row]; ++e) {
          if (edges.neighbour[e] < edges.rows) continue;
          const int at = Kokkos::atomic_fetch_add(&cursor[edges.neighbour[e] - edges.rows], 1);
          list[at] = e;
          order[at] = place;
        }
      });
}

/// Who came first is left to chance; sums must not be. The lists are short.
template <class Space>
void sort_lists(int ghosts, const int *offset, int *list, int *order) {
  for_each<Space>(
      "mlff::ghosts::sort", ghosts, KOKKOS_LAMBDA(std::size_t k) {
        for (int at = offset[k] + 1; at < offset[k + 1]; ++at) {
          const int e = list[at], place = order[at];
          int to = at;
          for (; to > offset[k] && order[to - 1] > place; --to) {
            list[to] = list[to - 1];
            order[to] = order[to - 1];
          }
          list[to] = e;
          order[to] = place;
        }
      });
}

template <class Space, class Real>
void gather_forces(int local, int ghosts, const int *offset, const int *list,
                   const EdgeGradient<Real> *gradient, const int *atom_of_row, double scale,
                   double *forces) {
  for_each<Space>(
      "mlff::ghosts::forces", std::size_t(3) * ghosts, KOKKOS_LAMBDA(std::size_t index) {
        const int k = index / 3, c = index % 3;
        double sum = 0;
        for (int at = offset[k]; at < offset[k + 1]; ++at) sum += gradient[list[at]].u[c];
        forces[3 * std::size_t(atom_of_row[local + k]) + c] -= scale * sum;
      });
}

template <class Space, class Real>
void gather_virials(int local, int ghosts, const int *offset, const int *list,
                    const Edges<Real> &edges, const Geometry<Real> &geometry,
                    const EdgeGradient<Real> *gradient, const int *atom_of_row, double scale,
                    double *atomic_virial) {
  for_each<Space>(
      "mlff::ghosts::virials", std::size_t(9) * ghosts, KOKKOS_LAMBDA(std::size_t index) {
        const int ghost = index / 9, k = index % 9;
        double sum = 0;
        for (int at = offset[ghost]; at < offset[ghost + 1]; ++at)
          sum += edge_virial(edges, geometry, gradient, list[at], k);
        atomic_virial[9 * std::size_t(atom_of_row[local + ghost]) + k] += 0.5 * scale * sum;
      });
}

}  // namespace

template <class Real, class Space>
void GhostEdges<Real, Space>::build(const Edges<Real> &edges, int rows, const int *atom_of_row,
                                    const int *tags) {
  local_ = edges.rows;
  ghosts_ = rows - edges.rows;
  offset_.reserve(ghosts_ + 1);
  cursor_.reserve(ghosts_);
  count_by_ghost<Space>(edges, ghosts_, offset_.data());
  const long long found = add_up<Space>("mlff::ghosts::offsets", ghosts_, offset_.data());
  copy<Space>(ghosts_, offset_.data(), cursor_.data());
  edge_.reserve(found);
  order_.reserve(found);
  list_by_ghost<Space>(edges, atom_of_row, tags, cursor_.data(), edge_.data(), order_.data());
  sort_lists<Space>(ghosts_, offset_.data(), edge_.data(), order_.data());
}

template <class Real, class Space>
void GhostEdges<Real, Space>::add_forces(const EdgeGradient<Real> *gradient, const int *atom_of_row,
                                         double scale, double *forces) const {
  gather_forces<Space>(local_, ghosts_, offset_.data(), edge_.data(), gradient, atom_of_row, scale,
                       forces);
}

template <class Real, class Space>
void GhostEdges<Real, Space>::add_atomic_virials(const Edges<Real> &edges,
                                                 const Geometry<Real> &geometry,
                                                 const EdgeGradient<Real> *gradient,
                                                 const int *atom_of_row, double scale,
                                                 double *atomic_virial) const {
  gather_virials<Space>(local_, ghosts_, offset_.data(), edge_.data(), edges, geometry, gradient,
                        atom_of_row, scale, atomic_virial);
}

#define MLFF_GHOST_EDGES(Space)            \
  template class GhostEdges<float, Space>; \
  template class GhostEdges<double, Space>;
MLFF_ON_EACH_SPACE(MLFF_GHOST_EDGES)

}  // namespace mlff::device
