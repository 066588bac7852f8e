// sum_forces of kokkos/forces.h on NVIDIA GPUs: a warp has an atom, and looks for the reverse edges
// of several of its edges at a time, so that loads are in flight together.
#pragma once

#include "cuda/launch.cuh"
#include "forces.h"

namespace mlff::cuda {

using device::Edges;

/// The first place from which neighbour[begin + lane], ... is `row`, searched by all lanes.
__device__ __forceinline__ int find_row(const int *neighbour, int begin, int count, int row,
                                        int first, int second) {
  int hit = first == row ? begin + lane_of_thread() : -1;
  if (hit < 0 && second == row) hit = begin + kWarp + lane_of_thread();
  for (int k = 2 * kWarp + lane_of_thread(); hit < 0 && k < count; k += kWarp)
    if (__ldg(neighbour + begin + k) == row) hit = begin + k;
  const unsigned hits = __ballot_sync(kAllLanes, hit >= 0);
  return hits ? __shfl_sync(kAllLanes, hit, __ffs(hits) - 1) : -1;
}

/// For each lane's edge from `row` to `j` an edge of j that leads to `row`, or -1.
__device__ __forceinline__ int edges_back(const Edges<float> &edges, int row, int j,
                                          int edges_of_lanes) {
  constexpr int kTogether = 4;
  const bool local = j < edges.rows;
  const int begin = local ? __ldg(edges.begin + j) : 0;
  const int count = local ? __ldg(edges.end + j) - begin : 0;
  int back = -1;
  for (int k0 = 0; k0 < edges_of_lanes; k0 += kTogether) {
    int from[kTogether], size[kTogether], first[kTogether], second[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      from[k] = __shfl_sync(kAllLanes, begin, k0 + k);
      size[k] = __shfl_sync(kAllLanes, count, k0 + k);
      const int lane = lane_of_thread();
      first[k] = lane < size[k] ? __ldg(edges.neighbour + from[k] + lane) : -1;
      second[k] = kWarp + lane < size[k] ? __ldg(edges.neighbour + from[k] + kWarp + lane) : -1;
    }
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      const int found = find_row(edges.neighbour, from[k], size[k], row, first[k], second[k]);
      if (lane_of_thread() == k0 + k) back = found;
    }
  }
  return back;
}

/// The reverse of edge e among all edges of its neighbour j: for neighbours through several images.
__device__ inline int search_all(const device::ReverseTest<float> &is_reverse, int row, int e,
                                 int j) {
  for (int back = is_reverse.edges.begin[j]; back < is_reverse.edges.end[j]; ++back)
    if (is_reverse(row, e, back)) return back;
  return -1;
}

constexpr int kForceThreads = 128;

template <class Sum>
__global__ void __launch_bounds__(kForceThreads)
    sum_forces_kernel(const device::ReverseTest<float> is_reverse,
                      const device::EdgeGradient<float> *gradient, const int *atom_of_row,
                      const device::AtomEnergy energy, double scale,
                      device::Trouble::Reporter report, double *forces) {
  const Edges<float> &edges = is_reverse.edges;
  const int row = (blockIdx.x * kForceThreads + threadIdx.x) / kWarp;
  if (row >= edges.rows) return;
  Sum force[3] = {};
  const int end = edges.end[row];
  for (int e0 = edges.begin[row]; e0 < end; e0 += kWarp) {
    const int e = e0 + lane_of_thread();
    const int j = e < end ? edges.neighbour[e] : edges.rows;
    int back = edges_back(edges, row, j, min(kWarp, end - e0));
    if (e >= end) continue;
    if (back >= 0 && !is_reverse(row, e, back)) back = search_all(is_reverse, row, e, j);
    for (int c = 0; c < 3; ++c) {
      force[c] += gradient[e].u[c];
      if (back >= 0) force[c] -= gradient[back].u[c];
    }
  }
  for (int c = 0; c < 3; ++c)
    for (int mask = 1; mask < kWarp; mask *= 2)
      force[c] += __shfl_xor_sync(kAllLanes, force[c], mask);
  if (lane_of_thread() != 0) return;
  const int atom = atom_of_row[row];
  if (!isfinite(energy(row)) || !isfinite(force[0] + force[1] + force[2]))
    report(device::Trouble::Result, atom);
  if (forces)
    for (int c = 0; c < 3; ++c) forces[3 * std::size_t(atom) + c] += scale * force[c];
}

template <class Sum>
void sum_forces(cudaStream_t stream, const device::ReverseTest<float> &is_reverse,
                const device::EdgeGradient<float> *gradient, const int *atom_of_row,
                const device::AtomEnergy &energy, double scale, device::Trouble::Reporter report,
                double *forces) {
  constexpr int kRows = kForceThreads / kWarp;
  const int rows = is_reverse.edges.rows;
  if (rows == 0) return;
  sum_forces_kernel<Sum><<<(rows + kRows - 1) / kRows, kForceThreads, 0, stream>>>(
      is_reverse, gradient, atom_of_row, energy, scale, report, forces);
  check(cudaGetLastError());
}

}  // namespace mlff::cuda
