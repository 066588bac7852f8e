// What a block does with its tile of atoms: update, phi and read-out, each beside its adjoint, as
// in src/painn.cpp. All pointers are to the tile's first row.
#pragma once

#include "algebra.h"
#include "split_gemm.cuh"

namespace mlff::cuda {

/// M atoms, of which the last ones may not exist: they are computed from copies, not stored.
template <int M>
struct Tile {
  int C;
  int atoms;
  float epsilon;
  float *large, *small;              ///< shared memory for operands
  float *large_scale, *small_scale;  ///< [3 M], [M]

  __device__ int row(int row) const { return row < atoms ? row : atoms - 1; }
  /// Fragments of 16 atoms that share a warp's weights.
  static constexpr int kFragments = M < 32 ? 1 : 2;

  __device__ Operand in_large(int width) const { return {large, large_scale, width}; }
  __device__ Operand in_small(int width) const { return {small, small_scale, width}; }
};

/// Vectors V and W, or their adjoints, of four channels: [3][2][C].
struct Mixed {
  Four V[3], W[3];

  static __device__ Mixed read(int C, const float *mixed) {
    Mixed x;
    load3(2 * C, mixed, x.V);
    load3(2 * C, mixed + C, x.W);
    return x;
  }
};

/// s and v of four channels.
__device__ inline Features<Four> load_features(int C, const float *p) {
  Features<Four> x;
  x.s = load(p);
  load3(C, p + C, x.v);
  return x;
}

/// What of shared memory the operands on the way there leave: [M][C] each for <V, W>, in the large
/// operand's memory behind [3 M][C], and for the new v, beside [M][C] in either operand's.
template <int M>
__device__ inline Operand scalar_product(const Tile<M> &tile) {
  return {tile.large + 3 * M * tile.C, nullptr, tile.C};
}
template <int M>
__device__ inline Operand new_vector(const Tile<M> &tile, int c) {
  return {(c < 2 ? tile.large + c * M * tile.C : tile.small) + M * tile.C, nullptr, tile.C};
}

/// features [4][C] become state [4][C], which the last layer has no use for; the small operand
/// becomes s, not yet split, and new_vector v.
template <bool Last, int M>
__device__ inline void update(const Tile<M> &tile, const UpdateLayers &layers,
                              const UpdateKept &kept, const float *features, float *state) {
  const int C = tile.C;
  const Operand v = tile.in_large(C), s_n = tile.in_small(2 * C), q = scalar_product(tile);
  each_four<M>(C, [&](int row, int f) {
    const Features<Four> x = load_features(C, features + 4 * C * tile.row(row) + f);
    store(s_n.at(row, f), x.s);
    for (int c = 0; c < 3; ++c) store(v.at(c * M + row, f), x.v[c]);
  });
  split_rows<M>(v, 3 * M);
  product<M, 3, 1, 2>(layers.mix, C, v, [&](int row, int f, const Four(&y)[3][2]) {
    const Four V[3] = {y[0][0], y[1][0], y[2][0]}, W[3] = {y[0][1], y[1][1], y[2][1]};
    store(q.at(row, f), dot(V, W));
    store(s_n.at(row, C + f), square_root(squared_norm(V, tile.epsilon)));
    if (row >= tile.atoms) return;
    float *mixed = kept.mixed + 6 * C * row + f;
    for (int c = 0; c < 3; ++c)
      for (int b = 0; b < 2; ++b) store(mixed + (2 * c + b) * C, y[c][b]);
  });
  split_rows<M>(s_n);
  const Operand hidden = tile.in_large(C), s = tile.in_small(C);
  product<M, 1, Tile<M>::kFragments, 1>(layers.upd0, C, s_n,
                                        [&](int row, int f, const Four(&y)[1][1]) {
                                          Four slope;
                                          store(hidden.at(row, f), silu(y[0][0], slope));
                                          if (row < tile.atoms)
                                            store(kept.hidden_slope + C * row + f, slope);
                                        });
  split_rows<M>(hidden);
  product<M, 1, Tile<M>::kFragments, Last ? 2 : 3>(
      layers.upd1, C, hidden, [&](int row, int f, const Four(&y)[1][Last ? 2 : 3]) {
        const int at = tile.row(row);
        Features<Four> x = {load(features + 4 * C * at + f), {}};
        Gates<Four> a = {y[0][0], y[0][1], {}};
        update_scalar(a, load(q.at(row, f)), x);
        if constexpr (!Last) {
          Four W[3];
          load3(2 * C, kept.mixed + 6 * C * at + C + f, W);
          load3(C, features + 4 * C * at + C + f, x.v);
          a.v = y[0][2];
          update_vector(a, W, x);
          for (int c = 0; c < 3; ++c) store(new_vector(tile, c).at(row, f), x.v[c]);
        }
        store(s.at(row, f), x.s);
        if (row >= tile.atoms) return;
        store(kept.gates + 2 * C * row + f, a.sv);
        if constexpr (Last) return;
        stream(kept.gates + 2 * C * row + C + f, a.v);
        stream(state + 4 * C * row + f, x.s);
        for (int c = 0; c < 3; ++c) stream(state + 4 * C * row + (1 + c) * C + f, x.v[c]);
      });
}

/// Adjoint of update: h [4][C], the adjoint behind the update, becomes that before it. In the last
/// layer h.v is zero and not read.
template <bool Last, int M>
__device__ inline void update_adjoint(const Tile<M> &tile, const UpdateAdjointLayers &layers,
                                      const UpdateKept &kept, float *h) {
  const int C = tile.C;
  const auto load_h = [&](int at) -> Features<Four> {
    if constexpr (Last) return {load(h + at), {}};
    return load_features(C, h + at);
  };
  const Operand gates_bar = tile.in_large((Last ? 2 : 3) * C), hidden_bar = tile.in_small(C);
  __syncthreads();
  each_four<M>(C, [&](int row, int f) {
    const int at = tile.row(row);
    const Mixed mixed = Mixed::read(C, kept.mixed + 6 * C * at + f);
    const Gates<Four> bar = update_adjoint_gates(mixed.V, mixed.W, load_h(4 * C * at + f));
    store(gates_bar.at(row, f), bar.s);
    store(gates_bar.at(row, C + f), bar.sv);
    if constexpr (!Last) store(gates_bar.at(row, 2 * C + f), bar.v);
  });
  split_rows<M>(gates_bar);
  product<M, 1, Tile<M>::kFragments, 1>(
      layers.upd1, C, gates_bar, [&](int row, int f, const Four(&y)[1][1]) {
        store(hidden_bar.at(row, f), y[0][0] * load(kept.hidden_slope + C * tile.row(row) + f));
      });
  split_rows<M>(hidden_bar);
  const Operand mixed_bar = tile.in_large(2 * C);
  product<M, 1, Tile<M>::kFragments, 2>(
      layers.upd0, C, hidden_bar, [&](int row, int f, const Four(&y)[1][2]) {
        const int at = tile.row(row);
        const Mixed mixed = Mixed::read(C, kept.mixed + 6 * C * at + f);
        const Features<Four> x_bar = load_h(4 * C * at + f);
        Gates<Four> a = {{}, load(kept.gates + 2 * C * at + f), {}};
        if constexpr (!Last) a.v = load(kept.gates + 2 * C * at + C + f);
        const Four n_bar_over_n = over_root(y[0][1], squared_norm(mixed.V, tile.epsilon));
        Mixed bar;
        update_adjoint_mix(a, mixed.V, mixed.W, n_bar_over_n, x_bar, bar.V, bar.W);
        for (int c = 0; c < 3; ++c) {
          store(mixed_bar.at(c * M + row, f), bar.V[c]);
          store(mixed_bar.at(c * M + row, C + f), bar.W[c]);
        }
        if (row < tile.atoms) store(h + 4 * C * row + f, x_bar.s + y[0][0]);
      });
  split_rows<M>(mixed_bar, 3 * M);
  product<M, 3, Tile<M>::kFragments, 1>(layers.mix, C, mixed_bar,
                                        [&](int row, int f, const Four(&y)[3][1]) {
                                          if (row >= tile.atoms) return;
                                          for (int c = 0; c < 3; ++c) {
                                            float *v_bar = h + 4 * C * row + (1 + c) * C + f;
                                            store(v_bar, Last ? y[c][0] : load(v_bar) + y[c][0]);
                                          }
                                        });
}

/// senders [5][C] from what update leaves: s in the small operand, and the new v.
template <int M>
__device__ inline void make_senders(const Tile<M> &tile, const PhiLayers &layers,
                                    const PhiKept &kept, float *senders) {
  const int C = tile.C;
  const Operand s = tile.in_small(C), hidden = tile.in_large(C);
  split_rows<M>(s);
  product<M, 1, Tile<M>::kFragments, 1>(layers.phi0, C, s,
                                        [&](int row, int f, const Four(&y)[1][1]) {
                                          Four slope;
                                          store(hidden.at(row, f), silu(y[0][0], slope));
                                          if (row < tile.atoms)
                                            stream(kept.phi_slope + C * row + f, slope);
                                        });
  split_rows<M>(hidden);
  product<M, 1, Tile<M>::kFragments, 3>(
      layers.phi1, C, hidden, [&](int row, int f, const Four(&y)[1][3]) {
        if (row >= tile.atoms) return;
        float *sender = senders + 5 * C * row + f;
        stream(sender, y[0][0]);
        stream(sender + C, y[0][1]);
        for (int c = 0; c < 3; ++c)
          stream(sender + (2 + c) * C, y[0][2] * load(new_vector(tile, c).at(row, f)));
        stream(kept.xc + C * row + f, y[0][2]);
      });
}

/// Adjoint of make_senders: h [4][C] = features_bar [4][C] + what sender_bar [5][C] adds to it.
template <int M>
__device__ inline void make_senders_adjoint(const Tile<M> &tile, const PhiAdjointLayers &layers,
                                            const PhiKept &kept, const float *state,
                                            const float *sender_bar, const float *features_bar,
                                            float *h) {
  const int C = tile.C;
  const Operand x_bar = tile.in_large(3 * C), hidden_bar = tile.in_small(C);
  each_four<M>(C, [&](int row, int f) {
    const int at = tile.row(row);
    const float *bar = sender_bar + 5 * C * at + f;
    Four v[3], p_bar[3], v_bar[3];
    load3(C, state + 4 * C * at + C + f, v);
    load3(C, bar + 2 * C, p_bar);
    load3(C, features_bar + 4 * C * at + C + f, v_bar);
    store(x_bar.at(row, f), load(bar));
    store(x_bar.at(row, C + f), load(bar + C));
    store(x_bar.at(row, 2 * C + f), product_adjoint(load(kept.xc + C * at + f), v, p_bar, v_bar));
    if (row < tile.atoms) store3(C, h + 4 * C * row + C + f, v_bar);
  });
  split_rows<M>(x_bar);
  product<M, 1, Tile<M>::kFragments, 1>(
      layers.phi1, C, x_bar, [&](int row, int f, const Four(&y)[1][1]) {
        store(hidden_bar.at(row, f), y[0][0] * load(kept.phi_slope + C * tile.row(row) + f));
      });
  split_rows<M>(hidden_bar);
  product<M, 1, Tile<M>::kFragments, 1>(
      layers.phi0, C, hidden_bar, [&](int row, int f, const Four(&y)[1][1]) {
        if (row < tile.atoms)
          store(h + 4 * C * row + f, load(features_bar + 4 * C * row + f) + y[0][0]);
      });
}

/// Outputs of the read-out's dense layer k, and their slopes, in the large operand's memory.
template <int M>
__device__ inline Operand read_out_rows(const Tile<M> &tile, const ReadOutLayers &read_out, int k,
                                        bool slope) {
  int offset = slope ? read_out.forward[k].outputs : 0;
  for (int i = 0; i < k; ++i) offset += 2 * read_out.forward[i].outputs;
  return {tile.large + M * offset, tile.large_scale, read_out.forward[k].outputs};
}

/// Energies, and the adjoint of what the weighted sum is taken over: of the last dense layer before
/// its SiLU, or of s. One warp sums a row, always in the same order.
template <int M>
__device__ inline void weighted_sum(const Tile<M> &tile, const ReadOutLayers &read_out,
                                    const Operand &x, const Operand *slope, double *energies) {
  __syncthreads();
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int row = threadIdx.x / 32; row < M; row += kWarps<M>) {
    double sum = 0;
#pragma unroll 1
    for (int f = 4 * lane; f < x.width; f += 128) {
      Four y = load(x.at(row, f)), factor = {{1, 1, 1, 1}};
      if (slope) factor = load(slope->at(row, f));
      for (int i = 0; i < 4; ++i) {
        sum += read_out.weights[f + i] * y.x[i];
        y.x[i] = static_cast<float>(read_out.weights[f + i]) * factor.x[i];
      }
      store(x.at(row, f), y);
    }
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kWarp, sum, step);
    if (lane == 0 && row < tile.atoms) energies[row] = sum + read_out.bias;
  }
}

/// Energies from s in the small operand, and s_bar, the s part of h [4][C].
template <int M>
__device__ inline void read_out_and_adjoint(const Tile<M> &tile, const ReadOutLayers &read_out,
                                            double *energies, float *h) {
  const int C = tile.C, layers = read_out.hidden;
  Operand x = tile.in_small(C);
#pragma unroll 1
  for (int k = 0; k < layers; ++k) {
    const Operand y = read_out_rows(tile, read_out, k, false),
                  y_slope = read_out_rows(tile, read_out, k, true);
    split_rows<M>(x);
    product<M, 1, Tile<M>::kFragments, 1>(read_out.forward[k], y.width, x,
                                          [&](int row, int f, const Four(&sum)[1][1]) {
                                            Four slope;
                                            store(y.at(row, f), silu(sum[0][0], slope));
                                            store(y_slope.at(row, f), slope);
                                          });
    x = y;
  }
  const auto store_s_bar = [&](int row, int f, const Four &s_bar) {
    if (row < tile.atoms) store(h + 4 * C * row + f, s_bar);
  };
  if (layers == 0) {
    weighted_sum(tile, read_out, x, nullptr, energies);
    each_four<M>(C, [&](int row, int f) { store_s_bar(row, f, load(x.at(row, f))); });
    return;
  }
  const Operand slope = read_out_rows(tile, read_out, layers - 1, true);
  weighted_sum(tile, read_out, x, &slope, energies);
#pragma unroll 1
  for (int k = layers - 1; k > 0; --k) {
    const Operand x_bar = read_out_rows(tile, read_out, k - 1, false),
                  x_slope = read_out_rows(tile, read_out, k - 1, true);
    split_rows<M>(x);
    product<M, 1, Tile<M>::kFragments, 1>(
        read_out.adjoint[k], x_bar.width, x, [&](int row, int f, const Four(&y)[1][1]) {
          store(x_bar.at(row, f), y[0][0] * load(x_slope.at(row, f)));
        });
    x = x_bar;
  }
  split_rows<M>(x);
  product<M, 1, Tile<M>::kFragments, 1>(
      read_out.adjoint[0], C, x,
      [&](int row, int f, const Four(&y)[1][1]) { store_s_bar(row, f, y[0][0]); });
}

}  // namespace mlff::cuda
