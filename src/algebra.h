// The algebra of one channel, each function beside its adjoint. Value is a number or a vector of
// channels; the same text serves the host's kernels and the device's. Equations:
// doc/architecture.md; Schuett, Unke, Gastegger, ICML 2021, eqs. 7-10, in the form that SchNetPack
// 2 has them.
#pragma once

#if defined(KOKKOS_INLINE_FUNCTION)
#define MLFF_FUNCTION KOKKOS_FORCEINLINE_FUNCTION
#elif defined(__CUDACC__)
#define MLFF_FUNCTION __host__ __device__ __forceinline__
#else
#define MLFF_FUNCTION __attribute__((always_inline)) inline
#endif

namespace mlff {

/// Filter W(r) of an edge, or its adjoint: one channel of each of the three blocks.
template <class Value>
struct Filter {
  Value a, b, c;
};

/// What an atom sends to its neighbours: xa, xb and p = xc v.
template <class Value>
struct Sender {
  Value a, b, p[3];
};

/// Features of an atom, or their adjoint.
template <class Value>
struct Features {
  Value s, v[3];
};

/// Sum of a 3-vector's products.
template <class A, class B>
MLFF_FUNCTION auto dot(const A *x, const B *y) {
  return x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
}

/// sum += a b. Where Value is a vector of channels, a sum over them has an overload of its own.
template <class Value>
MLFF_FUNCTION void add_product(Value &sum, const Value &a, const Value &b) {
  sum += a * b;
}

/// Message along an edge: s_i += xa Wa; v_i += xb Wb u + Wc p. u points from centre i to sender j.
template <class Value, class Scalar>
MLFF_FUNCTION void message(const Filter<Value> &w, const Scalar *u, const Sender<Value> &x,
                           Features<Value> &sum) {
  sum.s += w.a * x.a;
  const Value radial = w.b * x.b;
  for (int c = 0; c < 3; ++c) sum.v[c] += radial * u[c] + w.c * x.p[c];
}

/// Adjoint of an edge's filter, to be contracted with dW/dr; h is the adjoint of the receiver's
/// features.
template <class Value, class Scalar>
MLFF_FUNCTION Filter<Value> filter_adjoint(const Scalar *u, const Sender<Value> &x,
                                           const Features<Value> &h) {
  const Value along = h.v[0] * u[0] + h.v[1] * u[1] + h.v[2] * u[2];
  return {x.a * h.s, x.b * along, dot(x.p, h.v)};
}

/// Adjoint of message, gathered by the sender j: h is the adjoint of the receiver's features.
/// x_bar sums the sender's adjoint over its edges, u_bar the adjoint of u over the channels;
/// returned is filter_adjoint.
template <class Value, class Scalar, class Sum>
MLFF_FUNCTION Filter<Value> message_adjoint(const Filter<Value> &w, const Scalar *u,
                                            const Sender<Value> &x, const Features<Value> &h,
                                            Sender<Value> &x_bar, Sum *u_bar) {
  const Value along = h.v[0] * u[0] + h.v[1] * u[1] + h.v[2] * u[2];
  const Value radial = w.b * x.b;
  x_bar.a += w.a * h.s;
  x_bar.b += w.b * along;
  for (int c = 0; c < 3; ++c) {
    x_bar.p[c] += w.c * h.v[c];
    add_product(u_bar[c], radial, h.v[c]);
  }
  return filter_adjoint(u, x, h);
}

/// Adjoint of p = xc v: returns that of xc and adds that of v.
template <class Value>
MLFF_FUNCTION Value product_adjoint(const Value &xc, const Value *v, const Value *p_bar,
                                    Value *v_bar) {
  for (int c = 0; c < 3; ++c) v_bar[c] += xc * p_bar[c];
  return dot(v, p_bar);
}

/// n^2 = |V|^2 + epsilon, of the update network's input n.
template <class Value, class Scalar>
MLFF_FUNCTION Value squared_norm(const Value *V, Scalar epsilon) {
  return dot(V, V) + epsilon;
}

/// Outputs of the update network, or their adjoints.
template <class Value>
struct Gates {
  Value s, sv, v;
};

/// Update: s += a_s + a_sv q with q = <V, W>; v += a_v W.
template <class Value>
MLFF_FUNCTION void update_scalar(const Gates<Value> &a, const Value &q, Features<Value> &x) {
  x.s += a.s + a.sv * q;
}
template <class Value>
MLFF_FUNCTION void update_vector(const Gates<Value> &a, const Value *W, Features<Value> &x) {
  for (int c = 0; c < 3; ++c) x.v[c] += a.v * W[c];
}
template <class Value>
MLFF_FUNCTION void update(const Gates<Value> &a, const Value *V, const Value *W,
                          Features<Value> &x) {
  update_scalar(a, dot(V, W), x);
  update_vector(a, W, x);
}

/// Adjoint of update with respect to the gates; h is the adjoint behind the update.
template <class Value>
MLFF_FUNCTION Gates<Value> update_adjoint_gates(const Value *V, const Value *W,
                                                const Features<Value> &h) {
  return {h.s, h.s * dot(V, W), dot(h.v, W)};
}

/// Adjoint of update and of n with respect to V and W; n_bar_over_n = (adjoint of n) / n.
template <class Value>
MLFF_FUNCTION void update_adjoint_mix(const Gates<Value> &a, const Value *V, const Value *W,
                                      const Value &n_bar_over_n, const Features<Value> &h,
                                      Value *V_bar, Value *W_bar) {
  const Value q_bar = h.s * a.sv;
  for (int c = 0; c < 3; ++c) {
    V_bar[c] = q_bar * W[c] + n_bar_over_n * V[c];
    W_bar[c] = q_bar * V[c] + a.v * h.v[c];
  }
}

/// The adjoints of an edge's u = vector / (r + softening), in g, and of its r become that of the
/// vector: with e the unit vector, dE/dr e + (dE/du - e <e, dE/du>) / (r + softening) + e <e,
/// dE/du> softening / (r + softening)^2.
template <class Real>
MLFF_FUNCTION void vector_adjoint(const Real *u, Real r, Real softening, Real r_bar, Real *g) {
  const Real length = r + softening, stretch = length / r;
  const Real e[3] = {u[0] * stretch, u[1] * stretch, u[2] * stretch};
  const Real along = e[0] * g[0] + e[1] * g[1] + e[2] * g[2];
  const Real radial = r_bar + along * softening / (length * length);
  for (int c = 0; c < 3; ++c) g[c] = radial * e[c] + (g[c] - along * e[c]) / length;
}

}  // namespace mlff
