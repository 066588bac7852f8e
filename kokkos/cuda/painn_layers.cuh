// What a block, or a cluster of some, does with its tile of atoms: update, phi and read-out, each
// beside its adjoint, as in src/painn.cpp. All pointers are to the tile's first row.
#pragma once

#include "algebra.h"
#include "cluster_gemm.cuh"

namespace mlff::cuda {

/// M atoms, of which the last ones may not exist: a block computes them from copies, a cluster does
/// not, and neither stores them.
template <class Team>
struct Tile {
  static constexpr int M = Team::kRows;
  /// Fragments of 16 atoms that share a warp's weights.
  static constexpr int kFragments = M < 32 ? 1 : 2;

  Team team;
  int C;
  int atoms;
  float epsilon;
  float *large, *small;              ///< shared memory for operands
  float *large_scale, *small_scale;  ///< [3 M], [M]

  __device__ int row(int row) const { return row < atoms ? row : atoms - 1; }
  __device__ Operand in_large(int width) const { return {large, large_scale, width}; }
  __device__ Operand in_small(int width) const { return {small, small_scale, width}; }
};

/// Vectors V and W, or their adjoints, of four channels: [3][2][C].
struct Mixed {
  Channels V[3], W[3];

  static __device__ Mixed read(int C, const float *mixed) {
    Mixed x;
    load3(2 * C, mixed, x.V);
    load3(2 * C, mixed + C, x.W);
    return x;
  }
};

/// s and v of four channels.
__device__ inline Features<Channels> load_features(int C, const float *p) {
  Features<Channels> x;
  x.s = load(p);
  load3(C, p + C, x.v);
  return x;
}

/// What of shared memory the operands on the way there leave: [M][C] each for <V, W>, in the large
/// operand's memory behind [3 M][C], and for the new v, beside [M][C] in either operand's.
template <class Team>
__device__ inline Operand scalar_product(const Tile<Team> &tile) {
  return {tile.large + 3 * tile.M * tile.C, nullptr, tile.C};
}
template <class Team>
__device__ inline Operand new_vector(const Tile<Team> &tile, int c) {
  return {(c < 2 ? tile.large + c * tile.M * tile.C : tile.small) + tile.M * tile.C, nullptr,
          tile.C};
}

/// The first half of update: V and W of v, kept; the small operand becomes <s, norms of V>, and
/// scalar_product <V, W>.
template <class Team>
__device__ inline void mix_vectors(const Tile<Team> &tile, const SplitLayer &mix,
                                   const UpdateKept &kept, const float *features) {
  constexpr int M = Team::kRows;
  const int C = tile.C;
  const Operand v = tile.in_large(C), s_n = tile.in_small(2 * C), q = scalar_product(tile);
  const auto read_features = [&](int row, int f) {
    return load_features(C, features + 4 * C * tile.row(row) + f);
  };
  each_four(tile.team, C, read_features, [&](int row, int f, const Features<Channels> &x) {
    put(tile.team, s_n, row, f, x.s);
    for (int c = 0; c < 3; ++c) put(tile.team, v, c * M + row, f, x.v[c]);
  });
  tile.team.also(C);  // s
  product<3, 1, 2>(
      tile.team, mix, C, v, Nothing(), [&](int row, int f, const Channels(&y)[3][2], Nothing) {
        const Channels V[3] = {y[0][0], y[1][0], y[2][0]}, W[3] = {y[0][1], y[1][1], y[2][1]};
        store(q.at(row, f), dot(V, W));
        put(tile.team, s_n, row, C + f, square_root(squared_norm(V, tile.epsilon)));
        if (row >= tile.atoms) return;
        float *mixed = kept.mixed + 6 * C * row + f;
        for (int c = 0; c < 3; ++c)
          for (int b = 0; b < 2; ++b) store(mixed + (2 * c + b) * C, y[c][b]);
      });
  tile.team.also(-C);
}

/// features [4][C] become state [4][C], which the last layer has no use for; the small operand
/// becomes s, not yet split, and new_vector v.
template <bool Last, class Team>
__device__ inline void update(const Tile<Team> &tile, const UpdateLayers &layers,
                              const UpdateKept &kept, const float *features, float *state) {
  const int C = tile.C;
  mix_vectors(tile, layers.mix, kept, features);
  const Operand hidden = tile.in_large(C), s = tile.in_small(C), s_n = tile.in_small(2 * C),
                q = scalar_product(tile);
  product<1, Tile<Team>::kFragments, 1>(tile.team, layers.upd0, C, s_n, Nothing(),
                                        [&](int row, int f, const Channels(&y)[1][1], Nothing) {
                                          Channels slope;
                                          put(tile.team, hidden, row, f, silu(y[0][0], slope));
                                          if (row < tile.atoms)
                                            store(kept.hidden_slope + C * row + f, slope);
                                        });
  struct Before {
    Features<Channels> x;
    Channels W[3];
  };
  const auto read_before = [&](int row, int f) -> Before {
    const int at = tile.row(row);
    if constexpr (Last) return {{load(features + 4 * C * at + f), {}}, {}};
    Before before = {load_features(C, features + 4 * C * at + f), {}};
    load3(2 * C, kept.mixed + 6 * C * at + C + f, before.W);
    return before;
  };
  product<1, Tile<Team>::kFragments, Last ? 2 : 3>(
      tile.team, layers.upd1, C, hidden, read_before,
      [&](int row, int f, const Channels(&y)[1][Last ? 2 : 3], const Before &before) {
        Features<Channels> x = before.x;
        Gates<Channels> a = {y[0][0], y[0][1], {}};
        update_scalar(a, load(q.at(row, f)), x);
        if constexpr (!Last) {
          a.v = y[0][2];
          update_vector(a, before.W, x);
          for (int c = 0; c < 3; ++c) store(new_vector(tile, c).at(row, f), x.v[c]);
        }
        put(tile.team, s, row, f, x.s);
        if (row >= tile.atoms) return;
        store(kept.gates + 2 * C * row + f, a.sv);
        if constexpr (Last) return;
        stream(kept.gates + 2 * C * row + C + f, a.v);
        stream(state + 4 * C * row + f, x.s);
        for (int c = 0; c < 3; ++c) stream(state + 4 * C * row + (1 + c) * C + f, x.v[c]);
      });
}

/// What the adjoint of update reads of four channels: V and W, the adjoint behind it, and gates. In
/// the last layer neither the adjoint of v nor its gate is there.
struct BehindUpdate {
  Mixed mixed;
  Features<Channels> x_bar;
  Gates<Channels> a;

  template <bool Last>
  static __device__ BehindUpdate read(int C, int row, int f, const UpdateKept &kept,
                                      const float *h) {
    const float *gates = kept.gates + 2 * C * row + f;
    BehindUpdate x = {Mixed::read(C, kept.mixed + 6 * C * row + f), {}, {}};
    if constexpr (Last)
      x.x_bar.s = load(h + 4 * C * row + f);
    else
      x.x_bar = load_features(C, h + 4 * C * row + f);
    x.a.sv = load(gates);
    if constexpr (!Last) x.a.v = load(gates + C);
    return x;
  }
};

/// The first half of update_adjoint: the small operand becomes the adjoint of the hidden layer
/// before its SiLU.
template <bool Last, class Team>
__device__ inline void gates_adjoint(const Tile<Team> &tile, const SplitLayer &upd1,
                                     const UpdateKept &kept, const Operand &gates_bar,
                                     const float *h) {
  const int C = tile.C;
  const Operand hidden_bar = tile.in_small(C);
  const auto read_behind = [&](int row, int f) {
    return BehindUpdate::read<Last>(C, tile.row(row), f, kept, h);
  };
  each_four(tile.team, C, read_behind, [&](int row, int f, const BehindUpdate &behind) {
    const Mixed &mixed = behind.mixed;
    const Gates<Channels> bar = update_adjoint_gates(mixed.V, mixed.W, behind.x_bar);
    put(tile.team, gates_bar, row, f, bar.s);
    put(tile.team, gates_bar, row, C + f, bar.sv);
    if constexpr (!Last) put(tile.team, gates_bar, row, 2 * C + f, bar.v);
  });
  product<1, Tile<Team>::kFragments, 1>(
      tile.team, upd1, C, gates_bar,
      [&](int row, int f) { return load(kept.hidden_slope + C * tile.row(row) + f); },
      [&](int row, int f, const Channels(&y)[1][1], const Channels &slope) {
        put(tile.team, hidden_bar, row, f, y[0][0] * slope);
      });
}

/// Adjoint of update: h [4][C], the adjoint behind the update, becomes that before it. In the last
/// layer h.v is zero and not read. gates_bar: memory for the first operand.
template <bool Last, class Team>
__device__ inline void update_adjoint(const Tile<Team> &tile, const UpdateAdjointLayers &layers,
                                      const UpdateKept &kept, const Operand &gates_bar, float *h) {
  constexpr int M = Team::kRows;
  const int C = tile.C;
  tile.team.wait();
  gates_adjoint<Last>(tile, layers.upd1, kept, gates_bar, h);
  const Operand mixed_bar = tile.in_large(2 * C);
  const auto read_behind = [&](int row, int f) {
    return BehindUpdate::read<Last>(C, tile.row(row), f, kept, h);
  };
  product<1, Tile<Team>::kFragments, 2>(
      tile.team, layers.upd0, C, tile.in_small(C), read_behind,
      [&](int row, int f, const Channels(&y)[1][2], const BehindUpdate &behind) {
        const Mixed &mixed = behind.mixed;
        const Channels n_bar_over_n = over_root(y[0][1], squared_norm(mixed.V, tile.epsilon));
        Mixed bar;
        update_adjoint_mix(behind.a, mixed.V, mixed.W, n_bar_over_n, behind.x_bar, bar.V, bar.W);
        for (int c = 0; c < 3; ++c) {
          put(tile.team, mixed_bar, c * M + row, f, bar.V[c]);
          put(tile.team, mixed_bar, c * M + row, C + f, bar.W[c]);
        }
        if (row < tile.atoms) store(h + 4 * C * row + f, behind.x_bar.s + y[0][0]);
      });
  struct Vector {
    Channels x[3];
  };
  const auto read_v_bar = [&](int row, int f) {
    Vector v_bar = {};
    if (!Last && row < tile.atoms) load3(C, h + 4 * C * row + C + f, v_bar.x);
    return v_bar;
  };
  product<3, Tile<Team>::kFragments, 1>(
      tile.team, layers.mix, C, mixed_bar, read_v_bar,
      [&](int row, int f, const Channels(&y)[3][1], const Vector &v_bar) {
        if (row >= tile.atoms) return;
        float *to = h + 4 * C * row + C + f;
        for (int c = 0; c < 3; ++c) store(to + c * C, Last ? y[c][0] : v_bar.x[c] + y[c][0]);
      });
}

/// senders [5][C] from what update leaves: s in the small operand, and the new v.
template <class Team>
__device__ inline void make_senders(const Tile<Team> &tile, const PhiLayers &layers,
                                    const PhiKept &kept, float *senders) {
  const int C = tile.C;
  const Operand s = tile.in_small(C), hidden = tile.in_large(C);
  product<1, Tile<Team>::kFragments, 1>(tile.team, layers.phi0, C, s, Nothing(),
                                        [&](int row, int f, const Channels(&y)[1][1], Nothing) {
                                          Channels slope;
                                          put(tile.team, hidden, row, f, silu(y[0][0], slope));
                                          if (row < tile.atoms)
                                            stream(kept.phi_slope + C * row + f, slope);
                                        });
  product<1, Tile<Team>::kFragments, 3>(tile.team, layers.phi1, C, hidden, Nothing(),
                                        [&](int row, int f, const Channels(&y)[1][3], Nothing) {
                                          if (row >= tile.atoms) return;
                                          float *sender = senders + 5 * C * row + f;
                                          stream(sender, y[0][0]);
                                          stream(sender + C, y[0][1]);
                                          for (int c = 0; c < 3; ++c)
                                            stream(sender + (2 + c) * C,
                                                   y[0][2] * load(new_vector(tile, c).at(row, f)));
                                          stream(kept.xc + C * row + f, y[0][2]);
                                        });
}

/// Adjoint of make_senders: h [4][C] = features_bar [4][C] + what sender_bar [5][C] adds to it.
template <class Team>
__device__ inline void make_senders_adjoint(const Tile<Team> &tile, const PhiAdjointLayers &layers,
                                            const PhiKept &kept, const float *state,
                                            const float *sender_bar, const float *features_bar,
                                            float *h) {
  const int C = tile.C;
  const Operand x_bar = tile.in_large(3 * C), hidden_bar = tile.in_small(C);
  struct Before {
    Channels xc, a_bar, b_bar, v[3], p_bar[3], v_bar[3];
  };
  const auto read_before = [&](int row, int f) {
    const int at = tile.row(row);
    const float *bar = sender_bar + 5 * C * at + f;
    Before before = {load(kept.xc + C * at + f), load(bar), load(bar + C), {}, {}, {}};
    load3(C, state + 4 * C * at + C + f, before.v);
    load3(C, bar + 2 * C, before.p_bar);
    load3(C, features_bar + 4 * C * at + C + f, before.v_bar);
    return before;
  };
  each_four(tile.team, C, read_before, [&](int row, int f, Before before) {
    put(tile.team, x_bar, row, f, before.a_bar);
    put(tile.team, x_bar, row, C + f, before.b_bar);
    put(tile.team, x_bar, row, 2 * C + f,
        product_adjoint(before.xc, before.v, before.p_bar, before.v_bar));
    if (row < tile.atoms) store3(C, h + 4 * C * row + C + f, before.v_bar);
  });
  product<1, Tile<Team>::kFragments, 1>(
      tile.team, layers.phi1, C, x_bar,
      [&](int row, int f) { return load(kept.phi_slope + C * tile.row(row) + f); },
      [&](int row, int f, const Channels(&y)[1][1], const Channels &slope) {
        put(tile.team, hidden_bar, row, f, y[0][0] * slope);
      });
  product<1, Tile<Team>::kFragments, 1>(
      tile.team, layers.phi0, C, hidden_bar,
      [&](int row, int f) { return load(features_bar + 4 * C * tile.row(row) + f); },
      [&](int row, int f, const Channels(&y)[1][1], const Channels &s_bar) {
        if (row < tile.atoms) store(h + 4 * C * row + f, s_bar + y[0][0]);
      });
}

/// Outputs of the read-out's dense layer k, and their slopes, in the large operand's memory.
template <class Team>
__device__ inline Operand read_out_rows(const Tile<Team> &tile, const ReadOutLayers &read_out,
                                        int k, bool slope) {
  const int width = read_out.forward[k].outputs;
  int offset = slope ? width : 0;
  for (int i = 0; i < k; ++i) offset += 2 * read_out.forward[i].outputs;
  return {tile.large + tile.M * offset, tile.large_scale, width};
}

/// Memory behind these rows, which somebody may still read, for the first operand of what follows.
template <class Team>
__device__ inline Operand behind_read_out(const Tile<Team> &tile, const ReadOutLayers &read_out) {
  int offset = 0;
  for (int i = 0; i < read_out.hidden; ++i) offset += 2 * read_out.forward[i].outputs;
  return {tile.large + tile.M * offset, tile.large_scale, 2 * tile.C};
}

/// Channels weights of the last sum: its adjoint.
__device__ inline Channels last_weights(const ReadOutLayers &read_out, int f) {
  const double *w = read_out.weights + f;
  return {static_cast<float>(w[0]), static_cast<float>(w[1]), static_cast<float>(w[2]),
          static_cast<float>(w[3])};
}

/// Energies, weighted sums of x. One warp sums a row, always in the same order.
template <class Team>
__device__ inline void sum_energies(const Tile<Team> &tile, const ReadOutLayers &read_out,
                                    const Operand &x, double *energies) {
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int row = tile.team.warp(); row < tile.atoms; row += tile.team.warps()) {
    double sum = 0;
#pragma unroll 1
    for (int f = 4 * lane; f < x.width; f += 128) {
      const Channels y = load(x.at(row, f));
      const double *w = read_out.weights + f;
      sum += w[0] * y.x;
      sum += w[1] * y.y;
      sum += w[2] * y.z;
      sum += w[3] * y.w;
    }
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
    if (lane == 0) energies[row] = sum + read_out.bias;
  }
}

/// Energies from s in the small operand, and s_bar, the s part of h [4][C]. Slopes become adjoints
/// of what has them: of the dense layers' outputs before their SiLU.
template <class Team>
__device__ inline void read_out_and_adjoint(const Tile<Team> &tile, const ReadOutLayers &read_out,
                                            double *energies, float *h) {
  const int C = tile.C, last = read_out.hidden - 1;
  const auto store_s_bar = [&](int row, int f, const Channels &s_bar) {
    if (row < tile.atoms) store(h + 4 * C * row + f, s_bar);
  };
  Operand x = tile.in_small(C);
#pragma unroll 1
  for (int k = 0; k <= last; ++k) {
    const Operand y = read_out_rows(tile, read_out, k, false),
                  y_bar = read_out_rows(tile, read_out, k, true);
    product<1, Tile<Team>::kFragments, 1>(
        tile.team, read_out.forward[k], y.width, x,
        [&](int, int f) { return k < last ? Channels{} : last_weights(read_out, f); },
        [&](int row, int f, const Channels(&sum)[1][1], const Channels &last_adjoint) {
          Channels slope;
          put(tile.team, y, row, f, silu(sum[0][0], slope));
          if (k < last)
            store(y_bar.at(row, f), slope);
          else
            put(tile.team, y_bar, row, f, slope * last_adjoint);
        });
    x = y;
  }
  if (last >= 0) tile.team.also(x.width);
#pragma unroll 1
  for (int k = last; k > 0; --k) {
    const Operand x_bar = read_out_rows(tile, read_out, k - 1, true);
    product<1, Tile<Team>::kFragments, 1>(
        tile.team, read_out.adjoint[k], x_bar.width, read_out_rows(tile, read_out, k, true),
        Nothing(), [&](int row, int f, const Channels(&y)[1][1], Nothing) {
          put(tile.team, x_bar, row, f, y[0][0] * load(x_bar.at(row, f)));
        });
  }
  if (last < 0) {
    each_four(tile.team, C, Nothing(),
              [&](int row, int f, Nothing) { store_s_bar(row, f, last_weights(read_out, f)); });
    await(tile.team, x);
  } else {
    product<1, Tile<Team>::kFragments, 1>(
        tile.team, read_out.adjoint[0], C, read_out_rows(tile, read_out, 0, true), Nothing(),
        [&](int row, int f, const Channels(&y)[1][1], Nothing) { store_s_bar(row, f, y[0][0]); });
  }
  sum_energies(tile, read_out, x, energies);
}

}  // namespace mlff::cuda
