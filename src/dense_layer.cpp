#include "dense_layer.h"

#include <algorithm>

namespace mlff {

DenseWeights DenseWeights::read(const Potential &potential, const std::string &name, Blocks outputs,
                                Blocks inputs, const std::vector<int> &order) {
  const Tensor &weight = potential.tensor(name + ".weight");
  const auto bias = potential.tensors.find(name + ".bias");
  const int file_inputs = inputs.number * inputs.size;
  outputs.number = static_cast<int>(order.size());

  DenseWeights dense;
  dense.inputs = inputs.total();
  dense.outputs = outputs.total();
  dense.weights.assign(static_cast<std::size_t>(dense.outputs) * dense.inputs, 0.0);
  if (bias != potential.tensors.end()) dense.bias.assign(dense.outputs, 0.0);
  for (int block = 0; block < outputs.number; ++block)
    for (int f = 0; f < outputs.size; ++f) {
      const std::size_t from = static_cast<std::size_t>(order[block]) * outputs.size + f;
      const std::size_t to = static_cast<std::size_t>(block) * outputs.stride + f;
      if (!dense.bias.empty()) dense.bias[to] = bias->second.values[from];
      for (int k = 0; k < file_inputs; ++k)
        dense.weights[to * dense.inputs + k / inputs.size * inputs.stride + k % inputs.size] =
            weight.values[from * file_inputs + k];
    }
  return dense;
}

DenseWeights DenseWeights::transposed() const {
  DenseWeights t;
  t.inputs = outputs;
  t.outputs = inputs;
  t.weights.resize(weights.size());
  for (int o = 0; o < outputs; ++o)
    for (int i = 0; i < inputs; ++i)
      t.weights[static_cast<std::size_t>(i) * outputs + o] =
          weights[static_cast<std::size_t>(o) * inputs + i];
  return t;
}

DenseWeights DenseWeights::with_interleaved_outputs() const {
  DenseWeights result = *this;
  const int C = outputs / 3;
  for (int from = 0; from < outputs; ++from) {
    const int to = interleaved<3>(from % C) + from / C * kChannelBlock;
    std::copy_n(weights.begin() + std::ptrdiff_t(from) * inputs, inputs,
                result.weights.begin() + std::ptrdiff_t(to) * inputs);
    if (!bias.empty()) result.bias[to] = bias[from];
  }
  return result;
}

template <class Real>
PackedLayer<Real>::PackedLayer(const DenseWeights &dense, int panel) {
  const int panels = (dense.outputs + panel - 1) / panel;
  weights_.resize(static_cast<std::size_t>(panels) * dense.inputs * panel);
  Real *to = weights_.data();
  for (int p = 0; p < panels; ++p)
    for (int i = 0; i < dense.inputs; ++i)
      for (int k = 0; k < panel; ++k, ++to) {
        const int o = p * panel + k;
        *to = o < dense.outputs
                  ? static_cast<Real>(dense.weights[static_cast<std::size_t>(o) * dense.inputs + i])
                  : Real(0);
      }
  view_ = {dense.inputs, dense.outputs, weights_.data(), nullptr};
  if (dense.bias.empty()) return;
  bias_.resize(dense.outputs);
  for (int o = 0; o < dense.outputs; ++o) bias_[o] = static_cast<Real>(dense.bias[o]);
  view_.bias = bias_.data();
}

template class PackedLayer<float>;
template class PackedLayer<double>;

}  // namespace mlff
