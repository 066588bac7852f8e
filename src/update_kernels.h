// What happens within one atom between the dense layers: products of channels, norms, gates; each
// function beside its adjoint.
#pragma once

#include "message_kernels.h"

namespace mlff::MLFF_ISA {

template <class Real>
MLFF_INLINE void load3(int stride, const Real *p, Vector<Real> *x) {
  for (int c = 0; c < 3; ++c) x[c] = load(p + c * stride);
}

template <class Real>
MLFF_INLINE void store3(int stride, Real *p, const Vector<Real> *x) {
  for (int c = 0; c < 3; ++c) store(p + c * stride, x[c]);
}

template <class Real>
void make_sender(int C, const Real *x, const Real *v, Real *sender) {
  for (int at = 0; at < C; at += width<Real>) {
    const Vector<Real> xc = load(x + 2 * C + at);
    Vector<Real> vectors[3];
    load3(C, v + at, vectors);
    store_sender<Real>(
        sender + interleaved<5>(at),
        {load(x + at), load(x + C + at), {xc * vectors[0], xc * vectors[1], xc * vectors[2]}});
  }
}

template <class Real>
void make_sender_adjoint(int C, const Real *xc, const Real *v, const Real *sender_bar, Real *x_bar,
                         Real *v_bar) {
  for (int at = 0; at < C; at += width<Real>) {
    const Sender<Vector<Real>> bar = load_sender(sender_bar + interleaved<5>(at));
    Vector<Real> vectors[3], sum[3];
    load3(C, v + at, vectors);
    load3(C, v_bar + at, sum);
    store(x_bar + at, bar.a);
    store(x_bar + C + at, bar.b);
    store(x_bar + 2 * C + at, product_adjoint(load(xc + at), vectors, bar.p, sum));
    store3(C, v_bar + at, sum);
  }
}

template <class Real>
void norm(int C, Real epsilon, const Real *mixed, Real *n) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> V[3];
    load3(2 * C, mixed + at, V);
    store(n + at, square_root<Real>(squared_norm(V, epsilon)));
  }
}

template <class Real>
MLFF_INLINE Gates<Vector<Real>> load_gates(int C, const Real *gates, bool vectors) {
  return {load(gates), load(gates + C), vectors ? load(gates + 2 * C) : Vector<Real>{}};
}

template <class Real>
MLFF_INLINE Features<Vector<Real>> load_features_bar(int C, const Real *h, bool vectors) {
  if (vectors) return load_features(C, h);
  return {load(h), {}};
}

template <class Real>
void update(int C, const Real *gates, const Real *mixed, Real *s, Real *v) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> V[3], W[3];
    load3(2 * C, mixed + at, V);
    load3(2 * C, mixed + C + at, W);
    Features<Vector<Real>> x = {load(s + at), {}};
    if (v) load3(C, v + at, x.v);
    mlff::update(load_gates(C, gates + at, v != nullptr), V, W, x);
    store(s + at, x.s);
    if (v) store3(C, v + at, x.v);
  }
}

template <class Real>
void update_adjoint_gates(int C, const Real *mixed, const Real *features_bar, bool vectors,
                          Real *gates_bar) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> V[3], W[3];
    load3(2 * C, mixed + at, V);
    load3(2 * C, mixed + C + at, W);
    const Gates<Vector<Real>> a_bar =
        mlff::update_adjoint_gates(V, W, load_features_bar(C, features_bar + at, vectors));
    store(gates_bar + at, a_bar.s);
    store(gates_bar + C + at, a_bar.sv);
    if (vectors) store(gates_bar + 2 * C + at, a_bar.v);
  }
}

template <class Real>
void update_adjoint_mix(int C, const Real *gates, const Real *mixed, const Real *n,
                        const Real *n_bar, const Real *features_bar, bool vectors,
                        Real *mixed_bar) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> V[3], W[3], V_bar[3], W_bar[3];
    load3(2 * C, mixed + at, V);
    load3(2 * C, mixed + C + at, W);
    mlff::update_adjoint_mix(load_gates(C, gates + at, vectors), V, W,
                             Vector<Real>(load(n_bar + at) / load(n + at)),
                             load_features_bar(C, features_bar + at, vectors), V_bar, W_bar);
    store3(2 * C, mixed_bar + at, V_bar);
    store3(2 * C, mixed_bar + C + at, W_bar);
  }
}

/// M v, or its transpose's product, over the Cartesian axes.
template <class Real, bool Transposed>
MLFF_INLINE void mix_axes(const Real *mixing, const Vector<Real> *v, Vector<Real> *out) {
  for (int a = 0; a < 3; ++a) {
    out[a] = Vector<Real>{};
    for (int b = 0; b < 3; ++b) out[a] += mixing[Transposed ? 3 * b + a : 3 * a + b] * v[b];
  }
}

template <class Real>
void distiller_norm(int C, const Real *v, Real *n) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> x[3];
    load3(C, v + at, x);
    store(n + at, square_root<Real>(dot(x, x)));
  }
}

template <class Real>
void distiller_update(int C, const Real *gates, const Real *mixing, Real *s, Real *v) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> x[3], mixed[3];
    load3(C, v + at, x);
    mix_axes<Real, false>(mixing, x, mixed);
    const Vector<Real> g1 = load(gates + C + at), g2 = load(gates + 2 * C + at);
    store(s + at, load(s + at) + load(gates + at));
    for (int c = 0; c < 3; ++c) store(v + c * C + at, g1 * x[c] + g2 * mixed[c]);
  }
}

template <class Real>
void distiller_update_adjoint_gates(int C, const Real *mixing, const Real *v,
                                    const Real *features_bar, Real *gates_bar) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> x[3], mixed[3];
    load3(C, v + at, x);
    mix_axes<Real, false>(mixing, x, mixed);
    const Features<Vector<Real>> h = load_features(C, features_bar + at);
    store(gates_bar + at, h.s);
    store(gates_bar + C + at, dot(h.v, x));
    store(gates_bar + 2 * C + at, dot(h.v, mixed));
  }
}

template <class Real>
void distiller_update_adjoint_vectors(int C, const Real *gates, const Real *mixing, const Real *v,
                                      const Real *n, const Real *n_bar, Real *v_bar) {
  for (int at = 0; at < C; at += width<Real>) {
    Vector<Real> x[3], h[3], scaled[3], mixed[3];
    load3(C, v + at, x);
    load3(C, v_bar + at, h);
    const Vector<Real> g1 = load(gates + C + at), g2 = load(gates + 2 * C + at);
    for (int c = 0; c < 3; ++c) scaled[c] = g2 * h[c];
    mix_axes<Real, true>(mixing, scaled, mixed);
    // |v| has no derivative at v = 0; PyTorch takes 0 there, and so must we.
    const Vector<Real> length = load(n + at), bar = load(n_bar + at);
    const Vector<Real> ratio = length > 0 ? bar / length : Vector<Real>{};
    for (int c = 0; c < 3; ++c) h[c] = g1 * h[c] + mixed[c] + ratio * x[c];
    store3(C, v_bar + at, h);
  }
}

}  // namespace mlff::MLFF_ISA
