#include "painn.h"

#include <algorithm>
#include <string>

#include "first_layer.h"

namespace mlff {

template <class Real, class Sum>
PaiNN<Real, Sum>::PaiNN(const Potential &potential, const NetworkOptions &options)
    : Base(potential, options, false),
      weights_(layers_),
      kept_(layers_),
      epsilon_(static_cast<Real>(potential.epsilon)),
      elements_(static_cast<int>(Base::element_row_.size())),
      sums_(Base::scratch_.size()) {
  read_first_layer(potential);
  for (int l = 0; l < layers_; ++l) read_layer(potential, l);
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::read_layer(const Potential &potential, int l) {
  const Blocks one = padded_blocks(1, potential.channels),
               two = padded_blocks(2, potential.channels);
  const Blocks three = padded_blocks(3, potential.channels);
  const std::string k = "." + std::to_string(potential.shared_interactions ? 0 : l);
  const int panel = kernels_.panel;
  Layer &layer = weights_[l];
  if (l > 0) {
    layer.phi[0] = {DenseWeights::read(potential, "phi" + k + ".0", one, one, {0}), panel};
    layer.phi[1] = {DenseWeights::read(potential, "phi" + k + ".1", three, one, {0, 1, 2}), panel};
  }
  layer.mix = {DenseWeights::read(potential, "mix" + k, two, one, {0, 1}), panel};
  layer.upd[0] = {DenseWeights::read(potential, "upd" + k + ".0", one, two, {0}), panel};
  // The file has a_s, a_v, a_sv; a_v comes last here because the last layer goes without it.
  const std::vector<int> order = is_last(l) ? std::vector<int>{0, 2} : std::vector<int>{0, 2, 1};
  layer.upd[1] = {DenseWeights::read(potential, "upd" + k + ".1", three, one, order), panel};
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::read_first_layer(const Potential &potential) {
  const FirstLayer first(potential, Base::element_row_, kChannelBlock,
                         padded(potential.number_of_radial_functions + 1));
  embedding_.assign(first.embedding.begin(), first.embedding.end());
  first_scalar_ = {first.scalar, kernels_.panel};
  first_vector_ = {first.vector, kernels_.panel};
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::reserve(int local, int) {
  const std::size_t C = C_, one_block = Base::kBlockRows * Base::scratch_.size();
  for (int l = 0; l < layers_; ++l) {
    const std::size_t rows = is_last(l) ? one_block : local;
    kept_[l].mixed.resize(6 * rows * C);
    kept_[l].n.resize(rows * C);
    kept_[l].hidden_slope.resize(rows * C);
    kept_[l].gates.resize(rows * gates(l) * C);
    if (l == 0) continue;
    kept_[l].phi_slope.resize(local * C);
    kept_[l].xc.resize(local * C);
  }
  for (AlignedArray<Real> &sums : sums_)
    sums.resize(std::size_t(4) * Base::kBlockRows * first_scalar_.forward.view().inputs);
}

template <class Real, class Sum>
typename PaiNN<Real, Sum>::UpdateRows PaiNN<Real, Sum>::update_rows(int l, const Block &block) {
  const std::size_t C = C_, row = is_last(l) ? Base::kBlockRows * block.thread : block.begin;
  Kept &kept = kept_[l];
  return {kept.mixed.data() + 6 * C * row, kept.n.data() + C * row,
          kept.hidden_slope.data() + C * row, kept.gates.data() + gates(l) * C * row};
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::first_message(const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t C = C_, width = first_scalar_.forward.view().inputs;
  Real *scalar = sums_[block.thread].data(), *vector = scalar + block.size * width;
  for (int k = 0; k < block.size; ++k) {
    const int row = block.begin + k;
    kernels_.element_sums(Base::radial_rows(row, scratch), elements_, edges_.count(row),
                          edges_.edge(row), scalar + width * k, vector + 3 * width * k);
    std::copy_n(embedding_.data() + C * edges_.element(row), C, scratch.s.data() + 2 * C * k);
  }
  Base::dense(first_scalar_.forward, block.size, scalar, width, scratch.s.data(), 2 * C_,
              Epilogue::Add);
  Base::dense(first_vector_.forward, 3 * block.size, vector, width, scratch.v.data(), C_,
              Epilogue::Store);
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::first_message_adjoint(const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t width = first_scalar_.forward.view().inputs;
  Real *scalar_bar = sums_[block.thread].data(), *vector_bar = scalar_bar + block.size * width;
  const Real *features_bar = scratch.features_bar.data();
  Base::dense(first_scalar_.adjoint, block.size, features_bar, 4 * C_, scalar_bar, width,
              Epilogue::Store);
  for (int c = 0; c < 3; ++c)
    Base::dense(first_vector_.adjoint, block.size, features_bar + (1 + c) * C_, 4 * C_,
                vector_bar + c * width, 3 * width, Epilogue::Store);
  for (int k = 0; k < block.size; ++k) {
    const int row = block.begin + k;
    kernels_.element_sums_adjoint(Base::radial_rows(row, scratch), elements_, edges_.count(row),
                                  edges_.edge(row), scalar_bar + width * k,
                                  vector_bar + 3 * width * k,
                                  Base::gradient_.data() + edges_.begin(row));
  }
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::update(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const UpdateRows kept = update_rows(l, block);
  const Layer &layer = weights_[l];
  const std::size_t C = C_;
  const int a = gates(l) * C_;
  Real *s = scratch.s.data(), *v = scratch.v.data();
  Base::dense(layer.mix.forward, 3 * block.size, v, C_, kept.mixed, 2 * C_, Epilogue::Store);
  for (int k = 0; k < block.size; ++k) {
    Real *n = kept.n + C * k;
    kernels_.norm(C_, epsilon_, kept.mixed + 6 * C * k, n);
    std::copy_n(n, C, s + 2 * C * k + C);
  }
  Base::dense(layer.upd[0].forward, block.size, s, 2 * C_, scratch.hidden.data(), C_,
              Epilogue::Silu, kept.hidden_slope, C_);
  Base::dense(layer.upd[1].forward, block.size, scratch.hidden.data(), C_, kept.gates, a,
              Epilogue::Store);
  for (int k = 0; k < block.size; ++k)
    kernels_.update(C_, kept.gates + a * k, kept.mixed + 6 * C * k, s + 2 * C * k,
                    is_last(l) ? nullptr : v + 3 * C * k);
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::update_adjoint(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const UpdateRows kept = update_rows(l, block);
  const Layer &layer = weights_[l];
  const std::size_t C = C_;
  const int a = gates(l) * C_;
  const bool vectors = !is_last(l);
  Real *features_bar = scratch.features_bar.data(), *gates_bar = scratch.work.data();
  Real *hidden_bar = scratch.hidden.data(), *s_n_bar = scratch.s.data();
  for (int k = 0; k < block.size; ++k)
    kernels_.update_adjoint_gates(C_, kept.mixed + 6 * C * k, features_bar + 4 * C * k, vectors,
                                  gates_bar + a * k);
  Base::dense(layer.upd[1].adjoint, block.size, gates_bar, a, hidden_bar, C_, Epilogue::Multiply,
              kept.hidden_slope, C_);
  Base::dense(layer.upd[0].adjoint, block.size, hidden_bar, C_, s_n_bar, 2 * C_, Epilogue::Store);
  Real *mixed_bar = scratch.work.data();
  for (int k = 0; k < block.size; ++k) {
    Real *s_bar = features_bar + 4 * C * k;
    kernels_.update_adjoint_mix(C_, kept.gates + a * k, kept.mixed + 6 * C * k, kept.n + C * k,
                                s_n_bar + 2 * C * k + C, s_bar, vectors, mixed_bar + 6 * C * k);
    for (int f = 0; f < C_; ++f) s_bar[f] += s_n_bar[2 * C * k + f];
  }
  for (int c = 0; c < 3; ++c)
    Base::dense(layer.mix.adjoint, block.size, mixed_bar + 2 * c * C_, 6 * C_,
                features_bar + (1 + c) * C_, 4 * C_, Epilogue::Add);
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::make_senders(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t C = C_;
  Real *x = scratch.work.data();
  Base::dense(weights_[l].phi[0].forward, block.size, scratch.s.data(), 2 * C_,
              scratch.hidden.data(), C_, Epilogue::Silu,
              kept_[l].phi_slope.data() + C * block.begin, C_);
  Base::dense(weights_[l].phi[1].forward, block.size, scratch.hidden.data(), C_, x, 3 * C_,
              Epilogue::Store);
  for (int k = 0; k < block.size; ++k) {
    const std::size_t row = block.begin + k;
    kernels_.make_sender(C_, x + 3 * C * k, scratch.v.data() + 3 * C * k,
                         Base::senders_[l].data() + 5 * C * row);
    std::copy_n(x + 3 * C * k + 2 * C, C, kept_[l].xc.data() + C * row);
  }
}

template <class Real, class Sum>
void PaiNN<Real, Sum>::make_senders_adjoint(int l, const Block &block) {
  Scratch &scratch = Base::scratch_[block.thread];
  const std::size_t C = C_;
  Real *features_bar = scratch.features_bar.data(), *x_bar = scratch.work.data();
  const Real *sender_bar = scratch.sender_bar.data();
  for (int k = 0; k < block.size; ++k) {
    const std::size_t row = block.begin + k;
    kernels_.make_sender_adjoint(C_, kept_[l].xc.data() + C * row,
                                 Base::vectors_[l].data() + 3 * C * row, sender_bar + 5 * C * k,
                                 x_bar + 3 * C * k, features_bar + 4 * C * k + C);
  }
  Base::dense(weights_[l].phi[1].adjoint, block.size, x_bar, 3 * C_, scratch.hidden.data(), C_,
              Epilogue::Multiply, kept_[l].phi_slope.data() + C * block.begin, C_);
  Base::dense(weights_[l].phi[0].adjoint, block.size, scratch.hidden.data(), C_, features_bar,
              4 * C_, Epilogue::Add);
}

template <class Real, class Sum>
std::size_t PaiNN<Real, Sum>::own_bytes() const {
  std::size_t bytes = 0;
  for (const Kept &kept : kept_)
    bytes += kept.mixed.bytes() + kept.n.bytes() + kept.hidden_slope.bytes() + kept.gates.bytes() +
             kept.phi_slope.bytes() + kept.xc.bytes();
  for (const AlignedArray<Real> &sums : sums_) bytes += sums.bytes();
  return bytes;
}

template class PaiNN<float, float>;
template class PaiNN<float, double>;
template class PaiNN<double, double>;

}  // namespace mlff
