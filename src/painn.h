// PaiNN (Schuett, Unke, Gastegger, ICML 2021, in the form of SchNetPack 2).
#pragma once

#include "message_passing.h"

namespace mlff {

/// Its update mixes channels of v, its messages pass through phi, and its first layer needs no
/// edges' features: x depends on the element and v = 0, so that sums of radial functions by element
/// suffice.
template <class Real, class Sum>
class PaiNN final : public MessagePassing<Real, Sum> {
 public:
  PaiNN(const Potential &potential, const NetworkOptions &options);

 private:
  using Base = MessagePassing<Real, Sum>;
  using Scratch = typename Base::Scratch;
  using Base::C_;
  using Base::edges_;
  using Base::kernels_;
  using Base::layers_;

  void first_message(const Block &block) override;
  void first_message_adjoint(const Block &block) override;
  void update(int l, const Block &block) override;
  void update_adjoint(int l, const Block &block) override;
  void make_senders(int l, const Block &block) override;
  void make_senders_adjoint(int l, const Block &block) override;
  void reserve(int local, int rows) override;
  std::size_t own_bytes() const override;

  void read_first_layer(const Potential &potential);
  void read_layer(const Potential &potential, int l);

  /// What a layer's update keeps for its adjoint. The last layer goes back at once and keeps one
  /// block a thread.
  struct Kept {
    AlignedArray<Real> mixed;         ///< [rows, 3, 2C]: V, W
    AlignedArray<Real> n;             ///< [rows, C]
    AlignedArray<Real> hidden_slope;  ///< [rows, C]: silu' in upd
    AlignedArray<Real> gates;         ///< [rows, 3C]: a_s, a_sv, a_v
    AlignedArray<Real> phi_slope;     ///< [local, C]: silu' in the layer's phi
    AlignedArray<Real> xc;            ///< [local, C]
  };
  struct UpdateRows {
    Real *mixed, *n, *hidden_slope, *gates;
  };
  UpdateRows update_rows(int l, const Block &block);
  bool is_last(int l) const { return l + 1 == layers_; }
  int gates(int l) const {
    return is_last(l) ? 2 : 3;
  }  ///< a_v does not reach the energy in the last layer

  struct Layer {
    LayerPair<Real> phi[2], mix, upd[2];
  };
  std::vector<Layer> weights_;
  std::vector<Kept> kept_;
  const Real epsilon_;
  int elements_;
  std::vector<Real> embedding_;  ///< [caller's elements, C]
  LayerPair<Real> first_scalar_,
      first_vector_;                      ///< element sums -> s, v: xa Wa and xb Wb per element
  std::vector<AlignedArray<Real>> sums_;  ///< by thread: [B, E K] and [B, 3, E K]
};

}  // namespace mlff
