// The published MLFF-Distiller student.
#pragma once

#include "message_passing.h"

namespace mlff {

/// Its messages are those of PaiNN with xa = s, xb = 1 and p = v; its update mixes Cartesian axes,
/// and its filters do not vanish at the cutoff. Both defects belong to its weights and are kept.
template <class Real, class Sum>
class MlffDistiller final : public MessagePassing<Real, Sum> {
 public:
  MlffDistiller(const Potential &potential, const NetworkOptions &options);

 private:
  using Base = MessagePassing<Real, Sum>;
  using Scratch = typename Base::Scratch;
  using Base::C_;
  using Base::edges_;
  using Base::kernels_;
  using Base::layers_;

  void first_message(const Block &block) override;
  void first_message_adjoint(const Block &) override {}
  void update(int l, const Block &block) override;
  void update_adjoint(int l, const Block &block) override;
  void make_senders(int l, const Block &block) override;
  void make_senders_adjoint(int l, const Block &block) override;
  void reserve(int local, int rows) override;
  std::size_t own_bytes() const override;

  /// What an update keeps for its adjoint, [local, …].
  struct Kept {
    AlignedArray<Real> v;             ///< [3C], before the update
    AlignedArray<Real> n;             ///< [C] = |v|
    AlignedArray<Real> hidden_slope;  ///< [C]
    AlignedArray<Real> gates;         ///< [3C]: a_s, g1, g2
  };
  struct Layer {
    LayerPair<Real> upd[2];
    Real mixing[9];
  };
  std::vector<Layer> weights_;
  std::vector<Kept> kept_;
  std::vector<Real> embedding_;  ///< [caller's elements, C]
};

}  // namespace mlff
