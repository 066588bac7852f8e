// PaiNN on the device, in Kokkos alone; see src/painn.h.
#pragma once

#include "dense.h"
#include "device_message_passing.h"
#include "device_read_out.h"
#include "first_layer.h"

namespace mlff::device {

/// PaiNN's dense layers as the file has them, with C padded.
struct PaiNNWeights {
  struct Layer {
    DenseWeights phi[2];  ///< of all layers but the first
    DenseWeights mix, upd[2];
  };
  std::vector<Layer> layers;
  FirstLayer first;

  /// Sums of the first layer have `sums_stride` columns.
  PaiNNWeights(const Potential &potential, const std::vector<int> &element_rows, int radial_columns,
               int sums_stride);
};

/// The same on the device: Pair is a dense layer and its adjoint there.
template <class Pair>
struct PaiNNLayers {
  struct Layer {
    Pair phi[2];  ///< of all layers but the first
    Pair mix, upd[2];
  };
  std::vector<Layer> layers;
  Pair first_scalar, first_vector;

  explicit PaiNNLayers(const PaiNNWeights &from)
      : layers(from.layers.size()),
        first_scalar(from.first.scalar),
        first_vector(from.first.vector) {
    for (std::size_t l = 0; l < layers.size(); ++l) {
      layers[l].mix = Pair(from.layers[l].mix);
      for (int k = 0; k < 2; ++k) {
        if (l > 0) layers[l].phi[k] = Pair(from.layers[l].phi[k]);
        layers[l].upd[k] = Pair(from.layers[l].upd[k]);
      }
    }
  }
};

/// Columns of the first layer's sums: those of each element, padded to what dense layers read.
int sums_stride(int elements, int radial_columns);

template <class Real, class Sum, class Space>
class PaiNN final : public MessagePassing<Real, Sum, Space> {
 public:
  PaiNN(const Potential &potential, const NetworkOptions &options, DeviceKernels kernels);

 private:
  using Base = MessagePassing<Real, Sum, Space>;
  using Base::C_;
  using Base::is_last;
  using Base::layers_;

  void first_features(Range range) override;
  void first_features_adjoint(Range range) override;
  void finish_layer(int l, Range range) override;
  void finish_layer_adjoint(int l, Range range) override;
  void turn(Range range) override;
  void reserve(int local, int range) override;
  std::size_t own_bytes() const override;

  /// features become state, both rows of the range.
  void update(int l, Range range, Real *state);
  /// features_bar of the range becomes that before the update, in place.
  void update_adjoint(int l, Range range, Real *features_bar);

  /// What a layer's update keeps for its adjoint; the last layer keeps one range.
  struct Kept {
    Array<Real, Space> mixed{"mlff::mixed"};                ///< [rows, 3, 2C]: V, W
    Array<Real, Space> hidden_slope{"mlff::hidden_slope"};  ///< [rows, C]: silu' in upd
    Array<Real, Space> gates{"mlff::gates"};                ///< [rows, 3C]: a_s, a_sv, a_v
    Array<Real, Space> phi_slope{"mlff::phi_slope"};        ///< [local, C]: silu' in phi
    Array<Real, Space> xc{"mlff::xc"};                      ///< [local, C]
  };
  struct KeptRows {
    Real *mixed, *hidden_slope, *gates;
  };
  KeptRows kept_rows(int l, Range range) const;
  int gates_width(int l) const { return is_last(l) ? 2 * C_ : 3 * C_; }

  using Weights = PaiNNLayers<DensePair<Real, Space>>;

  const Real epsilon_;
  const int sums_stride_;
  const Weights weights_;
  std::vector<Kept> kept_;
  ReadOut<Real, Space> out_;
  Array<Real, Space> sums_{"mlff::sums"};      ///< [range, 4, sums_stride]
  Array<Real, Space> s_n_{"mlff::s_n"};        ///< [range, 2C]
  Array<Real, Space> hidden_{"mlff::hidden"};  ///< [range, C]
  Array<Real, Space> work_{"mlff::work"};      ///< [range, 6C]
};

}  // namespace mlff::device
