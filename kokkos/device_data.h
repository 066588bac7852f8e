// What the device's kernels read and write: plain structures of pointers into its memory. Neither
// Kokkos nor CUDA is needed to read this file. Names and meaning as on the host (src/kernels.h);
// the layouts differ, because here 32 neighbouring threads want 32 neighbouring channels.
//
// C is the number of channels padded with zeros to a multiple of kChannelPadding. Rows of atoms:
//   features, features_bar   [row][4][C]   s, vx, vy, vz
//   senders, sender_bar      [row][5][C]   xa, xb, px, py, pz with p = xc v
//   mixed                    [row][3][2][C]   (V, W) for each of x, y, z
#pragma once

namespace mlff::device {

constexpr int kChannelPadding = 32;

/// Where an edge points from its centre, and its place in the spline tables: r = (interval + t) h.
/// Exact filters use the table's spacing h = 1 and interval = 0, so that t = r.
template <class Real>
struct alignas(4 * sizeof(Real)) Edge {
  Real u[3];
  Real t;
};

/// Adjoints of an edge's u and r.
template <class Real>
struct alignas(4 * sizeof(Real)) EdgeGradient {
  Real u[3];
  Real r;
};

/// The edges of a step by centre: row i has the edges begin[i] to end[i] - 1. Rows follow one
/// another; between two of them there may be room that is not used.
template <class Real>
struct Edges {
  int rows = 0;                      ///< centres: this process's atoms
  const int *begin = nullptr;        ///< [rows + 1]
  const int *end = nullptr;          ///< [rows]
  const int *neighbour = nullptr;    ///< [edges] row of the neighbour, >= rows: another process's
  const int *interval = nullptr;     ///< [edges] of the spline tables
  const Edge<Real> *edge = nullptr;  ///< [edges]
  const int *element = nullptr;      ///< [all rows] caller's element
};

/// Functions of r as cubic B-splines: coefficients [intervals + 3][columns]. In interval k with t
/// from 0 to 1 the rows k to k + 3 have the weights (1-t)^3/6, (3t^2(t-2)+4)/6, (3q^2(q-2)+4)/6
/// with q = 1-t, and t^3/6; derivatives are weighted differences of neighbouring rows, as in
/// src/message_kernels.h. Columns of a filter: [3][C], blocks Wa, Wb, Wc.
template <class Real>
struct SplineTable {
  const Real *coefficients = nullptr;
  int intervals = 0;
  int columns = 0;
  Real inverse_spacing = 0;  ///< dt/dr = 1/h
};

/// A part of the centres, [begin, begin + size). Arrays named "of the range" begin at `begin`.
struct Range {
  int begin = 0, size = 0;
};

}  // namespace mlff::device
