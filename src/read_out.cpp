#include "read_out.h"

#include <algorithm>
#include <string>

namespace mlff {

template <class Real>
ReadOut<Real>::ReadOut(const Potential &potential, const Kernels<Real> &kernels) : offset_{0} {
  Blocks inputs = padded_blocks(1, potential.channels);
  for (int k = 0;; ++k) {
    const std::string name = "out." + std::to_string(k);
    const auto weight = potential.tensors.find(name + ".weight");
    if (weight == potential.tensors.end()) return;
    const Blocks outputs = padded_blocks(1, static_cast<int>(weight->second.shape[0]));
    layers_.emplace_back(DenseWeights::read(potential, name, outputs, inputs, {0}), kernels.panel);
    offset_.push_back(offset_.back() + 2 * outputs.total());
    inputs = outputs;
  }
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
void ReadOut<Real>::forward(const Kernels<Real> &kernels, int atoms, Matrix<const Real> s, Real *scratch,
                            double *energies) const {
  for (int k = 0; k <= last(); ++k) {
    const Matrix<Real> y = output(k, atoms, scratch);
    kernels.dense(layers_[k].forward.view(), atoms, s, y, k < last() ? Epilogue::Silu : Epilogue::Store,
                  slope(k, atoms, scratch));
    s = {y.data, y.stride};
  }
  for (int i = 0; i < atoms; ++i) energies[i] = s.data[std::size_t(i) * s.stride];
}

template <class Real>
void ReadOut<Real>::adjoint(const Kernels<Real> &kernels, int atoms, Real *scratch,
                            Matrix<Real> s_bar) const {
  Matrix<Real> y_bar = output(last(), atoms, scratch);
  std::fill_n(y_bar.data, std::size_t(atoms) * y_bar.stride, Real(0));
  for (int i = 0; i < atoms; ++i) y_bar.data[std::size_t(i) * y_bar.stride] = 1;  // dE/dE
  for (int k = last(); k > 0; --k) {
    const Matrix<Real> x_bar = output(k - 1, atoms, scratch);
    kernels.dense(layers_[k].adjoint.view(), atoms, {y_bar.data, y_bar.stride}, x_bar,
                  Epilogue::Multiply, slope(k - 1, atoms, scratch));
    y_bar = x_bar;
  }
  kernels.dense(layers_[0].adjoint.view(), atoms, {y_bar.data, y_bar.stride}, s_bar, Epilogue::Store, {});
}

template class ReadOut<float>;
template class ReadOut<double>;

}  // namespace mlff
