// Messages along edges, and their adjoints in gather form. One atom a call; channels across vectors.
#pragma once

#include "algebra.h"
#include "kernels.h"
#include "simd.h"

namespace mlff::MLFF_ISA {

/// A filter row by cubic B-splines: four rows of the table, weighted. The derivative's contraction with
/// an adjoint y is formed per row, G_m = C_m y, so that dW/dr is never needed.
template <class Real>
struct SplineRow {
  const Real *rows;
  int stride;
  Real weight[4], slope[4];
  Vector<Real> G[4] = {};

  MLFF_INLINE SplineRow(const FilterRows<Real> &filter, const Edge<Real> &edge, int)
      : rows(filter.table + static_cast<std::size_t>(edge.interval) * filter.stride),
        stride(filter.stride) {
    const Real t = edge.t, q = 1 - t;
    const Real t2 = t * t, q2 = q * q;
    weight[0] = q2 * q / 6;
    weight[1] = (Real(3) * t2 * (t - 2) + 4) / 6;
    weight[2] = (Real(3) * q2 * (q - 2) + 4) / 6;
    weight[3] = t2 * t / 6;
    slope[0] = -q2 / 2 * filter.inverse_spacing;
    slope[1] = t * (Real(1.5) * t - 2) * filter.inverse_spacing;
    slope[2] = -q * (Real(1.5) * q - 2) * filter.inverse_spacing;
    slope[3] = t2 / 2 * filter.inverse_spacing;
  }
  MLFF_INLINE Vector<Real> value(int at) const {
    Vector<Real> w = weight[0] * load(rows + at);
    for (int m = 1; m < 4; ++m) w += weight[m] * load(rows + m * stride + at);
    return w;
  }
  MLFF_INLINE Vector<Real> slope_value(int at) const {
    Vector<Real> w = slope[0] * load(rows + at);
    for (int m = 1; m < 4; ++m) w += slope[m] * load(rows + m * stride + at);
    return w;
  }
  MLFF_INLINE Filter<Vector<Real>> filter(int C, int at) const {
    return {value(at), value(C + at), value(2 * C + at)};
  }
  MLFF_INLINE void contract(int C, int at, const Filter<Vector<Real>> &y) {
    for (int m = 0; m < 4; ++m) {
      const Real *row = rows + m * stride + at;
      G[m] += y.a * load(row) + y.b * load(row + C) + y.c * load(row + 2 * C);
    }
  }
  MLFF_INLINE Vector<Real> contraction() const {
    return slope[0] * G[0] + slope[1] * G[1] + slope[2] * G[2] + slope[3] * G[3];
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
  MLFF_INLINE Filter<Vector<Real>> filter(int C, int at) const {
    return {load(values + at), load(values + C + at), load(values + 2 * C + at)};
  }
  MLFF_INLINE void contract(int C, int at, const Filter<Vector<Real>> &y) {
    total += y.a * load(derivatives + at) + y.b * load(derivatives + C + at) +
             y.c * load(derivatives + 2 * C + at);
  }
  MLFF_INLINE Vector<Real> contraction() const { return total; }
};

template <class Real>
MLFF_INLINE Sender<Vector<Real>> load_sender(int C, const Real *x) {
  return {load(x), load(x + C), {load(x + 2 * C), load(x + 3 * C), load(x + 4 * C)}};
}

template <class Real>
MLFF_INLINE Features<Vector<Real>> load_features(int C, const Real *h) {
  return {load(h), {load(h + C), load(h + 2 * C), load(h + 3 * C)}};
}

/// Adds the messages in `Block` vectors of channels, which stay in registers over all edges.
template <class Real, template <class> class Row, int Block>
MLFF_INLINE void message_block(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                               const Real *senders, int channel, Real *s, Real *v) {
  constexpr int W = width<Real>;
  Features<Vector<Real>> sum[Block] = {};
  for (int e = 0; e < edges; ++e) {
    const Row<Real> row(filter, edge[e], e);
    const Real *x = senders + static_cast<std::size_t>(edge[e].neighbour) * 5 * C + channel;
    const Real u[3] = {edge[e].u[0], edge[e].u[1], edge[e].u[2]};
    for (int k = 0; k < Block; ++k)
      mlff::message(row.filter(C, channel + k * W), u, load_sender(C, x + k * W), sum[k]);
  }
  for (int k = 0; k < Block; ++k) {
    const int at = channel + k * W;
    store(s + at, load(s + at) + sum[k].s);
    for (int c = 0; c < 3; ++c) store(v + c * C + at, load(v + c * C + at) + sum[k].v[c]);
  }
}

template <class Real, template <class> class Row>
void message(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
             const Real *senders, Real *s, Real *v) {
  constexpr int W = width<Real>, kBlock = kVectorBytes == 64 ? 4 : 2;
  int channel = 0;
  for (; channel + kBlock * W <= C; channel += kBlock * W)
    message_block<Real, Row, kBlock>(C, filter, edges, edge, senders, channel, s, v);
  for (; channel < C; channel += W)
    message_block<Real, Row, 1>(C, filter, edges, edge, senders, channel, s, v);
}

template <class Real, template <class> class Row>
void message_adjoint(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                     const Real *sender, const Real *features_bar, Real *sender_bar,
                     EdgeGradient<Real> *gradient) {
  constexpr int W = width<Real>;
  for (int at = 0; at < 5 * C; at += W) store(sender_bar + at, Vector<Real>{});
  for (int e = 0; e < edges; ++e) {
    Row<Real> row(filter, edge[e], e);
    const Real *h = features_bar + static_cast<std::size_t>(edge[e].neighbour) * 4 * C;
    // The message went to the neighbour, from where this atom is seen along -u.
    const Real u[3] = {-edge[e].u[0], -edge[e].u[1], -edge[e].u[2]};
    Vector<Real> u_bar[3] = {};
    for (int at = 0; at < C; at += W) {
      Sender<Vector<Real>> x_bar = load_sender(C, sender_bar + at);
      const Filter<Vector<Real>> y =
          mlff::message_adjoint(row.filter(C, at), u, load_sender(C, sender + at),
                                load_features(C, h + at), x_bar, u_bar);
      row.contract(C, at, y);
      store(sender_bar + at, x_bar.a);
      store(sender_bar + C + at, x_bar.b);
      for (int c = 0; c < 3; ++c) store(sender_bar + (2 + c) * C + at, x_bar.p[c]);
    }
    gradient[e].r += sum<Real>(row.contraction());
    for (int c = 0; c < 3; ++c) gradient[e].u[c] -= sum<Real>(u_bar[c]);
  }
}

/// First layer, where x depends on the neighbour's element only and v = 0: the sums over the edges are
/// taken of the radial functions, before the filter's weights.
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
    Vector<Real> r_bar = {}, u_bar[3] = {};
    for (int k = 0; k < K; k += W) {
      const int at = edge[e].element * K + k;
      const Vector<Real> g = row.value(k);
      Vector<Real> y = load(scalar_bar + at);
      for (int c = 0; c < 3; ++c) {
        const Vector<Real> q = load(vector_bar + c * all + at);
        y += edge[e].u[c] * q;
        u_bar[c] += g * q;
      }
      r_bar += y * row.slope_value(k);
    }
    gradient[e].r += sum<Real>(r_bar);
    for (int c = 0; c < 3; ++c) gradient[e].u[c] += sum<Real>(u_bar[c]);
  }
}

}  // namespace mlff::MLFF_ISA
