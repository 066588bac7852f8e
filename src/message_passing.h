// The network's schedule: what both architectures share, as passes over blocks of atoms.
#pragma once

#include <algorithm>
#include <vector>

#include "algebra.h"
#include "dense_layer.h"
#include "edges.h"
#include "filters.h"
#include "network.h"
#include "read_out.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace mlff {

/// This thread's number in a parallel region.
inline int thread_number() {
#if defined(_OPENMP)
  return omp_get_thread_num();
#else
  return 0;
#endif
}

/// Rows [begin, begin + size) of one pass; `thread` owns the scratch.
struct Block {
  int begin, size, thread;
};

/// Forward through the layers, back through them, then forces. A pass runs over blocks of atoms
/// that do not depend on each other; between passes neighbours' rows are complete, on other
/// processes too.
///
/// Rows in memory, C padded channels: senders [5C]~ = (xa, xb, p), features_bar [4C] = (s_bar,
/// v_bar), interleaved where neighbours gather them ([nC]~, see kernels.h). Sum is the type that
/// forces and virials are summed in; energies, with their large offsets, always in double.
template <class Real, class Sum>
class MessagePassing : public Network {
 public:
  /// gathers_first_layer: the first layer's messages are gathered like the others', not summed by
  /// element; then its adjoint needs an exchange too.
  MessagePassing(const Potential &potential, const NetworkOptions &options,
                 bool gathers_first_layer);

  void compute(const Atoms &atoms, const NeighbourList &list, Halo *halo, Results &results) final;
  double cutoff() const final { return cutoff_ / length_scale_; }
  std::size_t halo_bytes() const final { return 5 * C_ * sizeof(Real); }
  std::size_t workspace_bytes() const final;

 protected:
  /// Sets s [C] and v [3, C] of the block behind the first message; v goes to scratch.
  virtual void first_message(const Block &block) = 0;
  /// Gradients of the first layer's edges from features_bar of the block (in scratch). Only called
  /// if the first layer is not gathered.
  virtual void first_message_adjoint(const Block &block) = 0;
  /// Update of layer l: s and v of the block in scratch become those of the layer's end.
  virtual void update(int l, const Block &block) = 0;
  /// Adjoint: features_bar of the block in scratch become those before the update.
  virtual void update_adjoint(int l, const Block &block) = 0;
  /// Senders of layer l from s and v of the block in scratch.
  virtual void make_senders(int l, const Block &block) = 0;
  /// Adjoint: adds to features_bar in scratch, given sender_bar in scratch.
  virtual void make_senders_adjoint(int l, const Block &block) = 0;
  /// Makes room for `local` centres and `rows` rows altogether.
  virtual void reserve(int local, int rows) = 0;
  virtual std::size_t own_bytes() const = 0;

  /// Scratch of a thread: rows of one block.
  struct Scratch {
    AlignedArray<Real> s;  ///< [B, 2C]: s, and n behind it as the update network reads them
    AlignedArray<Real> v;  ///< [B, 3C]
    AlignedArray<Real> features_bar;  ///< [B, 4C], not interleaved
    AlignedArray<Real> sender_bar;    ///< [B, 5C]~
    AlignedArray<Real> hidden;        ///< [B, C]
    AlignedArray<Real> read_out;
    AlignedArray<Real> work;  ///< [B, 6C]
    AlignedArray<Real>
        radial;  ///< exact filters: radial functions and derivatives of an atom's edges
    AlignedArray<Real> filter;  ///< exact filters: values, derivatives and hidden layer
  };

  static constexpr int kBlockRows = 48;
  enum class Direction { Forward, Backward };

  /// Filter rows of layer l for the edges of one atom: the table, or rows evaluated into scratch.
  /// Exact rows have derivatives only on the way back.
  FilterRows<Real> filter_rows(int l, int row, Direction direction, Scratch &scratch) const;
  /// The same for the radial functions themselves.
  FilterRows<Real> radial_rows(int row, Scratch &scratch) const;

  /// y = epilogue(layer(x)) for the rows of a block.
  void dense(const PackedLayer<Real> &layer, int rows, const Real *x, int x_stride, Real *y,
             int y_stride, Epilogue epilogue, Real *factor = nullptr, int factor_stride = 0) const {
    kernels_.dense(layer.view(), rows, {x, x_stride}, {y, y_stride}, epilogue,
                   {factor, factor_stride});
  }

  const Kernels<Real> &kernels_;
  const int C_, layers_;
  const bool exact_;
  const bool gathers_first_layer_;
  int first_gathered() const { return gathers_first_layer_ ? 0 : 1; }
  double softening_ = 0.0;  ///< u = (r_j - r_i) / (r + softening)
  EdgeList<Real> edges_;
  std::vector<Scratch> scratch_;
  std::vector<int> element_row_;               ///< caller's element -> row of the embedding
  std::vector<AlignedArray<Real>> senders_;    ///< [L] of [rows, 5C]~
  std::vector<AlignedArray<Real>> vectors_;    ///< [L] of [local, 3C]: v at the layer's beginning
  AlignedArray<EdgeGradient<Real>> gradient_;  ///< [edges]

 private:
  void prepare(const Atoms &atoms, const NeighbourList &list);
  void forward(Halo *halo);
  void backward(Halo *halo);
  template <class Pass>
  void each_block(Pass pass);
  void exchange(Halo *halo, AlignedArray<Real> &rows, int width);
  void message(int l, const Block &block);
  void message_adjoint(int l, const Block &block);
  void keep_state(int l, const Block &block);
  void read_out(const Block &block);
  void leave_layer(int l, const Block &block);
  void finish_gradients();
  void sum_forces();
  void check_finite() const;
  void add_results(Results &results) const;
  void add_virials(Results &results) const;
  void add_ghosts(Results &results) const;

  struct Force {
    Sum x[3];
  };

  const double cutoff_, energy_scale_, length_scale_;
  const int threads_;
  int block_rows_ = kBlockRows;
  std::vector<double> atomic_energies_;  ///< [caller's elements]
  ReadOut<Real> out_;
  RadialFunctionSet<Real> radial_;
  SplineGrid grid_;
  std::vector<ExactFilter<Real>> exact_filters_;  ///< [L - first_gathered()]
  std::vector<SplineTable<Real>> tables_;         ///< [L - first_gathered()]
  SplineTable<Real> radial_table_;
  AlignedArray<Real> s_;                ///< [local, C]
  AlignedArray<Real> features_bar_[2];  ///< [rows, 4C]~, read and written in turn
  int reading_ = 0;
  std::vector<double> energy_;  ///< [local]
  AlignedArray<Force> force_;   ///< [local]
};

}  // namespace mlff
