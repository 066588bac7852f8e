#include "device_message_passing.h"

#include "cuda/message.h"
#include "first_layer.h"
#include "forces.h"
#include "instantiate.h"
#include "messages.h"
#if defined(MLFF_CUDA)
#include "cuda/sum_forces.cuh"
#endif

namespace mlff::device {

namespace {

/// Whether there are kernels written for CUDA.
template <class Real, class Space>
constexpr bool has_cuda() {
#if defined(MLFF_CUDA)
  return std::is_same_v<Space, Kokkos::Cuda> && std::is_same_v<Real, float>;
#else
  return false;
#endif
}

}  // namespace

template <class Real, class Sum, class Space>
MessagePassing<Real, Sum, Space>::MessagePassing(const Potential &potential,
                                                 const NetworkOptions &options,
                                                 DeviceKernels kernels, bool gathers_first_layer)
    : C_(padded(potential.channels, kChannelPadding)),
      layers_(potential.layers),
      gathers_first_layer_(gathers_first_layer),
      radial_columns_(radial_columns(potential)),
      element_row_(element_rows(potential, options)),
      exact_(options.filters == Filters::Exact),
      cuda_(has_cuda<Real, Space>() && kernels == DeviceKernels::Best),
      cutoff_(potential.cutoff),
      energy_scale_(potential.energy_in_eV / options.energy_unit_in_eV),
      length_scale_(options.length_unit_in_angstrom / potential.length_in_angstrom),
      // The published code of the mlff-distiller guards against r = 0 so.
      softening_(potential.architecture == Architecture::MlffDistiller
                     ? 1e-8 / potential.length_in_angstrom
                     : 0.0),
      state_(layers_),
      senders_(layers_) {
  embedding_.assign(embedding_rows(potential, element_row_, kChannelPadding));
  std::vector<double> atomic_energies;
  for (const int row : element_row_)
    atomic_energies.push_back(potential.tensor("atomic_energies").values[row]);
  atomic_energies_.assign(atomic_energies);
  typename EdgeList<Real, Space>::Options edges{cutoff_, length_scale_, softening_, 1.0, 0, exact_};
  if (exact_) {
    exact_filters_ = ExactFilters<Real, Space>(potential, first_gathered());
  } else {
    grid_ = spline_grid(potential);
    edges.spacing = grid_.spacing;
    edges.intervals = grid_.intervals;
    if (!gathers_first_layer_)
      radial_table_ = device_radial_table<Real, Space>(potential, radial_columns_, grid_);
    for (int l = first_gathered(); l < layers_; ++l)
      tables_.push_back(device_filter_table<Real, Space>(potential, l, grid_));
  }
  edges_ = EdgeList<Real, Space>(edges);
}

template <class Real, class Sum, class Space>
Geometry<Real> MessagePassing<Real, Sum, Space>::geometry() const {
  return {static_cast<Real>(edges_.options().spacing), static_cast<Real>(softening_)};
}

template <class Real, class Sum, class Space>
AtomEnergy MessagePassing<Real, Sum, Space>::energies() const {
  return {energy_.data(), atomic_energies_.data(), edges_.view().element, energy_scale_};
}

/// Ranges of atoms whose rows, and candidates where filters are exact, there is room for at a time.
template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::cut_into_ranges() {
  const int local = edges_.local_rows();
  ranges_.clear();
  if (!exact_) {
    for (int begin = 0; begin < local; begin += kRangeRows)
      ranges_.push_back({begin, std::min(kRangeRows, local - begin)});
    return;
  }
  const std::vector<int> &candidates = edges_.candidate_counts();
  std::vector<int> rows = {0};
  for (int begin = 0, end = 0; begin < local; begin = end) {
    int sum = candidates[end];
    do {
      ++end;
    } while (end < local && end - begin < kRangeRows &&
             (sum += candidates[end]) <= kRangeCandidates);
    ranges_.push_back({begin, end - begin});
    rows.push_back(end);
  }
  range_rows_.assign(rows);
}

/// Brings a number for each range to the host, and waits for it.
template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::count_edges_of_ranges() {
  range_edges_ = edges_.offsets(range_rows_, static_cast<int>(ranges_.size()) + 1);
}

template <class Real, class Sum, class Space>
int MessagePassing<Real, Sum, Space>::edges_of(Range range) const {
  const auto before = [](const Range &r, int row) { return r.begin < row; };
  const auto r = std::lower_bound(ranges_.begin(), ranges_.end(), range.begin, before);
  const std::size_t k = r - ranges_.begin();
  return range_edges_[k + 1] - range_edges_[k];
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::make_room(const DeviceAtoms &atoms,
                                                 const DeviceNeighbourList &list) {
  edges_.make_room(atoms, list);
  if (atoms.changed) cut_into_ranges();
  if (exact_) count_edges_of_ranges();
  const int local = edges_.local_rows(), rows = edges_.rows();
  std::size_t range = 0;
  for (const Range &r : ranges_) range = std::max(range, std::size_t(r.size));
  features_.reserve(4 * C_ * range);
  sender_bar_.reserve(5 * C_ * range);
  for (int l = first_gathered(); l < layers_; ++l) {
    state_[l].reserve(std::size_t(4) * C_ * local);
    senders_[l].reserve(std::size_t(5) * C_ * rows);
  }
  for (Array<Real, Space> &bar : features_bar_) bar.reserve(std::size_t(4) * C_ * rows);
  energy_.reserve(local);
  gradient_.reserve(gradient_slices() * gradient_stride());
  reserve(local, static_cast<int>(range));
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::exchange(DeviceHalo *halo, Real *rows, int width) {
  if (!halo) return;
  // Trouble of this process is told before others get its rows and take it for their own. The halo
  // waits for the rows anyway.
  Space().fence("mlff::exchange");
  trouble_.check();
  halo->exchange(rows, width * sizeof(Real), edges_.row_of_atom());
}

template <class Real, class Sum, class Space>
template <class Visit>
void MessagePassing<Real, Sum, Space>::with_filters(int l, Range range, const Visit &visit) {
  if (exact_)
    visit(exact_filters_.filter_rows(l, edges_.view(), range, edges_of(range)));
  else
    visit(SplineRows<Real>{tables_[l - first_gathered()].view()});
}

template <class Real, class Sum, class Space>
template <class Visit>
void MessagePassing<Real, Sum, Space>::with_radial_functions(Range range, const Visit &visit) {
  if (exact_)
    visit(exact_filters_.radial_rows(edges_.view(), range, edges_of(range), radial_columns_));
  else
    visit(SplineRows<Real>{radial_table_.view()});
}

template <class Real, class Sum, class Space>
int MessagePassing<Real, Sum, Space>::gradient_slices() const {
  if constexpr (has_cuda<Real, Space>())
    if (cuda_ && !exact_ && !tables_.empty()) return cuda::message_slices(tables_[0].view(), C_);
  return 1;
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::message(int l, Range range) {
  if constexpr (has_cuda<Real, Space>())
    if (cuda_ && !exact_)
      return cuda::message(Space().cuda_stream(), edges_.view(), range, C_,
                           tables_[l - first_gathered()].view(), senders(l), state(l),
                           features_.data());
  with_filters(l, range, [&](const auto &filters) {
    device::message<Space>(edges_.view(), range, C_, filters, senders(l), state(l),
                           features_.data());
  });
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::message_adjoint(int l, Range range) {
  if constexpr (has_cuda<Real, Space>())
    if (cuda_ && !exact_)
      return cuda::message_adjoint(Space().cuda_stream(), edges_.view(), range, C_,
                                   tables_[l - first_gathered()].view(), senders(l), features_bar(),
                                   sender_bar_.data(), gradient_.data(), gradient_stride(),
                                   adds_gradients_);
  with_filters(l, range, [&](const auto &filters) {
    device::message_adjoint<Space>(edges_.view(), range, C_, filters, senders(l), features_bar(),
                                   sender_bar_.data(), gradient_.data(), adds_gradients_);
  });
}

template <class Real, class Sum, class Space>
bool MessagePassing<Real, Sum, Space>::sums_by_cuda() const {
  if constexpr (has_cuda<Real, Space>())
    return cuda_ && !exact_ && !gathers_first_layer_ &&
           cuda::element_sums_fit(radial_table_.view(), elements());
  return false;
}

template <class Real, class Sum, class Space>
bool MessagePassing<Real, Sum, Space>::places_by_cuda() const {
  if constexpr (has_cuda<Real, Space>())
    return sums_by_cuda() &&
           edges_.local_rows() <= cuda::most_centres_placed(radial_table_.view(), elements());
  return false;
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::sum_by_element(Range range, int stride, Real *sums) {
  if constexpr (has_cuda<Real, Space>()) {
    if (places_by_cuda())
      return cuda::place_and_sum(Space().cuda_stream(), edges_.placement(), range,
                                 radial_table_.view(), elements(), stride, sums);
    if (sums_by_cuda())
      return cuda::element_sums(Space().cuda_stream(), edges_.view(), range, radial_table_.view(),
                                elements(), stride, sums);
  }
  with_radial_functions(range, [&](const auto &functions) {
    element_sums<Space>(edges_.view(), range, functions, radial_columns_, stride, sums);
  });
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::sum_by_element_adjoint(Range range, int stride,
                                                              const Real *sums_bar) {
  if constexpr (has_cuda<Real, Space>())
    if (sums_by_cuda())
      return cuda::element_sums_adjoint(Space().cuda_stream(), edges_.view(), range,
                                        radial_table_.view(), elements(), stride, sums_bar,
                                        geometry().spacing, gradient_.data(),
                                        adds_gradients_ ? gradient_slices() : 0, gradient_stride());
  with_radial_functions(range, [&](const auto &functions) {
    element_sums_adjoint<Space>(edges_.view(), range, functions, radial_columns_, stride, sums_bar,
                                gradient_.data(), adds_gradients_);
  });
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::forward(DeviceHalo *halo) {
  embed_atoms(edges_.local_rows(), edges_.rows());
  for (int l = 0; l < layers_; ++l) {
    if (l > 0) exchange(halo, senders(l), 5 * C_);
    for (const Range &range : ranges_) {
      if (l == 0)
        first_features(range);
      else
        message(l, range);
      if (is_last(l))
        turn(range);
      else
        finish_layer(l, range);
    }
  }
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::backward(DeviceHalo *halo) {
  adds_gradients_ = false;
  for (int l = layers_ - 1; l >= first_gathered(); --l) {
    reading_ = 1 - reading_;
    exchange(halo, features_bar(), 4 * C_);
    for (const Range &range : ranges_) {
      message_adjoint(l, range);
      if (l > 0) finish_layer_adjoint(l - 1, range);
    }
    adds_gradients_ = true;
  }
  if (gathers_first_layer_) return;
  reading_ = 1 - reading_;
  for (const Range &range : ranges_) first_features_adjoint(range);
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::sum_row_forces(const ReverseTest<Real> &is_reverse,
                                                      const ForceRows &forces) {
#if defined(MLFF_CUDA)
  if constexpr (has_cuda<Real, Space>())
    if (cuda_)
      return cuda::sum_forces<Sum>(Space().cuda_stream(), is_reverse, gradient_.data(),
                                   edges_.atom_of_row(), energies(), trouble_.reporter(), forces);
#endif
  sum_forces<Sum, Space>(is_reverse, gradient_.data(), edges_.atom_of_row(), energies(),
                         trouble_.reporter(), forces);
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::add_forces(const DeviceAtoms &atoms,
                                                  const DeviceResults &results) {
  const Edges<Real> edges = edges_.view();
  if (!sums_by_cuda())  // their adjoint has finished them
    finish_gradients<Space>(edges, geometry(), gradient_slices(), gradient_stride(),
                            gradient_.data());
  const double scale = energy_scale_ * length_scale_;
  sum_row_forces(ReverseTest<Real>(edges, geometry(), cutoff_),
                 {results.forces, results.add_forces, scale});
  if (edges_.rows() == edges_.local_rows()) return;
  ghost_edges_.build(edges, edges_.rows(), edges_.atom_of_row(), atoms.tags);
  if (results.forces)
    ghost_edges_.add_forces(gradient_.data(), edges_.atom_of_row(), scale, results.forces);
  if (results.atomic_virial)
    ghost_edges_.add_atomic_virials(edges, geometry(), gradient_.data(), edges_.atom_of_row(),
                                    energy_scale_, results.atomic_virial);
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::add_results(DeviceResults &results) {
  const Edges<Real> edges = edges_.view();
  if (results.atomic_energies)
    scatter_energies<Space>(edges.rows, energies(), edges_.atom_of_row(), results.atomic_energies);
  if (results.atomic_virial)
    sum_atomic_virials<Space>(ReverseTest<Real>(edges, geometry(), cutoff_), gradient_.data(),
                              edges_.atom_of_row(), energy_scale_, results.atomic_virial);
  if (results.want_energy) results.energy = sum_energies<Space>(edges.rows, energies());
  if (results.want_virial) {
    const auto virial = sum_virial<Space>(edges, geometry(), gradient_.data());
    for (int k = 0; k < 6; ++k) results.virial[k] = energy_scale_ * virial.x[k];
  }
  if (!results.want_energy && !results.want_virial) return;
  Kokkos::fence("mlff::results");
  trouble_.check();
}

template <class Real, class Sum, class Space>
void MessagePassing<Real, Sum, Space>::compute(const DeviceAtoms &atoms,
                                               const DeviceNeighbourList &list, DeviceHalo *halo,
                                               DeviceResults &results) {
  trouble_.check(atoms.changed);
  make_room(atoms, list);
  const auto step = [&] {
    edges_.begin(atoms, trouble_);
    if (!places_by_cuda()) edges_.place();
    forward(halo);
    backward(halo);
    add_forces(atoms, results);
  };
  if (!replay(atoms, halo, results, step)) step();
  add_results(results);
}

template <class Real, class Sum, class Space>
template <class Step>
bool MessagePassing<Real, Sum, Space>::replay([[maybe_unused]] const DeviceAtoms &atoms,
                                              [[maybe_unused]] const DeviceHalo *halo,
                                              [[maybe_unused]] const DeviceResults &results,
                                              [[maybe_unused]] const Step &step) {
#if defined(MLFF_CUDA)
  if constexpr (has_cuda<Real, Space>()) {
    const int rows = edges_.local_rows();
    if (halo || !cuda_ || exact_ || !edges_.has_room() || rows == 0) return false;
    const DeviceNeighbourList &list = edges_.list();
    return graph_.run(Space().cuda_stream(),
                      {atoms.local, rows, atoms.positions, atoms.types, atoms.element_of_type,
                       list.count, list.neighbours, list.atom_stride, list.neighbour_stride,
                       list.mask, results.forces, results.add_forces, workspace_bytes()},
                      step);
  }
#endif
  return false;
}

template <class Real, class Sum, class Space>
std::size_t MessagePassing<Real, Sum, Space>::workspace_bytes() const {
  std::size_t bytes = edges_.bytes() + features_.bytes() + sender_bar_.bytes() + energy_.bytes() +
                      gradient_.bytes() + ghost_edges_.bytes() + exact_filters_.bytes() +
                      own_bytes();
  for (const Array<Real, Space> &rows : state_) bytes += rows.bytes();
  for (const Array<Real, Space> &rows : senders_) bytes += rows.bytes();
  for (const Array<Real, Space> &rows : features_bar_) bytes += rows.bytes();
  return bytes;
}

#define MLFF_MESSAGE_PASSING(Space)                    \
  template class MessagePassing<float, float, Space>;  \
  template class MessagePassing<float, double, Space>; \
  template class MessagePassing<double, double, Space>;
MLFF_ON_EACH_SPACE(MLFF_MESSAGE_PASSING)

}  // namespace mlff::device
