#include "message_passing.h"

#include <algorithm>
#include <cmath>

#include "first_layer.h"

namespace mlff {

namespace {

/// Rows [4C] to [4C]~, or back.
template <class Real>
void interleave(int rows, int C, const Real *from, Real *to) {
  for (int row = 0; row < rows; ++row, from += 4 * C, to += 4 * C)
    for (int c = 0; c < 4; ++c)
      for (int at = 0; at < C; at += kChannelBlock)
        std::copy_n(from + c * C + at, kChannelBlock, to + interleaved<4>(at) + c * kChannelBlock);
}

template <class Real>
void deinterleave(int rows, int C, const Real *from, Real *to) {
  for (int row = 0; row < rows; ++row, from += 4 * C, to += 4 * C)
    for (int c = 0; c < 4; ++c)
      for (int at = 0; at < C; at += kChannelBlock)
        std::copy_n(from + interleaved<4>(at) + c * kChannelBlock, kChannelBlock, to + c * C + at);
}

}  // namespace

template <class Real, class Sum>
MessagePassing<Real, Sum>::MessagePassing(const Potential &potential, const NetworkOptions &options,
                                          bool gathers_first_layer)
    : kernels_(kernels<Real>(options.isa)),
      C_(padded(potential.channels)),
      layers_(potential.layers),
      exact_(options.filters == Filters::Exact),
      gathers_first_layer_(gathers_first_layer),
      element_row_(element_rows(potential, options)),
      senders_(layers_),
      vectors_(layers_),
      cutoff_(potential.cutoff),
      energy_scale_(potential.energy_in_eV / options.energy_unit_in_eV),
      length_scale_(options.length_unit_in_angstrom / potential.length_in_angstrom),
      threads_(std::max(1, options.threads)),
      out_(potential, kernels_),
      radial_(potential) {
  scratch_.resize(threads_);
  for (const int row : element_row_)
    atomic_energies_.push_back(potential.tensor("atomic_energies").values[row]);
  if (exact_) {
    for (int l = first_gathered(); l < layers_; ++l)
      exact_filters_.emplace_back(potential, l, kernels_);
    return;
  }
  grid_ = spline_grid(potential);
  if (!gathers_first_layer) radial_table_ = radial_table<Real>(potential, grid_);
  for (int l = first_gathered(); l < layers_; ++l)
    tables_.push_back(filter_table<Real>(potential, l, grid_));
}

template <class Real, class Sum>
FilterRows<Real> MessagePassing<Real, Sum>::radial_rows(int row, Scratch &scratch) const {
  if (!exact_) return radial_table_.rows();
  const int edges = edges_.count(row), stride = radial_.stride();
  scratch.radial.resize(std::size_t(2) * edges_.largest_count() * stride);
  FilterRows<Real> rows;
  Real *values = scratch.radial.data(), *derivatives = values + std::size_t(edges) * stride;
  kernels_.radial_functions(radial_.basis(), edges, edges_.edge(row), stride, values, derivatives);
  rows.values = values;
  rows.derivatives = derivatives;
  rows.stride = stride;
  return rows;
}

template <class Real, class Sum>
FilterRows<Real> MessagePassing<Real, Sum>::filter_rows(int l, int row, Direction direction,
                                                        Scratch &scratch) const {
  if (!exact_) return tables_[l - first_gathered()].rows();
  const ExactFilter<Real> &filter = exact_filters_[l - first_gathered()];
  const FilterRows<Real> radial = radial_rows(row, scratch);
  const int edges = edges_.count(row), most = edges_.largest_count();
  scratch.filter.resize(std::size_t(2) * most * filter.stride() + filter.scratch_size(most));
  FilterRows<Real> rows;
  Real *values = scratch.filter.data();
  Real *slopes = values + std::size_t(edges) * filter.stride();
  Real *hidden = slopes + std::size_t(edges) * filter.stride();
  filter.evaluate(kernels_, edges, radial.values, radial.derivatives, hidden, values,
                  direction == Direction::Backward ? slopes : nullptr);
  rows.values = values;
  rows.derivatives = slopes;
  rows.stride = filter.stride();
  return rows;
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::prepare(const Atoms &atoms, const NeighbourList &list) {
  edges_.build(atoms, list, cutoff_, length_scale_, softening_, grid_);
  const int local = edges_.local_rows(), rows = edges_.rows();
  // Small systems share their atoms among the threads; a full block has the dense layers' best
  // size.
  block_rows_ = std::clamp((local + threads_ - 1) / threads_, 1, kBlockRows);
  for (Scratch &scratch : scratch_) {
    const std::size_t B = block_rows_;
    scratch.s.resize(2 * B * C_);
    scratch.v.resize(3 * B * C_);
    scratch.features_bar.resize(4 * B * C_);
    scratch.sender_bar.resize(5 * B * C_);
    scratch.hidden.resize(B * C_);
    scratch.read_out.resize(out_.scratch_size(block_rows_));
    scratch.work.resize(6 * B * C_);
  }
  s_.resize(std::size_t(local) * C_);
  for (int l = 1; l < layers_; ++l) {
    senders_[l].resize(std::size_t(5) * rows * C_);
    vectors_[l].resize(std::size_t(3) * local * C_);
  }
  const int buffers = layers_ > 2 || (layers_ > 1 && gathers_first_layer_) ? 2 : 1;
  for (int k = 0; k < buffers; ++k)
    if (layers_ > 1 || gathers_first_layer_) features_bar_[k].resize(std::size_t(4) * rows * C_);
  energy_.resize(local);
  force_.resize(local);
  gradient_.resize(edges_.size());
  std::fill_n(gradient_.data(), edges_.size(), EdgeGradient<Real>{});
  reserve(local, rows);
}

template <class Real, class Sum>
template <class Pass>
void MessagePassing<Real, Sum>::each_block(Pass pass) {
  const int local = edges_.local_rows(), blocks = (local + block_rows_ - 1) / block_rows_;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads_) if (threads_ > 1)
  for (int b = 0; b < blocks; ++b) {
    const int begin = b * block_rows_;
    pass(Block{begin, std::min(block_rows_, local - begin), thread_number()});
  }
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::exchange(Halo *halo, AlignedArray<Real> &rows, int width) {
  if (halo) halo->exchange(rows.data(), width * sizeof(Real), edges_.row_of_atom().data());
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::message(int l, const Block &block) {
  Scratch &scratch = scratch_[block.thread];
  const std::size_t C = C_;
  for (int k = 0; k < block.size; ++k) {
    const int row = block.begin + k;
    Real *s = scratch.s.data() + 2 * C * k, *v = scratch.v.data() + 3 * C * k;
    std::copy_n(s_.data() + C * row, C, s);
    std::copy_n(vectors_[l].data() + 3 * C * row, 3 * C, v);
    kernels_.message(C_, filter_rows(l, row, Direction::Forward, scratch), edges_.count(row),
                     edges_.edge(row), senders_[l].data(), s, v);
  }
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::message_adjoint(int l, const Block &block) {
  Scratch &scratch = scratch_[block.thread];
  const std::size_t C = C_;
  const Real *features_bar = features_bar_[reading_].data();
  for (int k = 0; k < block.size; ++k) {
    const int row = block.begin + k;
    kernels_.message_adjoint(C_, filter_rows(l, row, Direction::Backward, scratch),
                             edges_.count(row), edges_.edge(row), senders_[l].data() + 5 * C * row,
                             features_bar, scratch.sender_bar.data() + 5 * C * k,
                             gradient_.data() + edges_.begin(row));
  }
  deinterleave(block.size, C_, features_bar + 4 * C * block.begin, scratch.features_bar.data());
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::keep_state(int l, const Block &block) {
  const Scratch &scratch = scratch_[block.thread];
  const std::size_t C = C_;
  for (int k = 0; k < block.size; ++k)
    std::copy_n(scratch.s.data() + 2 * C * k, C, s_.data() + C * (block.begin + k));
  std::copy_n(scratch.v.data(), 3 * C * block.size, vectors_[l].data() + 3 * C * block.begin);
}

/// E_i = out(s_i) + E0 and, going back at once, s_bar; v does not reach the energy any more.
template <class Real, class Sum>
void MessagePassing<Real, Sum>::read_out(const Block &block) {
  Scratch &scratch = scratch_[block.thread];
  const std::size_t width = std::size_t(4) * C_;
  Real *rows = scratch.read_out.data(), *features_bar = scratch.features_bar.data();
  double *energy = energy_.data() + block.begin;
  out_.forward(kernels_, block.size, {scratch.s.data(), 2 * C_}, rows, energy);
  for (int k = 0; k < block.size; ++k)
    energy[k] += atomic_energies_[edges_.element(block.begin + k)];
  std::fill_n(features_bar, width * block.size, Real(0));
  out_.adjoint(kernels_, block.size, rows, {features_bar, 4 * C_});
}

/// Layer l's features_bar are in scratch: on to its message's adjoint, here or after an exchange.
template <class Real, class Sum>
void MessagePassing<Real, Sum>::leave_layer(int l, const Block &block) {
  update_adjoint(l, block);
  if (l == 0 && !gathers_first_layer_) return first_message_adjoint(block);
  const std::size_t width = std::size_t(4) * C_;
  interleave(block.size, C_, scratch_[block.thread].features_bar.data(),
             features_bar_[1 - reading_].data() + width * block.begin);
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::forward(Halo *halo) {
  reading_ = 1;  // the last layer writes buffer 0
  for (int l = 0; l < layers_; ++l) {
    if (l > 0) exchange(halo, senders_[l], 5 * C_);
    each_block([&](const Block &block) {
      if (l == 0)
        first_message(block);
      else
        message(l, block);
      update(l, block);
      if (l + 1 == layers_) {
        read_out(block);
        leave_layer(l, block);
      } else {
        keep_state(l + 1, block);
        make_senders(l + 1, block);
      }
    });
  }
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::backward(Halo *halo) {
  for (int l = layers_ - 1; l >= first_gathered(); --l) {
    reading_ = 1 - reading_;
    exchange(halo, features_bar_[reading_], 4 * C_);
    each_block([&](const Block &block) {
      message_adjoint(l, block);
      if (l == 0) return;
      make_senders_adjoint(l, block);
      leave_layer(l - 1, block);
    });
  }
}

/// (dE/dr, dE/du) of each edge becomes dE/d(vector).
template <class Real, class Sum>
void MessagePassing<Real, Sum>::finish_gradients() {
  const Real softening = static_cast<Real>(softening_);
  each_block([&](const Block &block) {
    for (int row = block.begin; row < block.begin + block.size; ++row) {
      const Edge<Real> *edge = edges_.edge(row);
      EdgeGradient<Real> *gradient = gradient_.data() + edges_.begin(row);
      for (int k = 0; k < edges_.count(row); ++k)
        vector_adjoint(edge[k].u, edge[k].r, softening, gradient[k].r, gradient[k].u);
    }
  });
}

/// F_i = sum over its edges of dE/d(vector), minus that of the reverse edges. Ghosts' parts come
/// later.
template <class Real, class Sum>
void MessagePassing<Real, Sum>::sum_forces() {
  each_block([&](const Block &block) {
    for (int row = block.begin; row < block.begin + block.size; ++row) {
      Force f = {};
      for (int e = edges_.begin(row); e < edges_.begin(row) + edges_.count(row); ++e) {
        const int back = edges_.reverse(e);
        for (int c = 0; c < 3; ++c) {
          f.x[c] += gradient_[e].u[c];
          if (back >= 0) f.x[c] -= gradient_[back].u[c];
        }
      }
      force_[row] = f;
    }
  });
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::check_finite() const {
  for (int row = 0; row < edges_.local_rows(); ++row) {
    const Force &f = force_[row];
    if (std::isfinite(energy_[row]) && std::isfinite(f.x[0] + f.x[1] + f.x[2])) continue;
    throw NonFiniteError("the energy or force of an atom is not a number", edges_.atom(row));
  }
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::add_results(Results &results) const {
  const double force_scale = energy_scale_ * length_scale_;
  double total = 0;
  for (int row = 0; row < edges_.local_rows(); ++row) {
    const int atom = edges_.atom(row);
    total += energy_[row];
    if (results.atomic_energies) results.atomic_energies[atom] += energy_scale_ * energy_[row];
    if (!results.forces) continue;
    for (int c = 0; c < 3; ++c) results.forces[atom][c] += force_scale * force_[row].x[c];
  }
  results.energy = energy_scale_ * total;
  add_ghosts(results);
  if (results.want_virial || results.atomic_virial) add_virials(results);
}

/// What edges to other processes' atoms give to those.
template <class Real, class Sum>
void MessagePassing<Real, Sum>::add_ghosts(Results &results) const {
  if (!results.forces || edges_.rows() == edges_.local_rows()) return;
  const double force_scale = energy_scale_ * length_scale_;
  for (int row = 0; row < edges_.local_rows(); ++row)
    for (int e = 0; e < edges_.count(row); ++e) {
      const int at = edges_.begin(row) + e;
      if (edges_.reverse(at) >= 0) continue;
      double *f = results.forces[edges_.atom(edges_.edge(row)[e].neighbour)];
      for (int c = 0; c < 3; ++c) f[c] -= force_scale * gradient_[at].u[c];
    }
}

/// Each edge's -r (x) dE/dr, half of it to either end for the atomic virials.
template <class Real, class Sum>
void MessagePassing<Real, Sum>::add_virials(Results &results) const {
  constexpr int first[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, second[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
  Sum total[6] = {};
  for (int row = 0; row < edges_.local_rows(); ++row)
    for (int e = 0; e < edges_.count(row); ++e) {
      const Edge<Real> &edge = edges_.edge(row)[e];
      const Real *g = gradient_[edges_.begin(row) + e].u;
      Sum w[9];
      const Sum length = edge.r + static_cast<Real>(softening_);
      for (int k = 0; k < 9; ++k) w[k] = -length * edge.u[first[k]] * g[second[k]];
      for (int k = 0; k < 6; ++k) total[k] += w[k];
      if (!results.atomic_virial) continue;
      double *here = results.atomic_virial[edges_.atom(row)];
      double *there = results.atomic_virial[edges_.atom(edge.neighbour)];
      for (int k = 0; k < 9; ++k) {
        here[k] += 0.5 * energy_scale_ * w[k];
        there[k] += 0.5 * energy_scale_ * w[k];
      }
    }
  for (int k = 0; k < 6; ++k) results.virial[k] = energy_scale_ * total[k];
}

template <class Real, class Sum>
void MessagePassing<Real, Sum>::compute(const Atoms &atoms, const NeighbourList &list, Halo *halo,
                                        Results &results) {
  prepare(atoms, list);
  forward(halo);
  backward(halo);
  finish_gradients();
  sum_forces();
  check_finite();
  add_results(results);
}

template <class Real, class Sum>
std::size_t MessagePassing<Real, Sum>::workspace_bytes() const {
  std::size_t bytes = edges_.bytes() + s_.bytes() + gradient_.bytes() + force_.bytes() +
                      own_bytes() + energy_.capacity() * sizeof(double);
  for (const AlignedArray<Real> &rows : features_bar_) bytes += rows.bytes();
  for (const AlignedArray<Real> &rows : senders_) bytes += rows.bytes();
  for (const AlignedArray<Real> &rows : vectors_) bytes += rows.bytes();
  for (const Scratch &scratch : scratch_)
    bytes += scratch.s.bytes() + scratch.v.bytes() + scratch.features_bar.bytes() +
             scratch.sender_bar.bytes() + scratch.hidden.bytes() + scratch.read_out.bytes() +
             scratch.work.bytes() + scratch.radial.bytes() + scratch.filter.bytes();
  return bytes;
}

template class MessagePassing<float, float>;
template class MessagePassing<float, double>;
template class MessagePassing<double, double>;

}  // namespace mlff
