// From gradients of edges to forces and virials.
#pragma once

#include "device_array.h"
#include "device_network.h"
#include "trouble.h"

namespace mlff::device {

/// Numbers that a reduction adds up.
template <class Real, int n>
struct Sums {
  Real x[n] = {};
  KOKKOS_INLINE_FUNCTION Sums &operator+=(const Sums &y) {
    for (int k = 0; k < n; ++k) x[k] += y.x[k];
    return *this;
  }
};

}  // namespace mlff::device

template <class Real, int n>
struct Kokkos::reduction_identity<mlff::device::Sums<Real, n>> {
  KOKKOS_FORCEINLINE_FUNCTION static mlff::device::Sums<Real, n> sum() { return {}; }
};

namespace mlff::device {

/// An edge's vector from its centre, in the file's unit, and what it takes to have it.
template <class Real>
struct Geometry {
  Real spacing;    ///< of the spline tables; 1 where t = r
  Real softening;  ///< u = vector / (r + softening)

  KOKKOS_FORCEINLINE_FUNCTION Real length(const Edges<Real> &edges, int e) const {
    return (edges.interval[e] + edges.edge[e].t) * spacing + softening;
  }
};

/// The edges' gradients, summed over slices of channels, become dE/d(vector) in the first slice:
/// with e the unit vector, u = e r / (r + softening), dE/dr e + (dE/du - e <e, dE/du>) / (r +
/// softening) + e <e, dE/du> softening / (r + softening)^2.
template <class Space, class Real>
void finish_gradients(const Edges<Real> &edges, const Geometry<Real> &geometry, int slices,
                      std::size_t stride, EdgeGradient<Real> *gradient) {
  for_rows<Space>(
      "mlff::finish_gradients", edges.rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const int begin = edges.offset[row];
        for_lanes(lanes, edges.offset[row + 1] - begin, [&](int k) {
          EdgeGradient<Real> g = gradient[begin + k];
          for (int slice = 1; slice < slices; ++slice) {
            const EdgeGradient<Real> part = gradient[slice * stride + begin + k];
            for (int c = 0; c < 3; ++c) g.u[c] += part.u[c];
            g.r += part.r;
          }
          const Real length = geometry.length(edges, begin + k);
          const Real stretch = length / (length - geometry.softening);
          const Real *u = edges.edge[begin + k].u;
          const Real e[3] = {u[0] * stretch, u[1] * stretch, u[2] * stretch};
          const Real along = e[0] * g.u[0] + e[1] * g.u[1] + e[2] * g.u[2];
          const Real radial = g.r + along * geometry.softening / (length * length);
          for (int c = 0; c < 3; ++c) g.u[c] = radial * e[c] + (g.u[c] - along * e[c]) / length;
          gradient[begin + k] = g;
        });
      });
}

/// reverse [edges]: the edge from the neighbour back, or -1 where the neighbour is another
/// process's. Two atoms may be neighbours through several images, so vectors are compared.
template <class Space, class Real>
void find_reverses(const Edges<Real> &edges, const Geometry<Real> &geometry, Real cutoff,
                   int *reverse) {
  const Real near2 = Real(1e-6) * cutoff * cutoff;
  for_rows<Space>(
      "mlff::find_reverses", edges.rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        for (int e = edges.offset[row]; e < edges.offset[row + 1]; ++e) {
          const int j = edges.neighbour[e];
          const int begin = j < edges.rows ? edges.offset[j] : 0;
          const int count = j < edges.rows ? edges.offset[j + 1] - begin : 0;
          int found = -1;
          Kokkos::parallel_reduce(
              Kokkos::ThreadVectorRange(lanes, count),
              [&](int k, int &best) {
                const int back = begin + k;
                if (edges.neighbour[back] != row) return;
                const Real length = geometry.length(edges, e);
                const Real back_length = geometry.length(edges, back);
                Real gap2 = 0;
                for (int c = 0; c < 3; ++c) {
                  const Real d = length * edges.edge[e].u[c] + back_length * edges.edge[back].u[c];
                  gap2 += d * d;
                }
                if (gap2 < near2) best = Kokkos::max(best, back);
              },
              Kokkos::Max<int>(found));
          Kokkos::single(Kokkos::PerThread(lanes), [&] { reverse[e] = Kokkos::max(found, -1); });
        }
      });
}

/// forces [atom] += scale (sum over an atom's edges of dE/d(vector), minus that of their reverse
/// edges). Reports an energy or force that is not a number.
template <class Sum, class Space, class Real>
void sum_forces(const Edges<Real> &edges, const int *reverse, const EdgeGradient<Real> *gradient,
                const int *atom_of_row, const double *energies, double scale,
                Trouble::Reporter report, double *forces) {
  for_rows<Space>(
      "mlff::sum_forces", edges.rows, KOKKOS_LAMBDA(const Team<Space> &lanes, int row) {
        const int begin = edges.offset[row];
        Sums<Sum, 3> force;
        Kokkos::parallel_reduce(
            Kokkos::ThreadVectorRange(lanes, edges.offset[row + 1] - begin),
            [&](int k, Sums<Sum, 3> &sum) {
              const EdgeGradient<Real> g = gradient[begin + k];
              const int back = reverse[begin + k];
              for (int c = 0; c < 3; ++c) {
                sum.x[c] += g.u[c];
                if (back >= 0) sum.x[c] -= gradient[back].u[c];
              }
            },
            force);
        Kokkos::single(Kokkos::PerThread(lanes), [&] {
          const int atom = atom_of_row[row];
          const Sum total = force.x[0] + force.x[1] + force.x[2];
          if (!Kokkos::isfinite(energies[row]) || !Kokkos::isfinite(total))
            report(Trouble::Result, atom);
          if (forces)
            for (int c = 0; c < 3; ++c) forces[3 * std::size_t(atom) + c] += scale * force.x[c];
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
Sums<double, 6> sum_virial(const Edges<Real> &edges, const Geometry<Real> &geometry,
                           const EdgeGradient<Real> *gradient) {
  Sums<double, 6> total;
  Kokkos::parallel_reduce(
      "mlff::sum_virial", Kokkos::RangePolicy<Space>(0, edges.rows),
      KOKKOS_LAMBDA(int row, Sums<double, 6> &sum) {
        for (int e = edges.offset[row]; e < edges.offset[row + 1]; ++e)
          for (int k = 0; k < 6; ++k) sum.x[k] += edge_virial(edges, geometry, gradient, e, k);
      },
      Kokkos::Sum<Sums<double, 6>, Kokkos::HostSpace>(total));
  return total;
}

/// atomic_virial [atom, 9] += half of each of the atom's edges, and of their reverse edges.
template <class Space, class Real>
void sum_atomic_virials(const Edges<Real> &edges, const Geometry<Real> &geometry,
                        const int *reverse, const EdgeGradient<Real> *gradient,
                        const int *atom_of_row, double scale, double *atomic_virial) {
  for_each<Space>(
      "mlff::sum_atomic_virials", std::size_t(9) * edges.rows, KOKKOS_LAMBDA(std::size_t index) {
        const int row = index / 9, k = index % 9;
        double sum = 0;
        for (int e = edges.offset[row]; e < edges.offset[row + 1]; ++e) {
          sum += edge_virial(edges, geometry, gradient, e, k);
          if (reverse[e] >= 0) sum += edge_virial(edges, geometry, gradient, reverse[e], k);
        }
        atomic_virial[9 * std::size_t(atom_of_row[row]) + k] += 0.5 * scale * sum;
      });
}

/// energies [row] += E0 of the row's element.
template <class Space>
void add_atomic_energies(int rows, const int *element, const double *atomic_energies,
                         double *energies) {
  for_each<Space>(
      "mlff::add_atomic_energies", rows,
      KOKKOS_LAMBDA(std::size_t row) { energies[row] += atomic_energies[element[row]]; });
}

/// Sum over all rows; waits for the device.
template <class Space>
double sum_energies(int rows, const double *energies) {
  double total = 0;
  Kokkos::parallel_reduce(
      "mlff::sum_energies", Kokkos::RangePolicy<Space>(0, rows),
      KOKKOS_LAMBDA(int row, double &sum) { sum += energies[row]; }, total);
  return total;
}

template <class Space>
void scatter_energies(int rows, const int *atom_of_row, const double *energies, double scale,
                      double *atomic_energies) {
  for_each<Space>(
      "mlff::scatter_energies", rows, KOKKOS_LAMBDA(std::size_t row) {
        atomic_energies[atom_of_row[row]] += scale * energies[row];
      });
}

}  // namespace mlff::device
