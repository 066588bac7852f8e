#include "device_distiller.h"

#include <string>

#include "instantiate.h"

namespace mlff::device {

template <class Real, class Sum, class Space>
MlffDistiller<Real, Sum, Space>::MlffDistiller(const Potential &potential,
                                               const NetworkOptions &options, DeviceKernels kernels)
    : Base(potential, options, kernels, true), weights_(layers_), kept_(layers_), out_(potential) {
  const int F = potential.channels;
  const Blocks one = padded_blocks(1, F, kChannelPadding);
  const Blocks two = padded_blocks(2, F, kChannelPadding);
  const Blocks three = padded_blocks(3, F, kChannelPadding);
  for (int l = 0; l < layers_; ++l) {
    const std::string upd = "upd." + std::to_string(l);
    weights_[l].upd[0] =
        DensePair<Real, Space>(DenseWeights::read(potential, upd + ".0", one, two, {0}));
    weights_[l].upd[1] =
        DensePair<Real, Space>(DenseWeights::read(potential, upd + ".1", three, one, {0, 1, 2}));
    const Tensor &mixing = potential.tensor("mixing." + std::to_string(l));
    for (int k = 0; k < 9; ++k) weights_[l].mixing.m[k] = static_cast<Real>(mixing.values[k]);
  }
}

template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::reserve(int local, int range) {
  const std::size_t C = C_;
  for (Kept &kept : kept_) {
    kept.features.reserve(4 * C * local);
    kept.hidden_slope.reserve(C * local);
    kept.gates.reserve(3 * C * local);
  }
  s_n_.reserve(2 * C * range);
  hidden_.reserve(C * range);
  gates_bar_.reserve(3 * C * range);
  bar_.reserve(4 * C * range);
  out_.reserve(range);
}

// State and senders follow from the elements alone, senders also for other processes' atoms.
template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::embed_atoms(int local, int rows) {
  const int *element = Base::edges_.view().element;
  embed<Space>(local, C_, element, Base::embedding_.data(), Base::state(0));
  embed_senders<Space>(rows, C_, element, Base::embedding_.data(), Base::senders(0));
}

template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::update(int l, Range range, Real *state) {
  const Layer &layer = weights_[l];
  const std::size_t C = C_, begin = range.begin;
  Real *features = kept_[l].features.data() + 4 * C * begin,
       *gates = kept_[l].gates.data() + 3 * C * begin;
  copy<Space>(4 * C * range.size, Base::features_.data(), features);
  distiller_norm<Space>(range.size, C_, features, s_n_.data());
  dense<Space, Real>(layer.upd[0].forward.view(), range.size, {s_n_.data(), 2 * C_},
                     {hidden_.data(), C_}, Epilogue::Silu,
                     {kept_[l].hidden_slope.data() + C * begin, C_});
  dense<Space, Real>(layer.upd[1].forward.view(), range.size, {hidden_.data(), C_}, {gates, 3 * C_},
                     Epilogue::Store);
  distiller_update<Space>(range.size, C_, gates, layer.mixing, features, state);
}

template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::update_adjoint(int l, Range range, const Real *features_bar,
                                                     Real *out) {
  const Layer &layer = weights_[l];
  const std::size_t C = C_, begin = range.begin;
  const Real *features = kept_[l].features.data() + 4 * C * begin;
  const Real *gates = kept_[l].gates.data() + 3 * C * begin;
  distiller_update_adjoint_gates<Space>(range.size, C_, layer.mixing, features, features_bar,
                                        gates_bar_.data());
  dense<Space, Real>(layer.upd[1].adjoint.view(), range.size, {gates_bar_.data(), 3 * C_},
                     {hidden_.data(), C_}, Epilogue::Multiply,
                     {kept_[l].hidden_slope.data() + C * begin, C_});
  dense<Space, Real>(layer.upd[0].adjoint.view(), range.size, {hidden_.data(), C_},
                     {s_n_.data(), 2 * C_}, Epilogue::Store);
  distiller_update_adjoint<Space>(range.size, C_, gates, layer.mixing, features, s_n_.data(),
                                  features_bar, out);
}

template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::finish_layer(int l, Range range) {
  Real *state = Base::state(l + 1, range.begin);
  update(l, range, state);
  distiller_make_senders<Space>(range.size, C_, state, Base::senders(l + 1, range.begin));
}

template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::finish_layer_adjoint(int l, Range range) {
  distiller_make_senders_adjoint<Space>(range.size, C_, Base::sender_bar_.data(),
                                        Base::features_bar(range.begin), bar_.data());
  update_adjoint(l, range, bar_.data(), Base::next_features_bar(range.begin));
}

template <class Real, class Sum, class Space>
void MlffDistiller<Real, Sum, Space>::turn(Range range) {
  Real *features = Base::features_.data();
  update(layers_ - 1, range, features);  // in place: it was copied
  out_.forward(range.size, {features, 4 * C_}, Base::energy_.data() + range.begin);
  out_.adjoint(range.size, C_, bar_.data());
  update_adjoint(layers_ - 1, range, bar_.data(), Base::next_features_bar(range.begin));
}

template <class Real, class Sum, class Space>
std::size_t MlffDistiller<Real, Sum, Space>::own_bytes() const {
  std::size_t bytes =
      s_n_.bytes() + hidden_.bytes() + gates_bar_.bytes() + bar_.bytes() + out_.bytes();
  for (const Kept &kept : kept_)
    bytes += kept.features.bytes() + kept.hidden_slope.bytes() + kept.gates.bytes();
  return bytes;
}

#define MLFF_DISTILLER(Space)                         \
  template class MlffDistiller<float, float, Space>;  \
  template class MlffDistiller<float, double, Space>; \
  template class MlffDistiller<double, double, Space>;
MLFF_ON_EACH_SPACE(MLFF_DISTILLER)

}  // namespace mlff::device
