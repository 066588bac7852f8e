// Filters of an edge for some channels: from a spline table or evaluated beforehand.
#pragma once

#include "channels.h"
#include "device_data.h"

namespace mlff::device {

/// Weights of the four table rows around r, and of their three differences in the derivative. As in
/// src/message_kernels.h nothing cancels in the derivative: differences are contracted first.
template <class Real>
struct SplineWeights {
  Real value[4], slope[3];

  MLFF_FUNCTION SplineWeights(Real t, Real inverse_spacing) {
    const Real q = 1 - t, t2 = t * t, q2 = q * q;
    value[0] = q2 * q / 6;
    value[1] = (Real(3) * t2 * (t - 2) + 4) / 6;
    value[2] = (Real(3) * q2 * (q - 2) + 4) / 6;
    value[3] = t2 * t / 6;
    slope[0] = Real(0.5) * q2 * inverse_spacing;
    slope[1] = (Real(0.5) + t * q) * inverse_spacing;
    slope[2] = Real(0.5) * t2 * inverse_spacing;
  }
};

/// Functions of r for each edge, from a spline table.
template <class Real>
struct SplineRows {
  SplineTable<Real> table;

  /// The functions of one edge.
  struct Row {
    const Real *rows;
    int columns;
    SplineWeights<Real> weights;

    /// The functions from column `at` on.
    template <class Value>
    MLFF_FUNCTION Value value(int at) const {
      Value w = weights.value[0] * Value::load(rows + at);
      for (int m = 1; m < 4; ++m) w += weights.value[m] * Value::load(rows + m * columns + at);
      return w;
    }
    template <class Value>
    MLFF_FUNCTION Value slope(int at) const {
      Value w = Value::all(0);
      for (int m = 0; m < 3; ++m)
        w += weights.slope[m] *
             (Value::load(rows + (m + 1) * columns + at) - Value::load(rows + m * columns + at));
      return w;
    }
  };
  MLFF_FUNCTION Row row(const Edges<Real> &edges, int e, int) const {
    return {table.coefficients + static_cast<std::size_t>(edges.interval[e]) * table.columns,
            table.columns, SplineWeights<Real>(edges.edge[e].t, table.inverse_spacing)};
  }
};

/// Functions of r that were evaluated for each edge of a range of atoms; `first` is the index of
/// the range's first edge.
template <class Real>
struct ExactRows {
  const Real *values = nullptr, *slopes = nullptr;  ///< [edges of the range][columns]
  int columns = 0;

  struct Row {
    const Real *values, *slopes;
    template <class Value>
    MLFF_FUNCTION Value value(int at) const {
      return Value::load(values + at);
    }
    template <class Value>
    MLFF_FUNCTION Value slope(int at) const {
      return Value::load(slopes + at);
    }
  };
  MLFF_FUNCTION Row row(const Edges<Real> &, int e, int first) const {
    const std::size_t at = static_cast<std::size_t>(e - first) * columns;
    return {values + at, slopes + at};
  }
};

/// Filter (Wa, Wb, Wc) of a row with columns [3][C].
template <class Value, class Row>
MLFF_FUNCTION Filter<Value> filter(const Row &row, int C, int channel) {
  return {row.template value<Value>(channel), row.template value<Value>(C + channel),
          row.template value<Value>(2 * C + channel)};
}

/// Its derivative, contracted with the filter's adjoint.
template <class Value, class Row>
MLFF_FUNCTION Value contract(const Row &row, int C, int channel, const Filter<Value> &w_bar) {
  return w_bar.a * row.template slope<Value>(channel) +
         w_bar.b * row.template slope<Value>(C + channel) +
         w_bar.c * row.template slope<Value>(2 * C + channel);
}

}  // namespace mlff::device
