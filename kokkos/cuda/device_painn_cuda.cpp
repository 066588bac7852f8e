#include "cuda/device_painn_cuda.h"

#include "cuda/painn_tiles.h"
#include "device_message_passing.h"
#include "device_painn.h"

namespace mlff::device {

namespace {

using Space = Kokkos::Cuda;
using Numbers = Array<float, Space>;

/// A dense layer in the device's memory, its weights split for the tensor cores.
class Layer {
 public:
  Layer() = default;
  explicit Layer(const DenseWeights &dense) {
    view_.inputs = dense.inputs;
    view_.outputs = dense.outputs;
    fragments_.assign(cuda::split_weights(dense.outputs, dense.inputs, dense.weights.data(),
                                          view_.inverse_scale));
    view_.fragments = fragments_.data();
    if (dense.bias.empty()) return;
    bias_.assign(dense.bias);
    view_.bias = bias_.data();
  }
  const cuda::SplitLayer &view() const { return view_; }

 private:
  Array<std::uint32_t, Space> fragments_{"mlff::fragments"};
  Numbers bias_{"mlff::bias"};
  cuda::SplitLayer view_;
};

/// A dense layer and its adjoint.
struct LayerPair {
  Layer forward, adjoint;
  LayerPair() = default;
  explicit LayerPair(const DenseWeights &dense) : forward(dense), adjoint(dense.transposed()) {}
};

/// What an update keeps for its adjoint.
struct UpdateKept {
  Numbers mixed{"mlff::mixed"}, hidden_slope{"mlff::hidden_slope"}, gates{"mlff::gates"};

  void reserve(std::size_t rows, int C) {
    mixed.reserve(6 * C * rows);
    hidden_slope.reserve(C * rows);
    gates.reserve(2 * C * rows);
  }
  cuda::UpdateKept view() const { return {mixed.data(), hidden_slope.data(), gates.data()}; }
  std::size_t bytes() const { return mixed.bytes() + hidden_slope.bytes() + gates.bytes(); }
};

/// What phi keeps for its adjoint.
struct PhiKept {
  Numbers phi_slope{"mlff::phi_slope"}, xc{"mlff::xc"};

  void reserve(std::size_t rows, int C) {
    phi_slope.reserve(C * rows);
    xc.reserve(C * rows);
  }
  cuda::PhiKept view() const { return {phi_slope.data(), xc.data()}; }
  std::size_t bytes() const { return phi_slope.bytes() + xc.bytes(); }
};

class ReadOutLayers {
 public:
  explicit ReadOutLayers(const ReadOutWeights &read) {
    for (const DenseWeights &layer : read.layers) layers_.emplace_back(layer);
    weights_.assign(read.weights);
    view_.hidden = static_cast<int>(layers_.size());
    for (int k = 0; k < view_.hidden; ++k) {
      view_.forward[k] = layers_[k].forward.view();
      view_.adjoint[k] = layers_[k].adjoint.view();
    }
    view_.weights = weights_.data();
    view_.bias = read.bias;
  }
  const cuda::ReadOutLayers &view() const { return view_; }

 private:
  std::vector<LayerPair> layers_;
  Array<double, Space> weights_{"mlff::read_out"};
  cuda::ReadOutLayers view_;
};

template <class Sum>
class PaiNNCuda final : public MessagePassing<float, Sum, Space> {
 public:
  PaiNNCuda(const Potential &potential, const NetworkOptions &options,
            const ReadOutWeights &read_out)
      : Base(potential, options, DeviceKernels::Best, false),
        epsilon_(static_cast<float>(potential.epsilon)),
        sums_stride_(sums_stride(Base::elements(), Base::radial_columns_)),
        weights_(PaiNNWeights(potential, Base::element_row_, Base::radial_columns_, sums_stride_)),
        update_kept_(layers_),
        phi_kept_(layers_),
        out_(read_out) {}

 private:
  using Base = MessagePassing<float, Sum, Space>;
  using Base::C_;
  using Base::is_last;
  using Base::layers_;

  static cuda::Stream stream() { return Space().cuda_stream(); }

  void first_features(Range range) override {
    Base::sum_by_element(range, sums_stride_, sums_.data());
    cuda::first_features(stream(), range, C_, Base::edges_.view().element, Base::embedding_.data(),
                         weights_.first_scalar.forward.view(), weights_.first_vector.forward.view(),
                         sums_stride_, sums_.data(), Base::features_.data());
  }

  void first_features_adjoint(Range range) override {
    cuda::first_features_adjoint(stream(), range, C_, weights_.first_scalar.adjoint.view(),
                                 weights_.first_vector.adjoint.view(), sums_stride_,
                                 Base::features_bar(), sums_.data());
    Base::sum_by_element_adjoint(range, sums_stride_, sums_.data());
  }

  void finish_layer(int l, Range range) override {
    cuda::finish_layer(stream(), range, C_, epsilon_, update(l), phi(l + 1), update_kept_[l].view(),
                       phi_kept_[l + 1].view(), Base::features_.data(), Base::state(l + 1),
                       Base::senders(l + 1));
  }

  void finish_layer_adjoint(int l, Range range) override {
    cuda::finish_layer_adjoint(stream(), range, C_, epsilon_, phi_adjoint(l + 1), update_adjoint(l),
                               phi_kept_[l + 1].view(), update_kept_[l].view(), Base::state(l + 1),
                               Base::sender_bar_.data(), Base::features_bar(),
                               Base::next_features_bar());
  }

  void turn(Range range) override {
    const int last = layers_ - 1;
    cuda::turn(stream(), range, C_, epsilon_, update(last), update_adjoint(last), out_.view(),
               update_kept_[last].view(), Base::features_.data(), Base::energy_.data(),
               Base::next_features_bar());
  }

  void reserve(int local, int range) override {
    for (int l = 0; l < layers_; ++l) {
      update_kept_[l].reserve(is_last(l) ? cuda::turn_rows() : local, C_);
      if (l > 0) phi_kept_[l].reserve(local, C_);
    }
    sums_.reserve(std::size_t(4) * sums_stride_ * range);
  }

  std::size_t own_bytes() const override {
    std::size_t bytes = sums_.bytes();
    for (const UpdateKept &kept : update_kept_) bytes += kept.bytes();
    for (const PhiKept &kept : phi_kept_) bytes += kept.bytes();
    return bytes;
  }

  cuda::UpdateLayers update(int l) const {
    const Weights::Layer &w = weights_.layers[l];
    return {w.mix.forward.view(), w.upd[0].forward.view(), w.upd[1].forward.view()};
  }
  cuda::UpdateAdjointLayers update_adjoint(int l) const {
    const Weights::Layer &w = weights_.layers[l];
    return {w.upd[1].adjoint.view(), w.upd[0].adjoint.view(), w.mix.adjoint.view()};
  }
  cuda::PhiLayers phi(int l) const {
    const auto &phi = weights_.layers[l].phi;
    return {phi[0].forward.view(), phi[1].forward.view()};
  }
  cuda::PhiAdjointLayers phi_adjoint(int l) const {
    const auto &phi = weights_.layers[l].phi;
    return {phi[1].adjoint.view(), phi[0].adjoint.view()};
  }

  using Weights = PaiNNLayers<LayerPair>;

  const float epsilon_;
  const int sums_stride_;
  const Weights weights_;
  std::vector<UpdateKept> update_kept_;
  std::vector<PhiKept> phi_kept_;
  ReadOutLayers out_;
  Numbers sums_{"mlff::sums"};  ///< [range, 4, sums_stride]
};

}  // namespace

template <class Sum>
std::unique_ptr<DeviceNetwork> create_painn_cuda(const Potential &potential,
                                                 const NetworkOptions &options) {
  const int C = padded(potential.channels, kChannelPadding);
  const int elements = static_cast<int>(element_rows(potential, options).size());
  const ReadOutWeights read_out = ReadOutWeights::read(potential, kChannelPadding);
  if (read_out.layers.size() > cuda::ReadOutLayers::kMost) return nullptr;
  int hidden_outputs = 0;
  for (const DenseWeights &layer : read_out.layers) {
    if (layer.outputs > C) return nullptr;
    hidden_outputs += layer.outputs;
  }
  const int first_layer_inputs = sums_stride(elements, radial_columns(potential));
  if (!cuda::painn_tiles_fit(C, first_layer_inputs, hidden_outputs)) return nullptr;
  return std::make_unique<PaiNNCuda<Sum>>(potential, options, read_out);
}

template std::unique_ptr<DeviceNetwork> create_painn_cuda<float>(const Potential &,
                                                                 const NetworkOptions &);
template std::unique_ptr<DeviceNetwork> create_painn_cuda<double>(const Potential &,
                                                                  const NetworkOptions &);

}  // namespace mlff::device
