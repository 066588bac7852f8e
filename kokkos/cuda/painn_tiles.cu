#include "painn_tiles.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "painn_layers.cuh"

namespace mlff::cuda {

namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}

int attribute(cudaDeviceAttr what) {
  int device, value;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&value, what, device));
  return value;
}

/// Shared memory of a tile, in numbers for each atom; the small operand takes its last ones.
struct Widths {
  int all, small;

  constexpr int bytes(int M) const { return 4 * M * (all + 4); }
};

constexpr Widths forward_widths(int C) { return {6 * C, 2 * C}; }
constexpr Widths backward_widths(int C) { return {7 * C, C}; }
/// The read-out's rows share the large operand's memory.
Widths turn_widths(int C, const ReadOutLayers &read_out) {
  int hidden = 0;
  for (int k = 0; k < read_out.hidden; ++k) hidden += 2 * read_out.forward[k].outputs;
  return {std::max(7 * C, hidden + 2 * C), 2 * C};
}
Widths dense_widths(int inputs) { return {(inputs + 31) / 32 * 32, 0}; }

/// The block's tile, whose first row is `first`.
template <int M>
__device__ Tile<M> make_tile(int C, float epsilon, Widths widths, int first, int size) {
  extern __shared__ float4 shared[];
  float *large = reinterpret_cast<float *>(shared), *end = large + M * widths.all;
  return {C, min(M, size - first), epsilon, large, end - M * widths.small, end, end + 3 * M};
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

#define MLFF_TILE_KERNEL(blocks) __global__ __launch_bounds__(32 * kWarps<M>, blocks)

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

template <int M, int kChannels>
MLFF_TILE_KERNEL(blocks_at_a_time(M, kChannels, 128))
void finish_layer_kernel(const __grid_constant__ FinishLayer p) {
  const int first = M * blockIdx.x, C = kChannels > 0 ? kChannels : p.C;
  const std::size_t at = std::size_t(C) * first;
  const Tile<M> tile = make_tile<M>(C, p.epsilon, p.widths, first, p.size);
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

template <int M, int kChannels>
MLFF_TILE_KERNEL(blocks_at_a_time(M, kChannels, 64))
void finish_layer_adjoint_kernel(const __grid_constant__ FinishLayerAdjoint p) {
  const int first = M * blockIdx.x, C = kChannels > 0 ? kChannels : p.C;
  const std::size_t at = std::size_t(C) * first;
  const Tile<M> tile = make_tile<M>(C, p.epsilon, p.widths, first, p.size);
  make_senders_adjoint(tile, p.phi, offset(p.phi_kept, C, first), p.state + 4 * at,
                       p.sender_bar + 5 * at, p.features_bar_in + 4 * at,
                       p.features_bar_out + 4 * at);
  update_adjoint<false>(tile, p.update, offset(p.update_kept, C, first),
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

template <int M, int kChannels>
MLFF_TILE_KERNEL(blocks_at_a_time(M, kChannels, 64))
void turn_kernel(const __grid_constant__ Turn p) {
  const int C = kChannels > 0 ? kChannels : p.C;
  const UpdateKept kept = offset(p.scratch, C, M * blockIdx.x);
  for (int first = M * blockIdx.x; first < p.size; first += M * gridDim.x) {
    Tile<M> tile = make_tile<M>(C, p.epsilon, p.widths, first, p.size);
    const std::size_t at = std::size_t(4) * C * first;
    update<true>(tile, p.update, kept, p.features + at, nullptr);
    read_out_and_adjoint(tile, p.read_out, p.energies + first, p.features_bar + at);
    tile.small += M * C;
    update_adjoint<true>(tile, p.update_adjoint, kept, p.features_bar + at);
    __syncthreads();
  }
}

/// One dense layer of s and one of v: y [4][outputs, of stride to] = x [4][inputs, of stride from]
/// W^T, and for s the elements' rows of a table.
struct DensePair {
  int size;
  SplitLayer scalar, vector;
  int from, to;
  const float *x;
  float *y;
  const int *element;
  const float *table;
};

template <int M>
MLFF_TILE_KERNEL(M > 16 ? 3 : 2)
void dense_pair_kernel(const __grid_constant__ DensePair p) {
  const int first = M * blockIdx.x, component = blockIdx.y;
  const SplitLayer &layer = component == 0 ? p.scalar : p.vector;
  const int width = (layer.inputs + 31) / 32 * 32;
  const Tile<M> tile = make_tile<M>(0, 0, {width, 0}, first, p.size);
  const Operand x = tile.in_large(width);
  each_four<M>(width, [&](int row, int f) {
    const std::size_t at = (std::size_t(first + tile.row(row)) * 4 + component) * p.from + f;
    store(x.at(row, f), f < layer.inputs ? load(p.x + at) : Four{});
  });
  split_rows<M>(x);
  product<M, 1, Tile<M>::kFragments, 1>(
      layer, layer.outputs, x, [&](int row, int f, const Four(&y)[1][1]) {
        if (row >= tile.atoms) return;
        Four sum = y[0][0];
        if (component == 0 && p.table)
          sum += load(p.table + std::size_t(p.element[first + row]) * layer.outputs + f);
        store(p.y + (std::size_t(first + row) * 4 + component) * p.to + f, sum);
      });
}

/// A kernel for small and large tiles, each for any number of channels and for the usual ones.
template <class Arguments>
struct Kernels {
  using Kernel = void (*)(Arguments);
  Kernel any[2], usual[3][2];

  Kernel choose(int C, int M) const {
    const auto &kernels = C == 64 ? usual[0] : C == 128 ? usual[1] : C == 256 ? usual[2] : any;
    return kernels[M == 32];
  }
};

/// Atoms of a tile: few where the processors would otherwise have nothing to do, or where shared
/// memory holds no more.
int tile_size(int size, Widths widths) {
  const int processors = attribute(cudaDevAttrMultiProcessorCount);
  const int most = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return size <= 16 * processors || widths.bytes(32) > most ? 16 : 32;
}

/// Launches blocks for all tiles and components; at most for `most_rows` atoms, if not 0.
template <class Arguments>
void launch(Stream stream, const Kernels<Arguments> &kernels, int C, Widths widths,
            const Arguments &arguments, int components = 1, int most_rows = 0) {
  if (arguments.size == 0) return;
  const int M = tile_size(arguments.size, widths), bytes = widths.bytes(M);
  int blocks = (arguments.size + M - 1) / M;
  if (most_rows > 0) blocks = std::min(blocks, most_rows / M);
  const auto kernel = kernels.choose(C, M);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<dim3(blocks, components), 32 * kWarps<32>, bytes, stream>>>(arguments);
  check(cudaGetLastError());
}

#define MLFF_KERNELS(kernel)                                                  \
  {                                                                           \
    {kernel<16, 0>, kernel<32, 0>}, {                                         \
      {kernel<16, 64>, kernel<32, 64>}, {kernel<16, 128>, kernel<32, 128>}, { \
        kernel<16, 256>, kernel<32, 256>                                      \
      }                                                                       \
    }                                                                         \
  }
constexpr Kernels<FinishLayer> kFinishLayer = MLFF_KERNELS(finish_layer_kernel);
constexpr Kernels<FinishLayerAdjoint> kFinishLayerAdjoint =
    MLFF_KERNELS(finish_layer_adjoint_kernel);
constexpr Kernels<Turn> kTurn = MLFF_KERNELS(turn_kernel);
constexpr Kernels<DensePair> kDensePair = {{dense_pair_kernel<16>, dense_pair_kernel<32>}, {}};

}  // namespace

bool painn_tiles_fit(int C, int first_layer_inputs) {
  if (attribute(cudaDevAttrComputeCapabilityMajor) < 8 || C % device::kChannelPadding != 0)
    return false;
  const int most = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return turn_widths(C, {}).bytes(16) <= most && dense_widths(first_layer_inputs).bytes(16) <= most;
}

void first_features(Stream stream, device::Range range, int C, const int *element,
                    const float *embedding, const SplitLayer &scalar, const SplitLayer &vector,
                    int stride, const float *sums, float *features) {
  launch(stream, kDensePair, 0, dense_widths(scalar.inputs),
         DensePair{range.size, scalar, vector, stride, C, sums, features, element + range.begin,
                   embedding},
         4);
}

void first_features_adjoint(Stream stream, device::Range range, int C, const SplitLayer &scalar,
                            const SplitLayer &vector, int stride, const float *features_bar,
                            float *sums_bar) {
  launch(stream, kDensePair, 0, dense_widths(C),
         DensePair{range.size, scalar, vector, C, stride,
                   features_bar + std::size_t(4) * C * range.begin, sums_bar, nullptr, nullptr},
         4);
}

void finish_layer(Stream stream, device::Range range, int C, float epsilon,
                  const UpdateLayers &update, const PhiLayers &phi, const UpdateKept &update_kept,
                  const PhiKept &phi_kept, const float *features, float *state, float *senders) {
  const std::size_t begin = std::size_t(C) * range.begin;
  const Widths widths = forward_widths(C);
  launch(stream, kFinishLayer, C, widths,
         FinishLayer{range.size, C, epsilon, widths, update, phi,
                     offset(update_kept, C, range.begin), offset(phi_kept, C, range.begin),
                     features, state + 4 * begin, senders + 5 * begin});
}

int turn_rows() { return 2 * 32 * attribute(cudaDevAttrMultiProcessorCount); }

void turn(Stream stream, device::Range range, int C, float epsilon, const UpdateLayers &update,
          const UpdateAdjointLayers &update_adjoint, const ReadOutLayers &read_out,
          const UpdateKept &scratch, const float *features, double *energies, float *features_bar) {
  const Widths widths = turn_widths(C, read_out);
  launch(stream, kTurn, C, widths,
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
  launch(stream, kFinishLayerAdjoint, C, widths,
         FinishLayerAdjoint{range.size, C, epsilon, widths, phi, update,
                            offset(phi_kept, C, range.begin), offset(update_kept, C, range.begin),
                            state + 4 * begin, sender_bar, features_bar_in + 4 * begin,
                            features_bar_out + 4 * begin});
}

}  // namespace mlff::cuda
