#include "distiller.h"

#include <algorithm>
#include <string>

#include "first_layer.h"

namespace mlff {

namespace {

/// sender [5C]~ = (s, 1, v) from s [C] and v [3, C]; null: v = 0.
template <class Real>
void make_sender(int C, const Real *s, const Real *v, Real *sender) {
  for (int f = 0; f < C; ++f) {
    Real *to = sender + interleaved<5>(f);
    to[0] = s[f];
    to[kChannelBlock] = 1;
    for (int c = 0; c < 3; ++c) to[(2 + c) * kChannelBlock] = v ? v[c * C + f] : Real(0);
  }
}

}  // namespace

template <class Real, class Sum>
MlffDistiller<Real, Sum>::MlffDistiller(const Potential &potential, const NetworkOptions &options)
    : Base(potential, options, true), weights_(layers_), kept_(layers_) {
  Base::softening_ =
      1e-8 / potential.length_in_angstrom;  // the published code guards against r = 0 so
  const int F = potential.channels, panel = kernels_.panel;
  const Blocks one = padded_blocks(1, F), two = padded_blocks(2, F), three = padded_blocks(3, F);
  for (int l = 0; l < layers_; ++l) {
    const std::string upd = "upd." + std::to_string(l);
    weights_[l].upd[0] = {DenseWeights::read(potential, upd + ".0", one, two, {0}), panel};
    weights_[l].upd[1] = {DenseWeights::read(potential, upd + ".1", three, one, {0, 1, 2}), panel};
    const Tensor &mixing = potential.tensor("mixing." + std::to_string(l));
    for (int k = 0; k < 9; ++k) weights_[l].mixing[k] = static_cast<Real>(mixing.values[k]);
  }
  const std::vector<double> rows = embedding_rows(potential, Base::element_row_);
  embedding_.assign(rows.begin(), rows.end());
}

template <class Real, class Sum>
void MlffDistiller<Real, Sum>::reserve(int local, int rows) {
  const std::size_t C = C_;
  for (Kept &kept : kept_) {
    kept.v.resize(3 * C * local);
    kept.n.resize(C * local);
    kept.hidden_slope.resize(C * local);
    kept.gates.resize(3 * C * local);
  }
  // The first layer's senders follow from the elements alone, also for other processes' atoms.
  Base::senders_[0].resize(5 * C * rows);
  for (int row = 0; row < rows; ++row) {
    Real *sender = Base::senders_[0].data() + 5 * C * row;
    make_sender(C_, embedding_.data() + C * edges_.element(row), static_cast<const Real *>(nullptr),
                sender);
  }
}

template <class Real, class Sum>
void MlffDistiller<Real, Sum>::first_message(const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t C = C_;
  std::fill_n(scratch.v.data(), 3 * C * block.size, Real(0));
  for (int k = 0; k < block.size; ++k) {
    const int row = block.begin + k;
    Real *s = scratch.s.data() + 2 * C * k;
    std::copy_n(embedding_.data() + C * edges_.element(row), C, s);
    kernels_.message(C_, Base::filter_rows(0, row, Base::Direction::Forward, scratch),
                     edges_.count(row), edges_.edge(row), Base::senders_[0].data(), s,
                     scratch.v.data() + 3 * C * k);
  }
}

template <class Real, class Sum>
void MlffDistiller<Real, Sum>::update(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const Layer &layer = weights_[l];
  const std::size_t C = C_, begin = block.begin;
  Real *s = scratch.s.data(), *v = scratch.v.data();
  Real *n = kept_[l].n.data() + C * begin, *gates = kept_[l].gates.data() + 3 * C * begin;
  std::copy_n(v, 3 * C * block.size, kept_[l].v.data() + 3 * C * begin);
  for (int k = 0; k < block.size; ++k) {
    kernels_.distiller_norm(C_, v + 3 * C * k, n + C * k);
    std::copy_n(n + C * k, C, s + 2 * C * k + C);
  }
  Base::dense(layer.upd[0].forward, block.size, s, 2 * C_, scratch.hidden.data(), C_,
              Epilogue::Silu, kept_[l].hidden_slope.data() + C * begin, C_);
  Base::dense(layer.upd[1].forward, block.size, scratch.hidden.data(), C_, gates, 3 * C_,
              Epilogue::Store);
  for (int k = 0; k < block.size; ++k)
    kernels_.distiller_update(C_, gates + 3 * C * k, layer.mixing, s + 2 * C * k, v + 3 * C * k);
}

template <class Real, class Sum>
void MlffDistiller<Real, Sum>::update_adjoint(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const Layer &layer = weights_[l];
  const std::size_t C = C_, begin = block.begin;
  const Real *v = kept_[l].v.data() + 3 * C * begin, *n = kept_[l].n.data() + C * begin;
  const Real *gates = kept_[l].gates.data() + 3 * C * begin;
  Real *features_bar = scratch.features_bar.data(), *gates_bar = scratch.work.data();
  Real *hidden_bar = scratch.hidden.data(), *s_n_bar = scratch.s.data();
  for (int k = 0; k < block.size; ++k)
    kernels_.distiller_update_adjoint_gates(C_, layer.mixing, v + 3 * C * k,
                                            features_bar + 4 * C * k, gates_bar + 3 * C * k);
  Base::dense(layer.upd[1].adjoint, block.size, gates_bar, 3 * C_, hidden_bar, C_,
              Epilogue::Multiply, kept_[l].hidden_slope.data() + C * begin, C_);
  Base::dense(layer.upd[0].adjoint, block.size, hidden_bar, C_, s_n_bar, 2 * C_, Epilogue::Store);
  for (int k = 0; k < block.size; ++k) {
    Real *s_bar = features_bar + 4 * C * k;
    for (int f = 0; f < C_; ++f) s_bar[f] += s_n_bar[2 * C * k + f];
    kernels_.distiller_update_adjoint_vectors(C_, gates + 3 * C * k, layer.mixing, v + 3 * C * k,
                                              n + C * k, s_n_bar + 2 * C * k + C, s_bar + C);
  }
}

template <class Real, class Sum>
void MlffDistiller<Real, Sum>::make_senders(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t C = C_;
  for (int k = 0; k < block.size; ++k) {
    Real *sender = Base::senders_[l].data() + 5 * C * (block.begin + k);
    make_sender(C_, scratch.s.data() + 2 * C * k, scratch.v.data() + 3 * C * k, sender);
  }
}

template <class Real, class Sum>
void MlffDistiller<Real, Sum>::make_senders_adjoint(int, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t C = C_;
  for (int k = 0; k < block.size; ++k) {
    const Real *sender_bar = scratch.sender_bar.data() + 5 * C * k;
    Real *features_bar = scratch.features_bar.data() + 4 * C * k;
    for (int f = 0; f < C_; ++f) {
      const Real *bar = sender_bar + interleaved<5>(f);
      features_bar[f] += bar[0];
      for (int c = 0; c < 3; ++c) features_bar[(1 + c) * C + f] += bar[(2 + c) * kChannelBlock];
    }
  }
}

template <class Real, class Sum>
std::size_t MlffDistiller<Real, Sum>::own_bytes() const {
  std::size_t bytes = 0;
  for (const Kept &kept : kept_)
    bytes += kept.v.bytes() + kept.n.bytes() + kept.hidden_slope.bytes() + kept.gates.bytes();
  return bytes;
}

template class MlffDistiller<float, float>;
template class MlffDistiller<float, double>;
template class MlffDistiller<double, double>;

}  // namespace mlff
