// What happens within one atom between dense layers, in Kokkos alone: products of channels, norms,
// gates; each function beside its adjoint. Rows: mixed [3][2][C] = (V, W) by axis, state, features
// and features_bar [4][C], gates [3C] = (a_s, a_sv, a_v).
#pragma once

#include "device_array.h"
#include "channels.h"

namespace mlff::device {

template <class Value, class Real>
MLFF_FUNCTION void load_vectors(int stride, const Real *from, Value *x) {
  for (int c = 0; c < 3; ++c) x[c] = Value::load(from + c * stride);
}

template <class Value, class Real>
MLFF_FUNCTION void store_vectors(int stride, Real *to, const Value *x) {
  for (int c = 0; c < 3; ++c) x[c].store(to + c * stride);
}

/// Where `last` is set, a_v is missing: v does not reach the energy any more.
template <class Value, class Real>
MLFF_FUNCTION Gates<Value> load_gates(int C, const Real *gates, bool last) {
  return {Value::load(gates), Value::load(gates + C),
          last ? Value::all(0) : Value::load(gates + 2 * C)};
}

template <class Value, class Real>
MLFF_FUNCTION Features<Value> load_features_bar(int C, const Real *row, bool last) {
  if (!last) return load_features<Value>(C, row);
  return {Value::load(row), {Value::all(0), Value::all(0), Value::all(0)}};
}

template <class Real, int width>
MLFF_FUNCTION Channels<Real, width> square_root(Channels<Real, width> x) {
  for (int k = 0; k < width; ++k) x.x[k] = Kokkos::sqrt(x.x[k]);
  return x;
}

/// x / n, and 0 where n is 0: |v| has no derivative at v = 0; PyTorch takes 0 there, and so must
/// we.
template <class Real, int width>
MLFF_FUNCTION Channels<Real, width> ratio(Channels<Real, width> x, const Channels<Real, width> &n) {
  for (int k = 0; k < width; ++k) x.x[k] = n.x[k] > 0 ? x.x[k] / n.x[k] : Real(0);
  return x;
}

/// senders [5][C] and xc [C] from x [3C] and the v of state.
template <class Space, class Real>
static void make_senders(int rows, int C, const Real *x, const Real *state, Real *senders,
                         Real *xc) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::make_senders", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const Real *from = x + 3 * C * row + at;
        Value v[3];
        load_vectors(C, state + 4 * C * row + C + at, v);
        const Value c = Value::load(from + 2 * C);
        store_sender<Value>(
            C, senders + 5 * C * row + at,
            {Value::load(from), Value::load(from + C), {c * v[0], c * v[1], c * v[2]}});
        c.store(xc + C * row + at);
      });
}

/// Adjoint: x_bar [3C] from sender_bar [5][C]; out [4][C] = features_bar plus what v receives.
template <class Space, class Real>
static void make_senders_adjoint(int rows, int C, const Real *xc, const Real *state,
                                 const Real *sender_bar, const Real *features_bar, Real *x_bar,
                                 Real *out) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::make_senders_adjoint", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        Value v[3];
        load_vectors(C, state + 4 * C * row + C + at, v);
        const auto bar = load_sender<Value>(C, sender_bar + 5 * C * row + at);
        auto h = load_features<Value>(C, features_bar + 4 * C * row + at);
        Real *to = x_bar + 3 * C * row + at;
        bar.a.store(to);
        bar.b.store(to + C);
        product_adjoint(Value::load(xc + C * row + at), v, bar.p, h.v).store(to + 2 * C);
        store_features(C, out + 4 * C * row + at, h);
      });
}

/// s_n [2C] = (s, n = sqrt(|V|^2 + epsilon)).
template <class Space, class Real>
static void norm(int rows, int C, Real epsilon, const Real *features, const Real *mixed,
                 Real *s_n) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::norm", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        Value V[3];
        load_vectors(2 * C, mixed + 6 * C * row + at, V);
        Value::load(features + 4 * C * row + at).store(s_n + 2 * C * row + at);
        square_root(squared_norm(V, epsilon)).store(s_n + 2 * C * row + C + at);
      });
}

/// state = features by the gates.
template <class Space, class Real>
static void update(int rows, int C, const Real *gates, bool last, const Real *mixed,
                   const Real *features, Real *state) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  const int width = last ? 2 * C : 3 * C;
  for_channels<Space>(
      "mlff::update", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        Value V[3], W[3];
        load_vectors(2 * C, mixed + 6 * C * row + at, V);
        load_vectors(2 * C, mixed + 6 * C * row + C + at, W);
        auto x = load_features<Value>(C, features + 4 * C * row + at);
        mlff::update(load_gates<Value>(C, gates + width * row + at, last), V, W, x);
        store_features(C, state + 4 * C * row + at, x);
      });
}

/// Adjoint of the gates.
template <class Space, class Real>
static void update_adjoint_gates(int rows, int C, const Real *mixed, const Real *features_bar,
                                 bool last, Real *gates_bar) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  const int width = last ? 2 * C : 3 * C;
  for_channels<Space>(
      "mlff::update_adjoint_gates", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        Value V[3], W[3];
        load_vectors(2 * C, mixed + 6 * C * row + at, V);
        load_vectors(2 * C, mixed + 6 * C * row + C + at, W);
        const Gates<Value> bar = mlff::update_adjoint_gates(
            V, W, load_features_bar<Value>(C, features_bar + 4 * C * row + at, last));
        Real *to = gates_bar + width * row + at;
        bar.s.store(to);
        bar.sv.store(to + C);
        if (!last) bar.v.store(to + 2 * C);
      });
}

/// Adjoint of mixed, given that of (s, n); what s received is added to features_bar.
template <class Space, class Real>
static void update_adjoint_mix(int rows, int C, const Real *gates, bool last, Real epsilon,
                               const Real *mixed, const Real *s_n_bar, Real *features_bar,
                               Real *mixed_bar) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  const int width = last ? 2 * C : 3 * C;
  for_channels<Space>(
      "mlff::update_adjoint_mix", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        Value V[3], W[3], V_bar[3], W_bar[3];
        load_vectors(2 * C, mixed + 6 * C * row + at, V);
        load_vectors(2 * C, mixed + 6 * C * row + C + at, W);
        Real *bar = features_bar + 4 * C * row + at;
        const Real *n_bar = s_n_bar + 2 * C * row + C + at;
        const Value n = square_root(squared_norm(V, epsilon));
        auto h = load_features_bar<Value>(C, bar, last);
        mlff::update_adjoint_mix(load_gates<Value>(C, gates + width * row + at, last), V, W,
                                 ratio(Value::load(n_bar), n), h, V_bar, W_bar);
        store_vectors(2 * C, mixed_bar + 6 * C * row + at, V_bar);
        store_vectors(2 * C, mixed_bar + 6 * C * row + C + at, W_bar);
        (h.s + Value::load(s_n_bar + 2 * C * row + at)).store(bar);
      });
}

/// The 3 x 3 matrix of the mlff-distiller that mixes Cartesian axes.
template <class Real>
struct AxisMixing {
  Real m[9];

  template <class Value>
  MLFF_FUNCTION void apply(const Value *v, Value *out) const {
    for (int a = 0; a < 3; ++a)
      out[a] = m[3 * a] * v[0] + m[3 * a + 1] * v[1] + m[3 * a + 2] * v[2];
  }
  template <class Value>
  MLFF_FUNCTION void apply_transposed(const Value *v, Value *out) const {
    for (int a = 0; a < 3; ++a) out[a] = m[a] * v[0] + m[3 + a] * v[1] + m[6 + a] * v[2];
  }
};

/// s_n [2C] = (s, |v|) of features.
template <class Space, class Real>
static void distiller_norm(int rows, int C, const Real *features, Real *s_n) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::distiller_norm", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const auto x = load_features<Value>(C, features + 4 * C * row + at);
        x.s.store(s_n + 2 * C * row + at);
        square_root(dot(x.v, x.v)).store(s_n + 2 * C * row + C + at);
      });
}

/// state = (s + a_s, g1 v + g2 M v) with gates [3C] = (a_s, g1, g2).
template <class Space, class Real>
static void distiller_update(int rows, int C, const Real *gates, const AxisMixing<Real> &mixing,
                             const Real *features, Real *state) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::distiller_update", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        auto x = load_features<Value>(C, features + 4 * C * row + at);
        const Real *a = gates + 3 * C * row + at;
        const Value g1 = Value::load(a + C), g2 = Value::load(a + 2 * C);
        Value mixed[3];
        mixing.apply(x.v, mixed);
        x.s += Value::load(a);
        for (int c = 0; c < 3; ++c) x.v[c] = g1 * x.v[c] + g2 * mixed[c];
        store_features(C, state + 4 * C * row + at, x);
      });
}

/// Adjoint of the gates; features: those before the update.
template <class Space, class Real>
static void distiller_update_adjoint_gates(int rows, int C, const AxisMixing<Real> &mixing,
                                           const Real *features, const Real *features_bar,
                                           Real *gates_bar) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::distiller_update_adjoint_gates", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const auto x = load_features<Value>(C, features + 4 * C * row + at);
        const auto h = load_features<Value>(C, features_bar + 4 * C * row + at);
        Value mixed[3];
        mixing.apply(x.v, mixed);
        Real *to = gates_bar + 3 * C * row + at;
        h.s.store(to);
        dot(h.v, x.v).store(to + C);
        dot(h.v, mixed).store(to + 2 * C);
      });
}

/// out [4][C]: features_bar before the update, given the adjoint of (s, n).
template <class Space, class Real>
static void distiller_update_adjoint(int rows, int C, const Real *gates,
                                     const AxisMixing<Real> &mixing, const Real *features,
                                     const Real *s_n_bar, const Real *features_bar, Real *out) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::distiller_update_adjoint", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const auto x = load_features<Value>(C, features + 4 * C * row + at);
        auto h = load_features<Value>(C, features_bar + 4 * C * row + at);
        const Real *a = gates + 3 * C * row + at;
        const Value g1 = Value::load(a + C), g2 = Value::load(a + 2 * C);
        const Value n_bar = Value::load(s_n_bar + 2 * C * row + C + at);
        const Value stretch = ratio(n_bar, square_root(dot(x.v, x.v)));
        Value scaled[3], mixed[3];
        for (int c = 0; c < 3; ++c) scaled[c] = g2 * h.v[c];
        mixing.apply_transposed(scaled, mixed);
        h.s += Value::load(s_n_bar + 2 * C * row + at);
        for (int c = 0; c < 3; ++c) h.v[c] = g1 * h.v[c] + mixed[c] + stretch * x.v[c];
        store_features(C, out + 4 * C * row + at, h);
      });
}

/// senders [5][C] = (s, 1, v) of the mlff-distiller.
template <class Space, class Real>
static void distiller_make_senders(int rows, int C, const Real *state, Real *senders) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::distiller_make_senders", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const auto x = load_features<Value>(C, state + 4 * C * row + at);
        store_sender<Value>(C, senders + 5 * C * row + at,
                            {x.s, Value::all(1), {x.v[0], x.v[1], x.v[2]}});
      });
}

/// Adjoint: out [4][C] = features_bar plus what the features receive.
template <class Space, class Real>
static void distiller_make_senders_adjoint(int rows, int C, const Real *sender_bar,
                                           const Real *features_bar, Real *out) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::distiller_make_senders_adjoint", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const auto bar = load_sender<Value>(C, sender_bar + 5 * C * row + at);
        auto h = load_features<Value>(C, features_bar + 4 * C * row + at);
        h.s += bar.a;
        for (int c = 0; c < 3; ++c) h.v[c] += bar.p[c];
        store_features(C, out + 4 * C * row + at, h);
      });
}

/// state [4][C] = (embedding of the element, 0).
template <class Space, class Real>
static void embed(int rows, int C, const int *element, const Real *embedding, Real *state) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::embed", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const Value zero = Value::all(0);
        store_features<Value>(
            C, state + 4 * C * row + at,
            {Value::load(embedding + std::size_t(C) * element[row] + at), {zero, zero, zero}});
      });
}

/// senders [5][C] = (embedding of the element, 1, 0), the mlff-distiller's in the first layer.
template <class Space, class Real>
static void embed_senders(int rows, int C, const int *element, const Real *embedding,
                          Real *senders) {
  using Value = Channels<Real, kChannelsPerLane<Space>>;
  for_channels<Space>(
      "mlff::embed_senders", rows, C, KOKKOS_LAMBDA(std::size_t row, int at) {
        const Value zero = Value::all(0);
        store_sender<Value>(C, senders + 5 * C * row + at,
                            {Value::load(embedding + std::size_t(C) * element[row] + at),
                             Value::all(1),
                             {zero, zero, zero}});
      });
}

}  // namespace mlff::device
