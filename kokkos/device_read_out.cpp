#include "device_read_out.h"

#include "instantiate.h"

namespace mlff::device {

namespace {

/// energies = x weights + bias.
template <class Space, class Real>
void weighted_sum(int atoms, Rows<const Real> x, int inputs, const double *weights, double bias,
                  double *energies) {
  for_each<Space>(
      "mlff::weighted_sum", atoms, KOKKOS_LAMBDA(std::size_t i) {
        double sum = bias;
        for (int k = 0; k < inputs; ++k) sum += weights[k] * x.data[i * x.stride + k];
        energies[i] = sum;
      });
}

/// bar = weights, times silu' where there is one.
template <class Space, class Real>
void weighted_sum_adjoint(int atoms, int inputs, const double *weights, Rows<Real> slope,
                          Rows<Real> bar) {
  for_each<Space>(
      "mlff::weighted_sum_adjoint", std::size_t(atoms) * inputs, KOKKOS_LAMBDA(std::size_t at) {
        const std::size_t i = at / inputs, k = at % inputs;
        const Real w = static_cast<Real>(weights[k]);
        bar.data[i * bar.stride + k] = slope.data ? w * slope.data[i * slope.stride + k] : w;
      });
}

}  // namespace

template <class Real, class Space>
ReadOut<Real, Space>::ReadOut(const Potential &potential) {
  const ReadOutWeights read = ReadOutWeights::read(potential, kChannelPadding);
  for (const DenseWeights &layer : read.layers) layers_.emplace_back(layer);
  output_.resize(layers_.size());
  slope_.resize(layers_.size());
  weights_.assign(read.weights);
  inputs_ = static_cast<int>(read.weights.size());
  bias_ = read.bias;
}

template <class Real, class Space>
void ReadOut<Real, Space>::reserve(int atoms) {
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    output_[k].reserve(std::size_t(atoms) * layers_[k].forward.view().outputs);
    slope_[k].reserve(std::size_t(atoms) * layers_[k].forward.view().outputs);
  }
}

template <class Real, class Space>
void ReadOut<Real, Space>::forward(int atoms, Rows<const Real> s, double *energies) {
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    dense<Space, Real>(layers_[k].forward.view(), atoms, s, output(k), Epilogue::Silu, slope(k));
    s = {output(k).data, output(k).stride};
  }
  weighted_sum<Space>(atoms, s, inputs_, weights_.data(), bias_, energies);
}

template <class Real, class Space>
void ReadOut<Real, Space>::adjoint(int atoms, int C, Real *features_bar) {
  for_each<Space>(
      "mlff::clear_features_bar", std::size_t(4) * C * atoms,
      KOKKOS_LAMBDA(std::size_t at) { features_bar[at] = 0; });
  const int last = static_cast<int>(layers_.size()) - 1;
  const Rows<Real> s_bar = {features_bar, 4 * C};
  weighted_sum_adjoint<Space>(atoms, inputs_, weights_.data(),
                              last < 0 ? Rows<Real>{} : slope(last),
                              last < 0 ? s_bar : output(last));
  for (int k = last; k >= 0; --k) {
    const Rows<const Real> bar = {output(k).data, output(k).stride};
    if (k > 0)
      dense<Space, Real>(layers_[k].adjoint.view(), atoms, bar, output(k - 1), Epilogue::Multiply,
                         slope(k - 1));
    else
      dense<Space, Real>(layers_[k].adjoint.view(), atoms, bar, s_bar, Epilogue::Store);
  }
}

template <class Real, class Space>
std::size_t ReadOut<Real, Space>::bytes() const {
  std::size_t bytes = 0;
  for (const auto &rows : output_) bytes += rows.bytes();
  for (const auto &rows : slope_) bytes += rows.bytes();
  return bytes;
}

#define MLFF_READ_OUT(Space)            \
  template class ReadOut<float, Space>; \
  template class ReadOut<double, Space>;
MLFF_ON_EACH_SPACE(MLFF_READ_OUT)

}  // namespace mlff::device
