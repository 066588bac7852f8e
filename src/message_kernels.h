// Messages along edges, and their adjoints in gather form. One atom a call; channels across
// vectors.
#pragma once

#include "algebra.h"
#include "kernels.h"
#include "simd.h"

namespace mlff::MLFF_ISA {

/// A filter row by cubic B-splines: four rows of the table, weighted. The derivative is a weighted
/// sum of their differences, in which nothing cancels, contracted with an adjoint y difference by
/// difference, H_m = (C_(m+1) - C_m) y, so that dW/dr is never needed.
template <class Real>
struct SplineRow {
  const Real *rows;
  int stride;
  Real weight[4], slope[3];
  Vector<Real> H[3] = {};

  MLFF_INLINE SplineRow(const FilterRows<Real> &filter, const Edge<Real> &edge, int)
      : rows(filter.table + static_cast<std::size_t>(edge.interval) * filter.stride),
        stride(filter.stride) {
    const Real t = edge.t, q = 1 - t;
    const Real t2 = t * t, q2 = q * q;
    // Division, not a rounded 1/6: its error would be the same for all edges and add up in
    // energies.
    weight[0] = q2 * q / 6;
    weight[1] = (Real(3) * t2 * (t - 2) + 4) / 6;
    weight[2] = (Real(3) * q2 * (q - 2) + 4) / 6;
    weight[3] = t2 * t / 6;
    slope[0] = Real(0.5) * q2 * filter.inverse_spacing;
    slope[1] = (Real(0.5) + t * q) * filter.inverse_spacing;
    slope[2] = Real(0.5) * t2 * filter.inverse_spacing;
  }
  MLFF_INLINE Vector<Real> row(int m, int at) const { return load(rows + m * stride + at); }
  MLFF_INLINE Vector<Real> value(int at) const {
    return weight[0] * row(0, at) + weight[1] * row(1, at) + weight[2] * row(2, at) +
           weight[3] * row(3, at);
  }
  MLFF_INLINE Vector<Real> slope_value(int at) const {
    Vector<Real> w = {};
    for (int m = 0; m < 3; ++m) w += slope[m] * (row(m + 1, at) - row(m, at));
    return w;
  }
  MLFF_INLINE Filter<Vector<Real>> filter(int at) const {
    return {value(at), value(at + kChannelBlock), value(at + 2 * kChannelBlock)};
  }
  MLFF_INLINE void contract(int at, const Filter<Vector<Real>> &y) {
    const Vector<Real> parts[3] = {y.a, y.b, y.c};
    for (int k = 0; k < 3; ++k, at += kChannelBlock)
      for (int m = 0; m < 3; ++m) H[m] += parts[k] * (row(m + 1, at) - row(m, at));
  }
  MLFF_INLINE Vector<Real> contraction() const {
    return slope[0] * H[0] + slope[1] * H[1] + slope[2] * H[2];
  }
};

/// A filter row that was evaluated beforehand, with its derivative.
template <class Real>
struct ExactRow {
  const Real *values, *derivatives;
  Vector<Real> total = {};

  MLFF_INLINE ExactRow(const FilterRows<Real> &filter, const Edge<Real> &, int e)
      : values(filter.values + static_cast<std::size_t>(e) * filter.stride),
        derivatives(filter.derivatives + static_cast<std::size_t>(e) * filter.stride) {}
  MLFF_INLINE Vector<Real> value(int at) const { return load(values + at); }
  MLFF_INLINE Vector<Real> slope_value(int at) const { return load(derivatives + at); }
  MLFF_INLINE Filter<Vector<Real>> filter(int at) const {
    const Real *row = values + at;
    return {load(row), load(row + kChannelBlock), load(row + 2 * kChannelBlock)};
  }
  MLFF_INLINE void contract(int at, const Filter<Vector<Real>> &y) {
    const Real *row = derivatives + at;
    total +=
        y.a * load(row) + y.b * load(row + kChannelBlock) + y.c * load(row + 2 * kChannelBlock);
  }
  MLFF_INLINE Vector<Real> contraction() const { return total; }
};

template <class Real>
MLFF_INLINE Sender<Vector<Real>> load_sender(const Real *x) {
  constexpr int B = kChannelBlock;
  return {load(x), load(x + B), {load(x + 2 * B), load(x + 3 * B), load(x + 4 * B)}};
}

template <class Real>
MLFF_INLINE void store_sender(Real *to, const Sender<Vector<Real>> &x) {
  constexpr int B = kChannelBlock;
  store(to, x.a);
  store(to + B, x.b);
  for (int c = 0; c < 3; ++c) store(to + (2 + c) * B, x.p[c]);
}

/// Features or their adjoint with `stride` between s, vx, vy, vz.
template <class Real>
MLFF_INLINE Features<Vector<Real>> load_features(int stride, const Real *h) {
  return {load(h), {load(h + stride), load(h + 2 * stride), load(h + 3 * stride)}};
}

/// Adds the messages in `Vectors` vectors of channels, which stay in registers over all edges.
template <class Real, template <class> class Row, int Vectors>
MLFF_INLINE void message_in(int channel, int C, const FilterRows<Real> &filter, int edges,
                            const Edge<Real> *edge, const Real *senders, Real *s, Real *v) {
  constexpr int W = width<Real>;
  Features<Vector<Real>> sum[Vectors] = {};
  for (int e = 0; e < edges; ++e) {
    const Row<Real> row(filter, edge[e], e);
    const Real *x =
        senders + static_cast<std::size_t>(edge[e].neighbour) * 5 * C + interleaved<5>(channel);
    const Real u[3] = {edge[e].u[0], edge[e].u[1], edge[e].u[2]};
    const int at = interleaved<3>(channel);
#pragma GCC unroll 4
    for (int k = 0; k < Vectors; ++k)
      mlff::message(row.filter(at + interleaved<3>(k * W)), u,
                    load_sender(x + interleaved<5>(k * W)), sum[k]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < Vectors; ++k) {
    const int at = channel + k * W;
    store(s + at, load(s + at) + sum[k].s);
    for (int c = 0; c < 3; ++c) store(v + c * C + at, load(v + c * C + at) + sum[k].v[c]);
  }
}

template <class Real, template <class> class Row>
void message(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
             const Real *senders, Real *s, Real *v) {
  constexpr int W = width<Real>, kVectors = kVectorBytes == 64 ? 4 : 2;
  int channel = 0;
  for (; channel + kVectors * W <= C; channel += kVectors * W)
    message_in<Real, Row, kVectors>(channel, C, filter, edges, edge, senders, s, v);
  for (; channel < C; channel += W)
    message_in<Real, Row, 1>(channel, C, filter, edges, edge, senders, s, v);
}

template <class Real, template <class> class Row>
void message_adjoint(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                     const Real *sender, const Real *features_bar, Real *sender_bar,
                     EdgeGradient<Real> *gradient) {
  constexpr int W = width<Real>, B = kChannelBlock;
  for (int at = 0; at < 5 * C; at += W) store(sender_bar + at, Vector<Real>{});
  for (int e = 0; e < edges; ++e) {
    Row<Real> row(filter, edge[e], e);
    const Real *h = features_bar + static_cast<std::size_t>(edge[e].neighbour) * 4 * C;
    // The message went to the neighbour, from where this atom is seen along -u.
    const Real u[3] = {-edge[e].u[0], -edge[e].u[1], -edge[e].u[2]};
    Vector<Real> u_bar[3] = {};
    for (int block = 0; block < C / B; ++block) {
#pragma GCC unroll 4
      for (int k = 0; k < B; k += W) {
        Real *bar = sender_bar + 5 * B * block + k;
        Sender<Vector<Real>> x_bar = load_sender(bar);
        row.contract(3 * B * block + k,
                     mlff::message_adjoint(row.filter(3 * B * block + k), u,
                                           load_sender(sender + 5 * B * block + k),
                                           load_features(B, h + 4 * B * block + k), x_bar, u_bar));
        store_sender(bar, x_bar);
      }
    }
    const Vector<Real> parts[4] = {row.contraction(), u_bar[0], u_bar[1], u_bar[2]};
    Real sums[4];
    sum_each(parts, sums);
    gradient[e].r += sums[0];
    for (int c = 0; c < 3; ++c) gradient[e].u[c] -= sums[1 + c];
  }
}

/// First layer, where x depends on the neighbour's element only and v = 0: the sums over the edges
/// are taken of the radial functions, before the filter's weights.
template <class Real, template <class> class Row>
void element_sums(const FilterRows<Real> &radial, int elements, int edges, const Edge<Real> *edge,
                  Real *scalar, Real *vector) {
  constexpr int W = width<Real>;
  const int K = radial.stride, all = elements * K;
  for (int at = 0; at < all; at += W) store(scalar + at, Vector<Real>{});
  for (int at = 0; at < 3 * all; at += W) store(vector + at, Vector<Real>{});
  for (int e = 0; e < edges; ++e) {
    const Row<Real> row(radial, edge[e], e);
    for (int k = 0; k < K; k += W) {
      const int at = edge[e].element * K + k;
      const Vector<Real> g = row.value(k);
      store(scalar + at, load(scalar + at) + g);
      for (int c = 0; c < 3; ++c) {
        Real *to = vector + c * all + at;
        store(to, load(to) + edge[e].u[c] * g);
      }
    }
  }
}

template <class Real, template <class> class Row>
void element_sums_adjoint(const FilterRows<Real> &radial, int elements, int edges,
                          const Edge<Real> *edge, const Real *scalar_bar, const Real *vector_bar,
                          EdgeGradient<Real> *gradient) {
  constexpr int W = width<Real>;
  const int K = radial.stride, all = elements * K;
  for (int e = 0; e < edges; ++e) {
    const Row<Real> row(radial, edge[e], e);
    Vector<Real> parts[4] = {};  // of dE/dr, dE/du
    for (int k = 0; k < K; k += W) {
      const int at = edge[e].element * K + k;
      const Vector<Real> g = row.value(k);
      Vector<Real> y = load(scalar_bar + at);
      for (int c = 0; c < 3; ++c) {
        const Vector<Real> q = load(vector_bar + c * all + at);
        y += edge[e].u[c] * q;
        parts[1 + c] += g * q;
      }
      parts[0] += y * row.slope_value(k);
    }
    Real sums[4];
    sum_each(parts, sums);
    gradient[e].r += sums[0];
    for (int c = 0; c < 3; ++c) gradient[e].u[c] += sums[1 + c];
  }
}

}  // namespace mlff::MLFF_ISA
