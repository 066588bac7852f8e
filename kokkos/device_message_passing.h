// The network's schedule on the device: what both architectures share, see src/message_passing.h.
#pragma once

#include <vector>

#include "device_filters.h"
#include "device_network.h"
#include "edge_list.h"
#include "ghost_edges.h"
#if defined(MLFF_CUDA)
#include "cuda/step_graph.h"
#endif

namespace mlff::device {

/// Forward through the layers, back through them, then forces; each step for all atoms, a range at
/// a time. Between steps neighbours' rows are complete, on other processes too. Sum is the type
/// that forces are summed in; energies and virials always in double.
template <class Real, class Sum, class Space>
class MessagePassing : public DeviceNetwork {
 public:
  /// gathers_first_layer: the first layer's messages are gathered like the others', not summed by
  /// element; then its adjoint needs an exchange too.
  MessagePassing(const Potential &potential, const NetworkOptions &options, DeviceKernels kernels,
                 bool gathers_first_layer);

  void compute(const DeviceAtoms &atoms, const DeviceNeighbourList &list, DeviceHalo *halo,
               DeviceResults &results) final;
  double cutoff() const final { return cutoff_ / length_scale_; }
  std::size_t halo_bytes() const final { return 5 * C_ * sizeof(Real); }
  std::size_t workspace_bytes() const final;

 protected:
  /// features of the range behind the first message, from the elements' embeddings.
  virtual void first_features(Range range) = 0;
  /// Gradients of the first layer's edges from features_bar. Only called if the first layer is not
  /// gathered.
  virtual void first_features_adjoint(Range range) = 0;
  /// Update of layer l and what its end sends: features of the range become state and senders of
  /// layer l + 1.
  virtual void finish_layer(int l, Range range) = 0;
  /// Adjoint: sender_bar of the range and features_bar, both of layer l + 1, become next
  /// features_bar, that before the update of layer l.
  virtual void finish_layer_adjoint(int l, Range range) = 0;
  /// The last layer, there and back: features of the range become energies and next features_bar.
  virtual void turn(Range range) = 0;
  /// State and senders of the first layer, if it is gathered, of `local` centres and `rows` rows.
  virtual void embed_atoms(int /*local*/, int /*rows*/) {}
  /// Makes room for `local` centres, of which `range` at a time.
  virtual void reserve(int local, int range) = 0;
  virtual std::size_t own_bytes() const = 0;

  int first_gathered() const { return gathers_first_layer_ ? 0 : 1; }
  bool is_last(int l) const { return l + 1 == layers_; }
  int elements() const { return static_cast<int>(element_row_.size()); }
  /// features of the range = state of layer l + messages.
  void message(int l, Range range);
  /// Adjoint: sender_bar of the range from features_bar, and gradients of the edges.
  void message_adjoint(int l, Range range);
  /// First layer's sums of the radial functions of the range: [4][stride], see element_sums. The
  /// first to ask for the range's edges and the elements of its rows, which it may place.
  void sum_by_element(Range range, int stride, Real *sums);
  /// Adjoint: gradients of the edges.
  void sum_by_element_adjoint(Range range, int stride, const Real *sums_bar);
  /// Rows [width] of one of the arrays below, from a centre on.
  Real *state(int l, int row = 0) const { return state_[l].data() + std::size_t(4) * C_ * row; }
  Real *senders(int l, int row = 0) const { return senders_[l].data() + std::size_t(5) * C_ * row; }
  Real *features_bar(int row = 0) const {
    return features_bar_[reading_].data() + std::size_t(4) * C_ * row;
  }
  Real *next_features_bar(int row = 0) const {
    return features_bar_[1 - reading_].data() + std::size_t(4) * C_ * row;
  }

  const int C_, layers_;
  const bool gathers_first_layer_;
  const int radial_columns_;  ///< K + 1, padded
  EdgeList<Real, Space> edges_;
  std::vector<int> element_row_;                       ///< caller's element -> row of the embedding
  Array<Real, Space> embedding_{"mlff::embedding"};    ///< [caller's elements, C]
  Array<Real, Space> features_{"mlff::features"};      ///< [range, 4C]
  Array<Real, Space> sender_bar_{"mlff::sender_bar"};  ///< [range, 5C]
  Array<double, Space> energy_{"mlff::energy"};        ///< [local] file's unit, without E0

 private:
  void make_room(const DeviceAtoms &atoms, const DeviceNeighbourList &list);
  void cut_into_ranges();
  void count_edges_of_ranges();
  void forward(DeviceHalo *halo);
  void backward(DeviceHalo *halo);
  void exchange(DeviceHalo *halo, Real *rows, int width);
  /// Does the step as a CUDA graph, if that is there and pays.
  template <class Step>
  bool replay(const DeviceAtoms &atoms, const DeviceHalo *halo, const DeviceResults &results,
              const Step &step);
  void add_forces(const DeviceAtoms &atoms, const DeviceResults &results);
  void sum_row_forces(const ReverseTest<Real> &is_reverse, const ForceRows &forces);
  void add_results(DeviceResults &results);
  /// Number of edges of a range, if filters are exact.
  int edges_of(Range range) const;
  Geometry<Real> geometry() const;
  AtomEnergy energies() const;
  /// Whether kernels written for CUDA take the first layer's sums and their adjoint.
  bool sums_by_cuda() const;
  /// Whether the first layer's sums place the edges, too: of few centres.
  bool places_by_cuda() const;
  /// Filters of layer l, exact rows evaluated for the range.
  template <class Visit>
  void with_filters(int l, Range range, const Visit &visit);
  template <class Visit>
  void with_radial_functions(Range range, const Visit &visit);
  /// Slices of channels that give the edges' gradients a part each.
  int gradient_slices() const;
  std::size_t gradient_stride() const { return edges_.capacity(); }

  /// Rows of a range, and candidates of a range of exact filters, at most: bounds the work space.
  static constexpr int kRangeRows = 1 << 17, kRangeCandidates = is_host<Space> ? 3 << 14 : 3 << 15;

  const bool exact_;
  const bool cuda_;  ///< kernels written for CUDA are used where there are any
  const double cutoff_, energy_scale_, length_scale_, softening_;
  Trouble trouble_;
  std::vector<Range> ranges_;
  /// If filters are exact: each range's first row, then all rows; and where their edges begin.
  Array<int, Space> range_rows_{"mlff::range_rows"};
  std::vector<int> range_edges_;
  SplineGrid grid_;
  std::vector<Table<Real, Space>> tables_;  ///< [L - first_gathered()]
  Table<Real, Space> radial_table_;
  ExactFilters<Real, Space> exact_filters_;
  Array<double, Space> atomic_energies_{"mlff::atomic_energies"};  ///< [caller's elements]
  std::vector<Array<Real, Space>> state_;    ///< [L] of [local, 4C]: at the layer's beginning
  std::vector<Array<Real, Space>> senders_;  ///< [L] of [rows, 5C]
  Array<Real, Space> features_bar_[2];       ///< [rows, 4C], read and written in turn
  int reading_ = 0;
  Array<EdgeGradient<Real>, Space> gradient_{"mlff::gradient"};  ///< [slices, edges]
  bool adds_gradients_ = false;
  GhostEdges<Real, Space> ghost_edges_;
#if defined(MLFF_CUDA)
  cuda::StepGraph graph_;
#endif
};

}  // namespace mlff::device
