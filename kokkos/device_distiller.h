// The published MLFF-Distiller student on the device; see src/distiller.h.
#pragma once

#include "device_message_passing.h"
#include "device_read_out.h"
#include "update_step.h"

namespace mlff::device {

template <class Real, class Sum, class Space>
class MlffDistiller final : public MessagePassing<Real, Sum, Space> {
 public:
  MlffDistiller(const Potential &potential, const NetworkOptions &options, DeviceKernels kernels);

 private:
  using Base = MessagePassing<Real, Sum, Space>;
  using Base::C_;
  using Base::layers_;

  void first_features(Range range) override { Base::message(0, range); }
  void first_features_adjoint(Range) override {}
  void finish_layer(int l, Range range) override;
  void finish_layer_adjoint(int l, Range range) override;
  void turn(Range range) override;
  void embed_atoms(int local, int rows) override;
  void reserve(int local, int range) override;
  std::size_t own_bytes() const override;

  /// features of the range become state; kept for the adjoint.
  void update(int l, Range range, Real *state);
  /// features_bar behind the update becomes `out`, that before it.
  void update_adjoint(int l, Range range, const Real *features_bar, Real *out);

  /// What an update keeps for its adjoint, [local, …].
  struct Kept {
    Array<Real, Space> features{"mlff::kept_features"};     ///< [4C], before the update
    Array<Real, Space> hidden_slope{"mlff::hidden_slope"};  ///< [C]
    Array<Real, Space> gates{"mlff::gates"};                ///< [3C]: a_s, g1, g2
  };
  struct Layer {
    DensePair<Real, Space> upd[2];
    AxisMixing<Real> mixing;
  };
  std::vector<Layer> weights_;
  std::vector<Kept> kept_;
  ReadOut<Real, Space> out_;
  Array<Real, Space> s_n_{"mlff::s_n"};              ///< [range, 2C]
  Array<Real, Space> hidden_{"mlff::hidden"};        ///< [range, C]
  Array<Real, Space> gates_bar_{"mlff::gates_bar"};  ///< [range, 3C]
  Array<Real, Space> bar_{"mlff::features_bar"};     ///< [range, 4C]
};

}  // namespace mlff::device
