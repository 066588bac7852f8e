// The message step on NVIDIA GPUs: single precision, filters from spline tables. Gathers only, no
// atomic sums of floats: results are bitwise reproducible.
#pragma once

#include <cstddef>

#include "device_data.h"
#include "stream.h"

namespace mlff::device {
template <class Real>
struct EdgePlacement;
}

namespace mlff::cuda {

/// Slices of channels that messages with this table are computed in, each with its own part of the
/// edges' gradients: as few as the table allows to hold a slice of it in shared memory. A table
/// that is too large for that is read through the caches, which takes twice as long.
int message_slices(const device::SplineTable<float> &table, int C);

/// features [4][C] of the range = state [4][C] (all centres) + messages from the neighbours'
/// senders [5][C].
void message(Stream stream, const device::Edges<float> &edges, device::Range range, int C,
             const device::SplineTable<float> &table, const float *senders, const float *state,
             float *features);

/// Adjoint, gathered by the senders from their neighbours' features_bar [4][C]: sender_bar [5][C]
/// of the range is set. Gradients of the messages along the reverse edges are set, or added to
/// where `add`: slice k has gradient[k * gradient_stride + edge].
void message_adjoint(Stream stream, const device::Edges<float> &edges, device::Range range, int C,
                     const device::SplineTable<float> &table, const float *senders,
                     const float *features_bar, float *sender_bar,
                     device::EdgeGradient<float> *gradient, std::size_t gradient_stride, bool add);

/// Whether the element sums below can hold `elements` elements with this table of the radial
/// functions, one column each.
bool element_sums_fit(const device::SplineTable<float> &radial, int elements);

/// First layer: sums over an atom's edges of {1, ux, uy, uz} g_k by element of the neighbour.
/// sums of the range: [4][stride], entry element * radial.columns + k, padding up to `stride` set
/// to zero.
void element_sums(Stream stream, const device::Edges<float> &edges, device::Range range,
                  const device::SplineTable<float> &radial, int elements, int stride, float *sums);

/// Centres, at most, that place_and_sum can take: one for each of its warps that the device runs at
/// the same time. With more, placing the edges in a kernel of its own takes less time.
int most_centres_placed(const device::SplineTable<float> &radial, int elements);

/// Places the edges of the range, and looks up its elements, before it does what element_sums does.
void place_and_sum(Stream stream, const device::EdgePlacement<float> &placement,
                   device::Range range, const device::SplineTable<float> &radial, int elements,
                   int stride, float *sums);

/// Adjoint, the last to give to the edges' gradients: given sums_bar [4][stride] of the range, and
/// what the other layers have put into `slices` slices, they become dE/d(vector) in the first.
/// spacing: of the table.
void element_sums_adjoint(Stream stream, const device::Edges<float> &edges, device::Range range,
                          const device::SplineTable<float> &radial, int elements, int stride,
                          const float *sums_bar, float spacing,
                          device::EdgeGradient<float> *gradient, int slices,
                          std::size_t gradient_stride);

}  // namespace mlff::cuda
