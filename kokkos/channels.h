// A few neighbouring channels, as a number: what the algebra of one channel works on.
#pragma once

#include "algebra.h"

namespace mlff::device {

/// `width` channels. On a GPU a thread has one of them, and neighbouring threads the next ones; on
/// a processor with vector instructions the loops below become vectors.
template <class Real, int width>
struct Channels {
  Real x[width];

  static MLFF_FUNCTION Channels load(const Real *from) {
    Channels y;
    for (int k = 0; k < width; ++k) y.x[k] = from[k];
    return y;
  }
  static MLFF_FUNCTION Channels all(Real value) {
    Channels y;
    for (int k = 0; k < width; ++k) y.x[k] = value;
    return y;
  }
  MLFF_FUNCTION void store(Real *to) const {
    for (int k = 0; k < width; ++k) to[k] = x[k];
  }
  MLFF_FUNCTION Real sum() const {
    Real total = 0;
    for (int k = 0; k < width; ++k) total += x[k];
    return total;
  }
  MLFF_FUNCTION Channels &operator+=(const Channels &y) {
    for (int k = 0; k < width; ++k) x[k] += y.x[k];
    return *this;
  }
  friend MLFF_FUNCTION Channels operator+(Channels a, const Channels &b) { return a += b; }
  friend MLFF_FUNCTION Channels operator+(Channels a, Real b) {
    for (int k = 0; k < width; ++k) a.x[k] += b;
    return a;
  }
  friend MLFF_FUNCTION Channels operator-(Channels a, const Channels &b) {
    for (int k = 0; k < width; ++k) a.x[k] -= b.x[k];
    return a;
  }
  friend MLFF_FUNCTION Channels operator*(Channels a, const Channels &b) {
    for (int k = 0; k < width; ++k) a.x[k] *= b.x[k];
    return a;
  }
  friend MLFF_FUNCTION Channels operator*(Channels a, Real b) {
    for (int k = 0; k < width; ++k) a.x[k] *= b;
    return a;
  }
  friend MLFF_FUNCTION Channels operator*(Real a, const Channels &b) { return b * a; }
};

/// Features (s, v), or their adjoint, from a row [4][C].
template <class Value, class Real>
MLFF_FUNCTION Features<Value> load_features(int C, const Real *row) {
  return {Value::load(row),
          {Value::load(row + C), Value::load(row + 2 * C), Value::load(row + 3 * C)}};
}

template <class Value, class Real>
MLFF_FUNCTION void store_features(int C, Real *row, const Features<Value> &h) {
  h.s.store(row);
  for (int c = 0; c < 3; ++c) h.v[c].store(row + (1 + c) * C);
}

/// A sender (xa, xb, p), or its adjoint, from a row [5][C].
template <class Value, class Real>
MLFF_FUNCTION Sender<Value> load_sender(int C, const Real *row) {
  return {Value::load(row),
          Value::load(row + C),
          {Value::load(row + 2 * C), Value::load(row + 3 * C), Value::load(row + 4 * C)}};
}

template <class Value, class Real>
MLFF_FUNCTION void store_sender(int C, Real *row, const Sender<Value> &x) {
  x.a.store(row);
  x.b.store(row + C);
  for (int c = 0; c < 3; ++c) x.p[c].store(row + (2 + c) * C);
}

}  // namespace mlff::device
