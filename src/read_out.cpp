#include "read_out.h"

#include <numeric>
#include <string>

namespace mlff {

ReadOutWeights ReadOutWeights::read(const Potential &potential, int multiple) {
  ReadOutWeights out;
  Blocks inputs = padded_blocks(1, potential.channels, multiple);
  const auto has = [&](int k) {
    return potential.tensors.count("out." + std::to_string(k) + ".weight") > 0;
  };
  for (int k = 0;; ++k) {
    const std::string name = "out." + std::to_string(k);
    if (!has(k + 1)) {
      const DenseWeights last = DenseWeights::read(potential, name, {1, 1, 1}, inputs, {0});
      out.weights = last.weights;
      out.bias = last.bias[0];
      return out;
    }
    const int width = static_cast<int>(potential.tensor(name + ".weight").shape[0]);
    const Blocks outputs = padded_blocks(1, width, multiple);
    out.layers.push_back(DenseWeights::read(potential, name, outputs, inputs, {0}));
    inputs = outputs;
  }
}

template <class Real>
ReadOut<Real>::ReadOut(const Potential &potential, const Kernels<Real> &kernels) : offset_{0} {
  const ReadOutWeights read = ReadOutWeights::read(potential);
  for (const DenseWeights &layer : read.layers) {
    layers_.emplace_back(layer, kernels.panel);
    offset_.push_back(offset_.back() + 2 * layer.outputs);
  }
  weights_ = read.weights;
  bias_ = read.bias;
}

template <class Real>
std::size_t ReadOut<Real>::scratch_size(int atoms) const {
  return std::size_t(atoms) * offset_.back();
}

template <class Real>
Matrix<Real> ReadOut<Real>::output(int k, int atoms, Real *scratch) const {
  return {scratch + std::size_t(atoms) * offset_[k], layers_[k].forward.view().outputs};
}

template <class Real>
Matrix<Real> ReadOut<Real>::slope(int k, int atoms, Real *scratch) const {
  const Matrix<Real> y = output(k, atoms, scratch);
  return {y.data + std::size_t(atoms) * y.stride, y.stride};
}

template <class Real>
void ReadOut<Real>::forward(const Kernels<Real> &kernels, int atoms, Matrix<const Real> s,
                            Real *scratch, double *energies) const {
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    const Matrix<Real> y = output(k, atoms, scratch);
    kernels.dense(layers_[k].forward.view(), atoms, s, y, Epilogue::Silu, slope(k, atoms, scratch));
    s = {y.data, y.stride};
  }
  for (int i = 0; i < atoms; ++i) {
    const Real *x = s.data + std::size_t(i) * s.stride;
    energies[i] = std::inner_product(weights_.begin(), weights_.end(), x, bias_);
  }
}

template <class Real>
void ReadOut<Real>::adjoint(const Kernels<Real> &kernels, int atoms, Real *scratch,
                            Matrix<Real> s_bar) const {
  const int last = static_cast<int>(layers_.size()) - 1;
  Matrix<Real> bar = last < 0 ? s_bar : output(last, atoms, scratch);
  for (int i = 0; i < atoms; ++i)
    for (std::size_t f = 0; f < weights_.size(); ++f) {
      Real &to = bar.data[std::size_t(i) * bar.stride + f];
      to = static_cast<Real>(weights_[f]);
      if (last >= 0) to *= slope(last, atoms, scratch).data[std::size_t(i) * bar.stride + f];
    }
  for (int k = last; k >= 0; --k) {
    const Matrix<Real> x_bar = k > 0 ? output(k - 1, atoms, scratch) : s_bar;
    kernels.dense(layers_[k].adjoint.view(), atoms, {bar.data, bar.stride}, x_bar,
                  k > 0 ? Epilogue::Multiply : Epilogue::Store,
                  k > 0 ? slope(k - 1, atoms, scratch) : Matrix<Real>{});
    bar = x_bar;
  }
}

template class ReadOut<float>;
template class ReadOut<double>;

}  // namespace mlff
