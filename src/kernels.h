// The kernels that are compiled once per instruction set, as a table of functions on plain arrays.
// Plain arrays and no templates of the standard library in there, so that nothing compiled for
// AVX-512 can be linked into what an older processor runs.
//
// C below is the number of channels padded with zeros to a multiple of kChannelBlock. A row [nC]
// holds n features one after the other. What is gathered along edges is interleaved instead, [nC]~:
// the n features of kChannelBlock channels, then of the next, so that what a vector of channels
// needs lies together.
#pragma once

#include "network.h"

namespace mlff {

/// Channels are padded to a multiple of this, the widest vector of floats.
constexpr int kChannelBlock = 16;

/// Where feature 0 of a channel lies in an interleaved row of n features; feature c is c
/// kChannelBlock on.
template <int n>
constexpr int interleaved(int channel) {
  return channel / kChannelBlock * kChannelBlock * n + channel % kChannelBlock;
}

/// A dense layer as the kernels read it: weights packed by panels of Kernels::panel outputs,
/// [panel][input][k].
template <class Real>
struct DenseLayer {
  int inputs = 0, outputs = 0;  ///< outputs: a multiple of kChannelBlock
  const Real *weights = nullptr;
  const Real *bias = nullptr;  ///< [outputs] or null
};

/// What a dense layer does with its result y = x W^T + bias.
enum class Epilogue {
  Store,    ///< y
  Add,      ///< y added to what is there
  Silu,     ///< silu(y), and silu'(y) to `factor`
  Multiply  ///< y times `factor`: the adjoint of Silu
};

template <class Real>
struct Matrix {
  Real *data = nullptr;
  int stride = 0;  ///< from row to row
};

/// An edge from a centre: u points from it to `neighbour`.
template <class Real>
struct Edge {
  int neighbour;  ///< row of the neighbour
  int element;    ///< of the neighbour
  int interval;   ///< of the spline table
  Real t;         ///< position in that interval, 0 to 1
  Real r;
  Real u[3];
};

/// Adjoints of an edge's r and u.
template <class Real>
struct EdgeGradient {
  Real r, u[3];
};

/// Filters of one layer: either a spline table or, in exact mode, rows evaluated for the edges at
/// hand.
template <class Real>
struct FilterRows {
  const Real *table = nullptr;        ///< [intervals + 3, stride] B-spline coefficients
  Real inverse_spacing = 0;           ///< dt/dr
  const Real *values = nullptr;       ///< [edges, stride]
  const Real *derivatives = nullptr;  ///< [edges, stride]
  int stride = 0;                     ///< [3C]~ for filters, the padded number of radial functions
};

/// Radial functions g_k times the cutoff fc, evaluated exactly. Arrays are padded to kChannelBlock.
template <class Real>
struct RadialBasis {
  RadialFunctions functions = RadialFunctions::Gaussian;
  CutoffFunction cutoff_function = CutoffFunction::Cosine;
  double cutoff = 0.0;
  int number = 0;                        ///< K
  const Real *centers = nullptr;         ///< [K] gaussian
  const Real *inverse_widths = nullptr;  ///< [K] gaussian
  const double *frequencies = nullptr;   ///< [K] bessel
};

/// Kernels for one instruction set and one type of number. All rows are contiguous unless a stride
/// says else.
template <class Real>
struct Kernels {
  int panel;  ///< outputs in a packed panel of weights

  /// y = epilogue(x W^T + bias) for `rows` rows. An output never depends on the other rows.
  void (*dense)(const DenseLayer<Real> &layer, int rows, Matrix<const Real> x, Matrix<Real> y,
                Epilogue epilogue, Matrix<Real> factor);

  /// Sums over one atom's edges of {1, u} g by element of the neighbour (first layer):
  /// scalar [elements, stride], vector [3, elements, stride], both zeroed first.
  void (*element_sums)(const FilterRows<Real> &radial, int elements, int edges,
                       const Edge<Real> *edge, Real *scalar, Real *vector);
  /// Its adjoint: adds to the edges' gradients, given the adjoints of both sums.
  void (*element_sums_adjoint)(const FilterRows<Real> &radial, int elements, int edges,
                               const Edge<Real> *edge, const Real *scalar_bar,
                               const Real *vector_bar, EdgeGradient<Real> *gradient);

  /// Adds the messages from one atom's neighbours to its features s [C], v [3, C].
  /// senders: [rows, 5C]~ as xa, xb, p.
  void (*message)(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                  const Real *senders, Real *s, Real *v);
  /// Adjoint, gathered by a sender [5C]~ from its neighbours' features adjoints [rows, 4C]~ = (s,
  /// v): sender_bar [5C]~ is set; to each edge's gradient is added that of the message along its
  /// reverse.
  void (*message_adjoint)(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                          const Real *sender, const Real *features_bar, Real *sender_bar,
                          EdgeGradient<Real> *gradient);

  /// sender [5C]~ from x [3C] = (xa, xb, xc) and v [3, C].
  void (*make_sender)(int C, const Real *x, const Real *v, Real *sender);
  /// Adjoint: sets x_bar [3C] and adds to v_bar [3, C], given sender_bar [5C]~.
  void (*make_sender_adjoint)(int C, const Real *xc, const Real *v, const Real *sender_bar,
                              Real *x_bar, Real *v_bar);

  /// n [C] = sqrt(|V|^2 + epsilon); mixed: [3, 2C] rows of (V, W).
  void (*norm)(int C, Real epsilon, const Real *mixed, Real *n);
  /// s [C], v [3, C] by the gates [3C] = (a_s, a_sv, a_v); with v null only s.
  void (*update)(int C, const Real *gates, const Real *mixed, Real *s, Real *v);
  /// Adjoint of the gates [3C]; features_bar: [4C] behind the update; `vectors` false: v_bar is
  /// zero.
  void (*update_adjoint_gates)(int C, const Real *mixed, const Real *features_bar, bool vectors,
                               Real *gates_bar);
  /// Adjoint of mixed [3, 2C], given that of n [C].
  void (*update_adjoint_mix)(int C, const Real *gates, const Real *mixed, const Real *n,
                             const Real *n_bar, const Real *features_bar, bool vectors,
                             Real *mixed_bar);

  /// n [C] = |v| with v [3, C]; the mlff-distiller's read-in.
  void (*distiller_norm)(int C, const Real *v, Real *n);
  /// s += a_s; v = g1 v + g2 M v with gates [3C] = (a_s, g1, g2) and M [3, 3].
  void (*distiller_update)(int C, const Real *gates, const Real *mixing, Real *s, Real *v);
  /// Adjoint of the gates; v is that before the update.
  void (*distiller_update_adjoint_gates)(int C, const Real *mixing, const Real *v,
                                         const Real *features_bar, Real *gates_bar);
  /// v_bar [3, C] becomes that before the update, given the adjoint of n.
  void (*distiller_update_adjoint_vectors)(int C, const Real *gates, const Real *mixing,
                                           const Real *v, const Real *n, const Real *n_bar,
                                           Real *v_bar);

  /// g_k fc, with fc itself as function K, and derivatives, for each edge: [edges, stride].
  void (*radial_functions)(const RadialBasis<Real> &basis, int edges, const Edge<Real> *edge,
                           int stride, Real *values, Real *derivatives);
};

/// The table for an instruction set; the caller makes sure that the processor has it.
template <class Real>
const Kernels<Real> &kernels(Isa isa);

}  // namespace mlff
