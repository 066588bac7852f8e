// From gradients of edges to forces and virials.
#pragma once

#include "algebra.h"
#include "device_array.h"
#include "device_network.h"
#include "sums.h"
#include "trouble.h"

namespace mlff::device {

/// An edge's vector from its centre, in the file's unit, and what it takes to have it.
template <class Real>
struct Geometry {
  Real spacing;    ///< of the spline tables; 1 where t = r
  Real softening;  ///< u = vector / (r + softening)

  KOKKOS_FORCEINLINE_FUNCTION Real distance(const Edges<Real> &edges, int e) const {
    return (edges.interval[e] + edges.edge[e].t) * spacing;
  }
  KOKKOS_FORCEINLINE_FUNCTION Real length(const Edges<Real> &edges, int e) const {
    return distance(edges, e) + softening;
  }
};

/// The edges' gradients, summed over slices of channels, become dE/d(vector) in the first slice.
template <class Space, class Real>
static void finish_gradients(const Edges<Real> &edges, const Geometry<Real> &geometry, int slices,
                             std::size_t stride, EdgeGradient<Real> *gradient) {
  for_rows<Space>(
      "mlff::finish_gradients", edges.rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const int begin = edges.begin[row];
        for_lanes(lanes, edges.end[row] - begin, [&](int k) {
          EdgeGradient<Real> g = gradient[begin + k];
          for (int slice = 1; slice < slices; ++slice) {
            const EdgeGradient<Real> part = gradient[slice * stride + begin + k];
            for (int c = 0; c < 3; ++c) g.u[c] += part.u[c];
            g.r += part.r;
          }
          vector_adjoint(edges.edge[begin + k].u, geometry.distance(edges, begin + k),
                         geometry.softening, g.r, g.u);
          gradient[begin + k] = g;
        });
      });
}

/// Tells an edge's reverse. Two atoms may be neighbours through several images, so vectors are
/// compared.
template <class Real>
struct ReverseTest {
  Edges<Real> edges;
  Geometry<Real> geometry;
  Real near2;  ///< square of a distance far below that between two images

  ReverseTest(const Edges<Real> &edges, const Geometry<Real> &geometry, double cutoff)
      : edges(edges), geometry(geometry), near2(static_cast<Real>(1e-6 * cutoff * cutoff)) {}

  /// Whether the edge `back`, which begins at e's neighbour, is e from `row` in reverse.
  KOKKOS_FORCEINLINE_FUNCTION bool operator()(int row, int e, int back) const {
    if (edges.neighbour[back] != row) return false;
    const Real length = geometry.length(edges, e), back_length = geometry.length(edges, back);
    Real gap2 = 0;
    for (int c = 0; c < 3; ++c) {
      const Real d = length * edges.edge[e].u[c] + back_length * edges.edge[back].u[c];
      gap2 += d * d;
    }
    return gap2 < near2;
  }
};

/// An atom's energy with its E0, in the caller's unit.
struct AtomEnergy {
  const double *energies;         ///< [row] without E0
  const double *atomic_energies;  ///< [element] E0
  const int *element;             ///< [row]
  double scale;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(int row) const { return of(row, element[row]); }
  /// The same, where the row's element is known.
  KOKKOS_FORCEINLINE_FUNCTION double of(int row, int element_of_row) const {
    return scale * (energies[row] + atomic_energies[element_of_row]);
  }
};

/// Where atoms' forces go, in the caller's unit.
struct ForceRows {
  double *rows;  ///< [atom, 3], or null
  bool add;      ///< to what is there
  double scale;

  template <class Sum>
  KOKKOS_FORCEINLINE_FUNCTION void put(int atom, const Sum *force) const {
    if (!rows) return;
    double *to = rows + 3 * std::size_t(atom);
    for (int c = 0; c < 3; ++c) to[c] = (add ? to[c] : 0.0) + scale * force[c];
  }
};

/// forces [atom]: scale (sum over an atom's edges of dE/d(vector), minus that of their reverse
/// edges; those from other processes' atoms come later). Reports an energy or force that is not a
/// number.
template <class Sum, class Space, class Real>
static void sum_forces(const ReverseTest<Real> &is_reverse, const EdgeGradient<Real> *gradient,
                       const int *atom_of_row, const AtomEnergy &energy, Trouble::Reporter report,
                       const ForceRows &forces) {
  // The lanes of a row look for one edge's reverse together, each in its part of the neighbour's
  // edges; nothing is summed over the lanes before the end.
  constexpr int kLanes = RowPolicy<Space>::kLanes;
  const Edges<Real> edges = is_reverse.edges;
  for_rows<Space>(
      "mlff::sum_forces", edges.rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const int first = edges.begin[row];
        Sums<Sum, 3> force;
        Kokkos::parallel_reduce(
            Kokkos::ThreadVectorRange(lanes, (edges.end[row] - first) * kLanes),
            [&](int k, Sums<Sum, 3> &sum) {
              const int e = first + k / kLanes, lane = k % kLanes, j = edges.neighbour[e];
              if (lane == 0)
                for (int c = 0; c < 3; ++c) sum.x[c] += gradient[e].u[c];
              if (j >= edges.rows) return;
              for (int back = edges.begin[j] + lane; back < edges.end[j]; back += kLanes)
                if (is_reverse(row, e, back))
                  for (int c = 0; c < 3; ++c) sum.x[c] -= gradient[back].u[c];
            },
            force);
        Kokkos::single(Kokkos::PerThread(lanes), [&] {
          const int atom = atom_of_row[row];
          const Sum total = force.x[0] + force.x[1] + force.x[2];
          if (!Kokkos::isfinite(energy(row)) || !Kokkos::isfinite(total))
            report(Trouble::Result, atom);
          forces.put(atom, force.x);
        });
      });
}

/// -vector (x) dE/d(vector) of an edge, component k of xx yy zz xy xz yz yx zx zy.
template <class Real>
KOKKOS_FORCEINLINE_FUNCTION double edge_virial(const Edges<Real> &edges,
                                               const Geometry<Real> &geometry,
                                               const EdgeGradient<Real> *gradient, int e, int k) {
  const int first = k < 3 ? k : k < 5 ? 0 : k == 5 ? 1 : k == 6 ? 1 : 2;
  const int second = k < 3 ? k : k == 3 ? 1 : k < 6 ? 2 : k == 8 ? 1 : 0;
  return -double(geometry.length(edges, e)) * edges.edge[e].u[first] * gradient[e].u[second];
}

/// Sum over the edges of all rows; waits for the device.
template <class Space, class Real>
static Sums<double, 6> sum_virial(const Edges<Real> &edges, const Geometry<Real> &geometry,
                                  const EdgeGradient<Real> *gradient) {
  Sums<double, 6> total;
  Kokkos::parallel_reduce(
      "mlff::sum_virial", Kokkos::RangePolicy<Space>(0, edges.rows),
      KOKKOS_LAMBDA(int row, Sums<double, 6> &sum) {
        for (int e = edges.begin[row]; e < edges.end[row]; ++e)
          for (int k = 0; k < 6; ++k) sum.x[k] += edge_virial(edges, geometry, gradient, e, k);
      },
      Kokkos::Sum<Sums<double, 6>, Kokkos::HostSpace>(total));
  return total;
}

/// atomic_virial [atom, 9] += half of each of the atom's edges, and of their reverse edges.
template <class Space, class Real>
static void sum_atomic_virials(const ReverseTest<Real> &is_reverse,
                               const EdgeGradient<Real> *gradient, const int *atom_of_row,
                               double scale, double *atomic_virial) {
  const Edges<Real> edges = is_reverse.edges;
  const Geometry<Real> geometry = is_reverse.geometry;
  for_each<Space>(
      "mlff::sum_atomic_virials", std::size_t(9) * edges.rows, KOKKOS_LAMBDA(std::size_t index) {
        const int row = index / 9, k = index % 9;
        double sum = 0;
        for (int e = edges.begin[row]; e < edges.end[row]; ++e) {
          sum += edge_virial(edges, geometry, gradient, e, k);
          const int j = edges.neighbour[e];
          if (j >= edges.rows) continue;
          for (int back = edges.begin[j]; back < edges.end[j]; ++back)
            if (is_reverse(row, e, back)) sum += edge_virial(edges, geometry, gradient, back, k);
        }
        atomic_virial[9 * std::size_t(atom_of_row[row]) + k] += 0.5 * scale * sum;
      });
}

/// Sum over all rows; waits for the device.
template <class Space>
static double sum_energies(int rows, const AtomEnergy &energy) {
  double total = 0;
  Kokkos::parallel_reduce(
      "mlff::sum_energies", Kokkos::RangePolicy<Space>(0, rows),
      KOKKOS_LAMBDA(int row, double &sum) { sum += energy(row); }, total);
  return total;
}

template <class Space>
static void scatter_energies(int rows, const AtomEnergy &energy, const int *atom_of_row,
                             double *atomic_energies) {
  for_each<Space>(
      "mlff::scatter_energies", rows,
      KOKKOS_LAMBDA(std::size_t row) { atomic_energies[atom_of_row[row]] += energy(row); });
}

}  // namespace mlff::device
