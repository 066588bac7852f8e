// Messages along edges and their adjoints in gather form, in Kokkos alone.
#pragma once

#include "device_array.h"
#include "filter_rows.h"
#include "sums.h"

namespace mlff::device {

/// features [4][C] of the range = state [4][C] + messages from the neighbours' senders [5][C].
template <class Space, class Real, class Rows>
static void message(const Edges<Real> &edges, Range range, int C, const Rows &rows,
                    const Real *senders, const Real *state, Real *features) {
  constexpr int width = kChannelsPerLane<Space>;
  using Value = Channels<Real, width>;
  for_rows<Space>(
      "mlff::message", range.size, KOKKOS_LAMBDA(const Team<Space> &lanes, int k) {
        const int row = range.begin + k;
        const int first = edges.begin[range.begin];
        for_lanes(lanes, C / width, [&](int lane) {
          const int channel = lane * width;
          Features<Value> sum = load_features<Value>(C, state + std::size_t(4) * C * row + channel);
          for (int e = edges.begin[row]; e < edges.end[row]; ++e) {
            const auto x =
                load_sender<Value>(C, senders + std::size_t(5) * C * edges.neighbour[e] + channel);
            mlff::message(filter<Value>(rows.row(edges, e, first), C, channel), edges.edge[e].u, x,
                          sum);
          }
          store_features(C, features + std::size_t(4) * C * k + channel, sum);
        });
      });
}

/// sender_bar [5][C] of the range is set, gathered from the neighbours' features_bar [4][C];
/// gradients of the messages along the reverse edges are set or added to.
template <class Space, class Real, class Rows>
static void message_adjoint(const Edges<Real> &edges, Range range, int C, const Rows &rows,
                            const Real *senders, const Real *features_bar, Real *sender_bar,
                            EdgeGradient<Real> *gradient, bool add) {
  constexpr int width = kChannelsPerLane<Space>;
  using Value = Channels<Real, width>;
  for_rows<Space>(
      "mlff::message_adjoint", range.size, KOKKOS_LAMBDA(const Team<Space> &lanes, int k) {
        const int row = range.begin + k;
        const int first = edges.begin[range.begin];
        const Real *sender = senders + std::size_t(5) * C * row;
        Real *bar = sender_bar + std::size_t(5) * C * k;
        for_lanes(lanes, 5 * C / width, [&](int lane) { Value::all(0).store(bar + lane * width); });
        for (int e = edges.begin[row]; e < edges.end[row]; ++e) {
          const auto w = rows.row(edges, e, first);
          const Real *h = features_bar + std::size_t(4) * C * edges.neighbour[e];
          // The message went to the neighbour, from where this atom is seen along -u.
          const Edge<Real> edge = edges.edge[e];
          const Real u[3] = {-edge.u[0], -edge.u[1], -edge.u[2]};
          Sums<Real, 4> sums;
          Kokkos::parallel_reduce(
              Kokkos::ThreadVectorRange(lanes, C / width),
              [&](int lane, Sums<Real, 4> &sum) {
                const int channel = lane * width;
                Value u_bar[3] = {Value::all(0), Value::all(0), Value::all(0)};
                Sender<Value> x_bar = load_sender<Value>(C, bar + channel);
                const Filter<Value> w_bar = mlff::message_adjoint(
                    filter<Value>(w, C, channel), u, load_sender<Value>(C, sender + channel),
                    load_features<Value>(C, h + channel), x_bar, u_bar);
                store_sender(C, bar + channel, x_bar);
                for (int c = 0; c < 3; ++c) sum.x[c] -= u_bar[c].sum();
                sum.x[3] += contract<Value>(w, C, channel, w_bar).sum();
              },
              sums);
          Kokkos::single(Kokkos::PerThread(lanes), [&] {
            EdgeGradient<Real> g = add ? gradient[e] : EdgeGradient<Real>{};
            for (int c = 0; c < 3; ++c) g.u[c] += sums.x[c];
            g.r += sums.x[3];
            gradient[e] = g;
          });
        }
      });
}

/// First layer: sums over an atom's edges of {1, ux, uy, uz} g by element of the neighbour.
/// sums of the range: [4][stride], entry element * columns + k, the padding set to zero.
template <class Space, class Real, class Rows>
static void element_sums(const Edges<Real> &edges, Range range, const Rows &rows, int columns,
                         int stride, Real *sums) {
  using Value = Channels<Real, 1>;
  for_rows<Space>(
      "mlff::element_sums", range.size, KOKKOS_LAMBDA(const Team<Space> &lanes, int k) {
        const int row = range.begin + k, first = edges.begin[range.begin];
        Real *to = sums + std::size_t(4) * stride * k;
        for_lanes(lanes, stride, [&](int at) {
          const int element = at / columns, column = at % columns;
          Features<Value> sum = {Value::all(0), {Value::all(0), Value::all(0), Value::all(0)}};
          for (int e = edges.begin[row]; e < edges.end[row]; ++e) {
            if (edges.element[edges.neighbour[e]] != element) continue;
            const Value g = rows.row(edges, e, first).template value<Value>(column);
            sum.s += g;
            for (int c = 0; c < 3; ++c) sum.v[c] += g * edges.edge[e].u[c];
          }
          store_features(stride, to + at, sum);
        });
      });
}

/// Adjoint: the edges' gradients are set or added to, given sums_bar [4][stride] of the range.
template <class Space, class Real, class Rows>
static void element_sums_adjoint(const Edges<Real> &edges, Range range, const Rows &rows,
                                 int columns, int stride, const Real *sums_bar,
                                 EdgeGradient<Real> *gradient, bool add) {
  using Value = Channels<Real, 1>;
  for_rows<Space>(
      "mlff::element_sums_adjoint", range.size, KOKKOS_LAMBDA(const Team<Space> &lanes, int k) {
        const int row = range.begin + k, first = edges.begin[range.begin];
        const int begin = edges.begin[row];
        for_lanes(lanes, edges.end[row] - begin, [&](int n) {
          const int e = begin + n;
          const auto w = rows.row(edges, e, first);
          const Real *u = edges.edge[e].u;
          const Real *bar =
              sums_bar + std::size_t(4) * stride * k + edges.element[edges.neighbour[e]] * columns;
          EdgeGradient<Real> g = add ? gradient[e] : EdgeGradient<Real>{};
          for (int column = 0; column < columns; ++column) {
            const Features<Value> h = load_features<Value>(stride, bar + column);
            const Real value = w.template value<Value>(column).x[0];
            const Real along =
                h.s.x[0] + u[0] * h.v[0].x[0] + u[1] * h.v[1].x[0] + u[2] * h.v[2].x[0];
            for (int c = 0; c < 3; ++c) g.u[c] += value * h.v[c].x[0];
            g.r += w.template slope<Value>(column).x[0] * along;
          }
          gradient[e] = g;
        });
      });
}

}  // namespace mlff::device
