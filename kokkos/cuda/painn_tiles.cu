#include "painn_tiles.h"

#include <algorithm>

#include "multiprocessors.h"
#include "painn_layers.cuh"

namespace mlff::cuda {

namespace {

/// Shared memory of a tile, in numbers for each atom; the small operand takes its last ones.
struct Widths {
  int all, small;

  constexpr int bytes(int M) const { return 4 * M * (all + 4); }
};

constexpr Widths forward_widths(int C) { return {6 * C, 2 * C}; }
constexpr Widths backward_widths(int C) { return {7 * C, C}; }
/// The rows of the read-out's hidden layers and of their slopes share the large operand's memory.
constexpr Widths turn_widths(int C, int hidden_outputs) {
  return {std::max(7 * C, 2 * hidden_outputs + 4 * C), 2 * C};
}
Widths dense_widths(int inputs) { return {(inputs + 31) / 32 * 32, 0}; }

/// The tile that begins with row `first`.
template <class Team>
__device__ Tile<Team> make_tile(int C, float epsilon, Widths widths, int first, int size) {
  constexpr int M = Team::kRows;
  extern __shared__ float4 shared[];
  float *large = reinterpret_cast<float *>(shared), *end = large + M * widths.all;
  return {Team(end + 4 * M, min(M, size - first)),
          C,
          min(M, size - first),
          epsilon,
          large,
          end - M * widths.small,
          end,
          end + 3 * M};
}

/// Where the rows begin that belong to an atom.
__host__ __device__ UpdateKept offset(const UpdateKept &kept, int C, int row) {
  const std::size_t at = std::size_t(C) * row;
  return {kept.mixed + 6 * at, kept.hidden_slope + at, kept.gates + 2 * at};
}

__host__ __device__ PhiKept offset(const PhiKept &kept, int C, int row) {
  const std::size_t at = std::size_t(C) * row;
  return {kept.phi_slope + at, kept.xc + at};
}

/// Blocks that a multiprocessor is to run at a time, which decides how many registers a thread may
/// have. Two overlap each other's phases, if they leave the L1 cache enough of the memory that it
/// shares with them: up to `most_channels`. Numbers of channels that are not known to the compiler
/// (0) take too many registers, and small tiles are for so few atoms that there is but one block.
constexpr int blocks_at_a_time(int M, int channels, int most_channels) {
  return M > 16 && channels > 0 && channels <= most_channels ? 2 : 1;
}

#define MLFF_TILE_KERNEL(blocks) __global__ __launch_bounds__(kTileThreads, blocks)

struct FinishLayer {
  int size, C;
  float epsilon;
  Widths widths;
  UpdateLayers update;
  PhiLayers phi;
  UpdateKept update_kept;
  PhiKept phi_kept;
  const float *features;
  float *state, *senders;
};

template <class Team, int kChannels>
MLFF_TILE_KERNEL(blocks_at_a_time(Team::kRows, kChannels, 128))
void finish_layer_kernel(const __grid_constant__ FinishLayer p) {
  const int first = Team::kRows * Team::tile(), C = kChannels > 0 ? kChannels : p.C;
  const std::size_t at = std::size_t(C) * first;
  const Tile<Team> tile = make_tile<Team>(C, p.epsilon, p.widths, first, p.size);
  update<false>(tile, p.update, offset(p.update_kept, C, first), p.features + 4 * at,
                p.state + 4 * at);
  make_senders(tile, p.phi, offset(p.phi_kept, C, first), p.senders + 5 * at);
}

struct FinishLayerAdjoint {
  int size, C;
  float epsilon;
  Widths widths;
  PhiAdjointLayers phi;
  UpdateAdjointLayers update;
  PhiKept phi_kept;
  UpdateKept update_kept;
  const float *state, *sender_bar, *features_bar_in;
  float *features_bar_out;
};

template <class Team, int kChannels>
MLFF_TILE_KERNEL(blocks_at_a_time(Team::kRows, kChannels, 64))
void finish_layer_adjoint_kernel(const __grid_constant__ FinishLayerAdjoint p) {
  const int first = Team::kRows * Team::tile(), C = kChannels > 0 ? kChannels : p.C;
  const std::size_t at = std::size_t(C) * first;
  const Tile<Team> tile = make_tile<Team>(C, p.epsilon, p.widths, first, p.size);
  make_senders_adjoint(tile, p.phi, offset(p.phi_kept, C, first), p.state + 4 * at,
                       p.sender_bar + 5 * at, p.features_bar_in + 4 * at,
                       p.features_bar_out + 4 * at);
  update_adjoint<false>(tile, p.update, offset(p.update_kept, C, first), tile.in_large(3 * C),
                        p.features_bar_out + 4 * at);
}

struct Turn {
  int size, C;
  float epsilon;
  Widths widths;
  UpdateLayers update;
  UpdateAdjointLayers update_adjoint;
  ReadOutLayers read_out;
  UpdateKept scratch;
  const float *features;
  double *energies;
  float *features_bar;
};

template <class Team, int kChannels>
MLFF_TILE_KERNEL(blocks_at_a_time(Team::kRows, kChannels, 64))
void turn_kernel(const __grid_constant__ Turn p) {
  const int C = kChannels > 0 ? kChannels : p.C;
  constexpr int M = Team::kRows;
  const UpdateKept kept = offset(p.scratch, C, M * Team::tile());
  for (int first = M * Team::tile(); first < p.size; first += M * Team::tiles()) {
    Tile<Team> tile = make_tile<Team>(C, p.epsilon, p.widths, first, p.size);
    const std::size_t at = std::size_t(4) * C * first;
    update<true>(tile, p.update, kept, p.features + at, nullptr);
    read_out_and_adjoint(tile, p.read_out, p.energies + first, p.features_bar + at);
    tile.small += M * C;
    update_adjoint<true>(tile, p.update_adjoint, kept, behind_read_out(tile, p.read_out),
                         p.features_bar + at);
    if constexpr (!Team::kManyTiles) break;
    tile.team.wait();
  }
}

/// Of the first layer's sums one dense layer for s and one for v: y [4][outputs, of stride to] = x
/// [4][inputs, of stride from] W^T, and for s the elements' rows of a table.
struct FirstDense {
  int size;
  SplitLayer scalar, vector;
  int from, to;
  const float *x;
  float *y;
  const int *element;
  const float *table;
};

template <class Team>
MLFF_TILE_KERNEL(Team::kRows > 16 ? 3 : 2)
void first_dense_kernel(const __grid_constant__ FirstDense p) {
  const int first = Team::kRows * Team::tile(), component = blockIdx.y;
  const SplitLayer &layer = component == 0 ? p.scalar : p.vector;
  const int width = (layer.inputs + 31) / 32 * 32;
  const Tile<Team> tile = make_tile<Team>(0, 0, {width, 0}, first, p.size);
  const Operand x = tile.in_large(width);
  const auto read_x = [&](int row, int f) {
    const std::size_t at = (std::size_t(first + tile.row(row)) * 4 + component) * p.from + f;
    return f < layer.inputs ? load(p.x + at) : Channels{};
  };
  each_four(tile.team, width, read_x,
            [&](int row, int f, const Channels &y) { put(tile.team, x, row, f, y); });
  const auto read_table = [&](int row, int f) {
    if (component > 0 || !p.table) return Channels{};
    return load(p.table + std::size_t(p.element[first + tile.row(row)]) * layer.outputs + f);
  };
  product<1, Tile<Team>::kFragments, 1>(
      tile.team, layer, layer.outputs, x, read_table,
      [&](int row, int f, const Channels(&y)[1][1], const Channels &of_element) {
        if (row >= tile.atoms) return;
        store(p.y + (std::size_t(first + row) * 4 + component) * p.to + f, y[0][0] + of_element);
      },
      false);  // or a block might send to one that has ended
}

/// A kernel for clusters whose blocks have one strip, or several, two at a time; and for small and
/// large tiles of a block, each for any number of channels and for the usual ones.
template <class Arguments>
struct Kernels {
  using Kernel = void (*)(Arguments);
  struct Sizes {
    Kernel cluster, cluster_of_pairs, small, large;
  } any, usual[3];

  const Sizes &choose(int C) const {
    return C == 64 ? usual[0] : C == 128 ? usual[1] : C == 256 ? usual[2] : any;
  }
};

#define MLFF_KERNELS(kernel, channels)                                                          \
  {                                                                                             \
    kernel<Cluster<1>, channels>, kernel<Cluster<2>, channels>, kernel<OneBlock<16>, channels>, \
        kernel<OneBlock<32>, channels>                                                          \
  }
#define MLFF_ALL_KERNELS(kernel)                                                     \
  {                                                                                  \
    MLFF_KERNELS(kernel, 0), {                                                       \
      MLFF_KERNELS(kernel, 64), MLFF_KERNELS(kernel, 128), MLFF_KERNELS(kernel, 256) \
    }                                                                                \
  }
constexpr Kernels<FinishLayer> kFinishLayer = MLFF_ALL_KERNELS(finish_layer_kernel);
constexpr Kernels<FinishLayerAdjoint> kFinishLayerAdjoint =
    MLFF_ALL_KERNELS(finish_layer_adjoint_kernel);
constexpr Kernels<Turn> kTurn = MLFF_ALL_KERNELS(turn_kernel);
constexpr Kernels<FirstDense> kFirstDense = {
    {first_dense_kernel<Cluster<1>>, first_dense_kernel<Cluster<2>>,
     first_dense_kernel<OneBlock<16>>, first_dense_kernel<OneBlock<32>>},
    {}};

/// Ten times the compute capability that kernels were compiled for: the device's may be higher.
int compiled_for() {
  static const int known = [] {
    cudaFuncAttributes attributes;
    check(cudaFuncGetAttributes(&attributes, kFirstDense.any.small));
    return attributes.ptxVersion;
  }();
  return known;
}

/// How atoms are divided: into tiles of M, each for a block or for a cluster of some. Tiles are
/// small and have clusters where the processors would otherwise have nothing to do; or they are
/// small where shared memory holds no more. A cluster's blocks have as few strips as they can, or
/// two: clusters of fewer blocks are slower than one block.
struct Division {
  int M = 16, cluster = 1;
  int bytes;  ///< of shared memory

  /// strips: of 16 output columns, which a cluster is to share evenly.
  Division(int size, int components, int strips, Widths widths) {
    const int processors = multiprocessors().count;
    const int most = multiprocessors().shared_bytes;
    const int small_tiles = (size + 15) / 16;
    if (compiled_for() >= 90 && Cluster<1>::bytes() + widths.bytes(16) <= most) {
      int blocks = std::min(strips, Cluster<1>::kMostBlocks);
      while (strips % blocks != 0) --blocks;
      const auto all_run = [&] { return small_tiles * components * blocks <= processors; };
      if (!all_run() && strips == blocks && blocks % 2 == 0) blocks /= 2;
      if (all_run()) cluster = blocks;
    }
    if (cluster == 1 && small_tiles > processors && widths.bytes(32) <= most) M = 32;
    bytes = widths.bytes(M) + (cluster > 1 ? Cluster<1>::bytes() : 0);
  }
};

/// Launches blocks for all tiles and components, of which a tile's has `outputs` columns; at most
/// for `most_rows` atoms, if not 0.
template <class Arguments>
void launch(Stream stream, const Kernels<Arguments> &kernels, int C, int outputs, Widths widths,
            Arguments arguments, int components = 1, int most_rows = 0) {
  if (arguments.size == 0) return;
  const int strips = outputs / 16;
  const Division by(arguments.size, components, strips, widths);
  const auto &sizes = kernels.choose(C);
  const auto of_clusters = strips > by.cluster ? sizes.cluster_of_pairs : sizes.cluster;
  const auto kernel = by.cluster > 1 ? of_clusters : by.M == 16 ? sizes.small : sizes.large;
  int tiles = (arguments.size + by.M - 1) / by.M;
  if (most_rows > 0) tiles = std::min(tiles, most_rows / by.M);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             multiprocessors().shared_bytes));
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(tiles * by.cluster, components);
  config.blockDim = dim3(kTileThreads);
  config.dynamicSmemBytes = by.bytes;
  config.stream = stream;
  cudaLaunchAttribute cluster;
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(by.cluster), 1, 1};
  config.attrs = &cluster;
  config.numAttrs = by.cluster > 1;
  check(cudaLaunchKernelEx(&config, kernel, arguments));
}

}  // namespace

bool painn_tiles_fit(int C, int first_layer_inputs, int hidden_outputs) {
  if (compiled_for() < 80 || C % device::kChannelPadding != 0) return false;
  const int most = multiprocessors().shared_bytes;
  return turn_widths(C, hidden_outputs).bytes(16) <= most &&
         dense_widths(first_layer_inputs).bytes(16) <= most;
}

void first_features(Stream stream, device::Range range, int C, const int *element,
                    const float *embedding, const SplitLayer &scalar, const SplitLayer &vector,
                    int stride, const float *sums, float *features) {
  launch(stream, kFirstDense, 0, C, dense_widths(scalar.inputs),
         FirstDense{range.size, scalar, vector, stride, C, sums, features, element + range.begin,
                    embedding},
         4);
}

void first_features_adjoint(Stream stream, device::Range range, int C, const SplitLayer &scalar,
                            const SplitLayer &vector, int stride, const float *features_bar,
                            float *sums_bar) {
  launch(stream, kFirstDense, 0, stride, dense_widths(C),
         FirstDense{range.size, scalar, vector, C, stride,
                    features_bar + std::size_t(4) * C * range.begin, sums_bar, nullptr, nullptr},
         4);
}

void finish_layer(Stream stream, device::Range range, int C, float epsilon,
                  const UpdateLayers &update, const PhiLayers &phi, const UpdateKept &update_kept,
                  const PhiKept &phi_kept, const float *features, float *state, float *senders) {
  const std::size_t begin = std::size_t(C) * range.begin;
  const Widths widths = forward_widths(C);
  launch(stream, kFinishLayer, C, C, widths,
         FinishLayer{range.size, C, epsilon, widths, update, phi,
                     offset(update_kept, C, range.begin), offset(phi_kept, C, range.begin),
                     features, state + 4 * begin, senders + 5 * begin});
}

int turn_rows() { return 2 * 32 * multiprocessors().count; }

void turn(Stream stream, device::Range range, int C, float epsilon, const UpdateLayers &update,
          const UpdateAdjointLayers &update_adjoint, const ReadOutLayers &read_out,
          const UpdateKept &scratch, const float *features, double *energies, float *features_bar) {
  int hidden_outputs = 0;
  for (int k = 0; k < read_out.hidden; ++k) hidden_outputs += read_out.forward[k].outputs;
  const Widths widths = turn_widths(C, hidden_outputs);
  launch(stream, kTurn, C, C, widths,
         Turn{range.size, C, epsilon, widths, update, update_adjoint, read_out, scratch, features,
              energies + range.begin, features_bar + std::size_t(4) * C * range.begin},
         1, turn_rows());
}

void finish_layer_adjoint(Stream stream, device::Range range, int C, float epsilon,
                          const PhiAdjointLayers &phi, const UpdateAdjointLayers &update,
                          const PhiKept &phi_kept, const UpdateKept &update_kept,
                          const float *state, const float *sender_bar, const float *features_bar_in,
                          float *features_bar_out) {
  const std::size_t begin = std::size_t(C) * range.begin;
  const Widths widths = backward_widths(C);
  launch(stream, kFinishLayerAdjoint, C, C, widths,
         FinishLayerAdjoint{range.size, C, epsilon, widths, phi, update,
                            offset(phi_kept, C, range.begin), offset(update_kept, C, range.begin),
                            state + 4 * begin, sender_bar, features_bar_in + 4 * begin,
                            features_bar_out + 4 * begin});
}

}  // namespace mlff::cuda
