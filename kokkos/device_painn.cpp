#include "device_painn.h"

#include <string>

#include "instantiate.h"
#include "update_step.h"

namespace mlff::device {

int sums_stride(int elements, int radial_columns) {
  return padded(elements * radial_columns, kChannelPadding);
}

PaiNNWeights::PaiNNWeights(const Potential &potential, const std::vector<int> &element_rows,
                           int radial_columns, int sums_stride)
    : layers(potential.layers),
      first(potential, element_rows, kChannelPadding, radial_columns, sums_stride) {
  const Blocks one = padded_blocks(1, potential.channels, kChannelPadding);
  const Blocks two = padded_blocks(2, potential.channels, kChannelPadding);
  const Blocks three = padded_blocks(3, potential.channels, kChannelPadding);
  for (int l = 0; l < potential.layers; ++l) {
    const std::string k = "." + std::to_string(potential.shared_interactions ? 0 : l);
    const auto read = [&](const std::string &name, Blocks outputs, Blocks inputs,
                          const std::vector<int> &order) {
      return DenseWeights::read(potential, name, outputs, inputs, order);
    };
    Layer &layer = layers[l];
    if (l > 0) {
      layer.phi[0] = read("phi" + k + ".0", one, one, {0});
      layer.phi[1] = read("phi" + k + ".1", three, one, {0, 1, 2});
    }
    layer.mix = read("mix" + k, two, one, {0, 1});
    layer.upd[0] = read("upd" + k + ".0", one, two, {0});
    // The file has a_s, a_v, a_sv; the last layer goes without a_v.
    const bool last = l + 1 == potential.layers;
    layer.upd[1] = read("upd" + k + ".1", three, one,
                        last ? std::vector<int>{0, 2} : std::vector<int>{0, 2, 1});
  }
}

template <class Real, class Sum, class Space>
PaiNN<Real, Sum, Space>::PaiNN(const Potential &potential, const NetworkOptions &options,
                               DeviceKernels kernels)
    : Base(potential, options, kernels, false),
      epsilon_(static_cast<Real>(potential.epsilon)),
      sums_stride_(sums_stride(Base::elements(), Base::radial_columns_)),
      weights_(PaiNNWeights(potential, Base::element_row_, Base::radial_columns_, sums_stride_)),
      kept_(layers_),
      out_(potential) {}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::reserve(int local, int range) {
  const std::size_t C = C_;
  for (int l = 0; l < layers_; ++l) {
    const std::size_t rows = is_last(l) ? range : local;
    kept_[l].mixed.reserve(6 * C * rows);
    kept_[l].hidden_slope.reserve(C * rows);
    kept_[l].gates.reserve(gates_width(l) * rows);
    if (l == 0) continue;
    kept_[l].phi_slope.reserve(C * local);
    kept_[l].xc.reserve(C * local);
  }
  sums_.reserve(std::size_t(4) * sums_stride_ * range);
  s_n_.reserve(2 * C * range);
  hidden_.reserve(C * range);
  work_.reserve(6 * C * range);
  out_.reserve(range);
}

template <class Real, class Sum, class Space>
typename PaiNN<Real, Sum, Space>::KeptRows PaiNN<Real, Sum, Space>::kept_rows(int l,
                                                                              Range range) const {
  const Kept &kept = kept_[l];
  const std::size_t row = is_last(l) ? 0 : range.begin;
  return {kept.mixed.data() + 6 * C_ * row, kept.hidden_slope.data() + C_ * row,
          kept.gates.data() + gates_width(l) * row};
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::first_features(Range range) {
  const int stride = sums_stride_;
  Base::sum_by_element(range, stride, sums_.data());
  Real *features = Base::features_.data();
  embed<Space>(range.size, C_, Base::edges_.view().element + range.begin, Base::embedding_.data(),
               features);
  for (int c = 0; c < 4; ++c)
    dense<Space, Real>((c == 0 ? weights_.first_scalar : weights_.first_vector).forward.view(),
                       range.size, {sums_.data() + c * stride, 4 * stride},
                       {features + c * C_, 4 * C_}, c == 0 ? Epilogue::Add : Epilogue::Store);
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::first_features_adjoint(Range range) {
  const int stride = sums_stride_;
  const Real *features_bar = Base::features_bar(range.begin);
  for (int c = 0; c < 4; ++c)
    dense<Space, Real>((c == 0 ? weights_.first_scalar : weights_.first_vector).adjoint.view(),
                       range.size, {features_bar + c * C_, 4 * C_},
                       {sums_.data() + c * stride, 4 * stride}, Epilogue::Store);
  Base::sum_by_element_adjoint(range, stride, sums_.data());
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::update(int l, Range range, Real *state) {
  const typename Weights::Layer &layer = weights_.layers[l];
  const KeptRows kept = kept_rows(l, range);
  const Real *features = Base::features_.data();
  for (int c = 0; c < 3; ++c)
    dense<Space, Real>(layer.mix.forward.view(), range.size, {features + (1 + c) * C_, 4 * C_},
                       {kept.mixed + c * 2 * C_, 6 * C_}, Epilogue::Store);
  norm<Space>(range.size, C_, epsilon_, features, kept.mixed, s_n_.data());
  dense<Space, Real>(layer.upd[0].forward.view(), range.size, {s_n_.data(), 2 * C_},
                     {hidden_.data(), C_}, Epilogue::Silu, {kept.hidden_slope, C_});
  dense<Space, Real>(layer.upd[1].forward.view(), range.size, {hidden_.data(), C_},
                     {kept.gates, gates_width(l)}, Epilogue::Store);
  device::update<Space>(range.size, C_, kept.gates, is_last(l), kept.mixed, features, state);
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::update_adjoint(int l, Range range, Real *features_bar) {
  const typename Weights::Layer &layer = weights_.layers[l];
  const KeptRows kept = kept_rows(l, range);
  const bool last = is_last(l);
  Real *gates_bar = work_.data(), *mixed_bar = work_.data();
  update_adjoint_gates<Space>(range.size, C_, kept.mixed, features_bar, last, gates_bar);
  dense<Space, Real>(layer.upd[1].adjoint.view(), range.size, {gates_bar, gates_width(l)},
                     {hidden_.data(), C_}, Epilogue::Multiply, {kept.hidden_slope, C_});
  dense<Space, Real>(layer.upd[0].adjoint.view(), range.size, {hidden_.data(), C_},
                     {s_n_.data(), 2 * C_}, Epilogue::Store);
  update_adjoint_mix<Space>(range.size, C_, kept.gates, last, epsilon_, kept.mixed, s_n_.data(),
                            features_bar, mixed_bar);
  for (int c = 0; c < 3; ++c)
    dense<Space, Real>(layer.mix.adjoint.view(), range.size, {mixed_bar + c * 2 * C_, 6 * C_},
                       {features_bar + (1 + c) * C_, 4 * C_}, Epilogue::Add);
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::finish_layer(int l, Range range) {
  const typename Weights::Layer &next = weights_.layers[l + 1];
  const Kept &kept = kept_[l + 1];
  const std::size_t begin = range.begin;
  Real *state = Base::state(l + 1, range.begin), *x = work_.data();
  update(l, range, state);
  dense<Space, Real>(next.phi[0].forward.view(), range.size, {state, 4 * C_}, {hidden_.data(), C_},
                     Epilogue::Silu, {kept.phi_slope.data() + C_ * begin, C_});
  dense<Space, Real>(next.phi[1].forward.view(), range.size, {hidden_.data(), C_}, {x, 3 * C_},
                     Epilogue::Store);
  make_senders<Space>(range.size, C_, x, state, Base::senders(l + 1, range.begin),
                      kept.xc.data() + C_ * begin);
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::finish_layer_adjoint(int l, Range range) {
  const typename Weights::Layer &next = weights_.layers[l + 1];
  const Kept &kept = kept_[l + 1];
  const std::size_t begin = range.begin;
  Real *x_bar = work_.data(), *out = Base::next_features_bar(range.begin);
  make_senders_adjoint<Space>(range.size, C_, kept.xc.data() + C_ * begin,
                              Base::state(l + 1, range.begin), Base::sender_bar_.data(),
                              Base::features_bar(range.begin), x_bar, out);
  dense<Space, Real>(next.phi[1].adjoint.view(), range.size, {x_bar, 3 * C_}, {hidden_.data(), C_},
                     Epilogue::Multiply, {kept.phi_slope.data() + C_ * begin, C_});
  dense<Space, Real>(next.phi[0].adjoint.view(), range.size, {hidden_.data(), C_}, {out, 4 * C_},
                     Epilogue::Add);
  update_adjoint(l, range, out);
}

template <class Real, class Sum, class Space>
void PaiNN<Real, Sum, Space>::turn(Range range) {
  const int l = layers_ - 1;
  Real *features = Base::features_.data();
  Real *features_bar = Base::next_features_bar(range.begin);
  update(l, range, features);  // in place: nobody needs what was there
  out_.forward(range.size, {features, 4 * C_}, Base::energy_.data() + range.begin);
  out_.adjoint(range.size, C_, features_bar);
  update_adjoint(l, range, features_bar);
}

template <class Real, class Sum, class Space>
std::size_t PaiNN<Real, Sum, Space>::own_bytes() const {
  std::size_t bytes = sums_.bytes() + s_n_.bytes() + hidden_.bytes() + work_.bytes() + out_.bytes();
  for (const Kept &kept : kept_)
    bytes += kept.mixed.bytes() + kept.hidden_slope.bytes() + kept.gates.bytes() +
             kept.phi_slope.bytes() + kept.xc.bytes();
  return bytes;
}

#define MLFF_PAINN(Space)                     \
  template class PaiNN<float, float, Space>;  \
  template class PaiNN<float, double, Space>; \
  template class PaiNN<double, double, Space>;
MLFF_ON_EACH_SPACE(MLFF_PAINN)

}  // namespace mlff::device
