// PaiNN's dense layers on NVIDIA GPUs: single precision on the tensor cores. Everything that
// happens to an atom between two message steps is one kernel, which takes a tile of atoms through
// all of its dense layers. Products are sums of three half-precision products of operands split
// into high and low parts and scaled by powers of two, row by row: as accurate as FP32 arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "device_data.h"
#include "stream.h"

namespace mlff::cuda {

/// A dense layer y = x W^T + bias with its weights split and in the order in which the tensor cores
/// read them.
struct SplitLayer {
  int inputs = 0, outputs = 0;               ///< inputs: a multiple of 16; outputs: of 32
  const std::uint32_t *fragments = nullptr;  ///< device, as packed by split_weights
  float inverse_scale = 1;                   ///< of the weights
  const float *bias = nullptr;               ///< device, [outputs] or null
};

/// Packs weights [outputs, inputs] for SplitLayer::fragments; returns the packed words and sets the
/// scale's inverse.
std::vector<std::uint32_t> split_weights(int outputs, int inputs, const double *weights,
                                         float &inverse_scale);

/// Whether these kernels were compiled for compute capability 8.0 or newer, and hold this many
/// channels, numbers that the first layer's sums have, and outputs of all hidden read-out layers.
bool painn_tiles_fit(int C, int first_layer_inputs, int hidden_outputs);

/// Weights of the update network of one layer. The outputs of upd1 are (a_s, a_sv, a_v), and
/// (a_s, a_sv) in the last layer.
struct UpdateLayers {
  SplitLayer mix, upd0, upd1;
};
/// Weights of the adjoint: transposed, no bias.
struct UpdateAdjointLayers {
  SplitLayer upd1, upd0, mix;
};
struct PhiLayers {
  SplitLayer phi0, phi1;
};
struct PhiAdjointLayers {
  SplitLayer phi1, phi0;
};

/// What the update keeps for its adjoint, rows of all centres.
struct UpdateKept {
  float *mixed = nullptr;         ///< [3][2][C]
  float *hidden_slope = nullptr;  ///< [C] silu' in upd
  float *gates = nullptr;         ///< [2][C] a_sv, a_v
};
/// What phi keeps for its adjoint, rows of all centres.
struct PhiKept {
  float *phi_slope = nullptr;  ///< [C] silu' in phi
  float *xc = nullptr;         ///< [C]
};

/// First layer: features [4][C] of the range = (embedding [element][C] + scalar sums W^T, vector
/// sums W^T), from sums of the range [4][stride].
void first_features(Stream stream, device::Range range, int C, const int *element,
                    const float *embedding, const SplitLayer &scalar, const SplitLayer &vector,
                    int stride, const float *sums, float *features);
/// Adjoint: sums_bar [4][stride] of the range from features_bar [4][C] (all centres).
void first_features_adjoint(Stream stream, device::Range range, int C, const SplitLayer &scalar,
                            const SplitLayer &vector, int stride, const float *features_bar,
                            float *sums_bar);

/// Behind the messages of a layer: update, then phi of the next layer. features of the range [4][C]
/// become state [4][C] and senders [5][C] (both indexed by centre).
void finish_layer(Stream stream, device::Range range, int C, float epsilon,
                  const UpdateLayers &update, const PhiLayers &phi, const UpdateKept &update_kept,
                  const PhiKept &phi_kept, const float *features, float *state, float *senders);

/// The read-out: dense layers with SiLU, and a last weighted sum that is taken in double.
struct ReadOutLayers {
  static constexpr int kMost = 4;
  int hidden = 0;  ///< dense layers before the weighted sum
  SplitLayer forward[kMost], adjoint[kMost];
  const double *weights = nullptr;  ///< [inputs of the weighted sum]
  double bias = 0;
};

/// The last layer, there and back: update, read-out, and the adjoints of both. features of the
/// range become energies [centre] (file's unit, without E0) and features_bar [centre][4][C] as it
/// is before the update. scratch: what the update keeps, of turn_rows() rows.
void turn(Stream stream, device::Range range, int C, float epsilon, const UpdateLayers &update,
          const UpdateAdjointLayers &update_adjoint, const ReadOutLayers &read_out,
          const UpdateKept &scratch, const float *features, double *energies, float *features_bar);

/// Rows of turn's scratch on the current device, however many atoms there are.
int turn_rows();

/// Adjoint of finish_layer: sender_bar [5][C] of the range and features_bar_in [centre][4][C], both
/// at the beginning of layer l, become features_bar_out [centre][4][C] before the update of layer
/// l - 1. state: that of the beginning of layer l.
void finish_layer_adjoint(Stream stream, device::Range range, int C, float epsilon,
                          const PhiAdjointLayers &phi, const UpdateAdjointLayers &update,
                          const PhiKept &phi_kept, const UpdateKept &update_kept,
                          const float *state, const float *sender_bar, const float *features_bar_in,
                          float *features_bar_out);

}  // namespace mlff::cuda
