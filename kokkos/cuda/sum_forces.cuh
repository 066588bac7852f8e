// sum_forces of kokkos/forces.h on NVIDIA GPUs: a warp has an atom, and looks for the reverse edges
// of several of its edges at a time, so that loads are in flight together.
#pragma once

#include "cuda/launch.cuh"
#include "forces.h"

namespace mlff::cuda {

using device::Edges;

/// For each lane's edge from `row` to `j` the first edge of j that leads to `row`, or -1.
__device__ __forceinline__ int edges_back(const Edges<float> &edges, int row, int j,
                                          int edges_of_lanes) {
  constexpr int kTogether = 12;
  const bool local = j < edges.rows;
  const int begin = local ? __ldg(edges.begin + j) : 0;
  const int count = local ? __ldg(edges.end + j) - begin : 0;
  int back = -1;
  // One piece of all lists after the other: short lists have only one, and most reverse edges are
  // found in the first. Lanes from k0 + k = kWarp on are those from 0 on again, to no effect.
  for (int piece = 0; __any_sync(kAllLanes, back < 0 && piece < count); piece += kWarp) {
    const int from = begin + piece, left = back < 0 ? count - piece : 0;
    unsigned hits = 0;
    for (int k0 = 0; k0 < edges_of_lanes; k0 += kTogether) {
      int leads_to[kTogether];
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int list = __shfl_sync(kAllLanes, from, k0 + k);
        const bool has_one = lane_of_thread() < __shfl_sync(kAllLanes, left, k0 + k);
        leads_to[k] = has_one ? __ldg(edges.neighbour + list + lane_of_thread()) : -1;
      }
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const unsigned hits_of_list = __ballot_sync(kAllLanes, leads_to[k] == row);
        if (lane_of_thread() == k0 + k) hits = hits_of_list;
      }
    }
    if (hits) back = from + __ffs(hits) - 1;
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
                      const device::AtomEnergy energy, device::Trouble::Reporter report,
                      const device::ForceRows forces) {
  const Edges<float> &edges = is_reverse.edges;
  const int row = (blockIdx.x * kForceThreads + threadIdx.x) / kWarp;
  if (row >= edges.rows) return;
  const int begin = edges.begin[row], end = edges.end[row], lane = lane_of_thread();
  const int atom = atom_of_row[row], element = energy.element[row];
  Sum force[3] = {};
  for (int e0 = begin; e0 < end; e0 += kWarp) {
    const int e = e0 + lane;
    const int j = e < end ? edges.neighbour[e] : edges.rows;
    int back = edges_back(edges, row, j, min(kWarp, end - e0));
    if (e >= end) continue;
    // Loaded before the test, which most often says yes.
    const Channels there = load(gradient[e].u);
    Channels here = back >= 0 ? load(gradient[back].u) : Channels{};
    if (back >= 0 && !is_reverse(row, e, back)) {
      back = search_all(is_reverse, row, e, j);
      here = back >= 0 ? load(gradient[back].u) : Channels{};
    }
    force[0] += there.x;
    force[1] += there.y;
    force[2] += there.z;
    force[0] -= here.x;
    force[1] -= here.y;
    force[2] -= here.z;
  }
  // Loaded while the lanes' forces are added up:
  const double energy_of_row = energy.of(row, element);
  double *own = forces.rows && lane < 3 ? forces.rows + 3 * std::size_t(atom) + lane : nullptr;
  const double before = own && forces.add ? *own : 0;
  for (int c = 0; c < 3; ++c)
    for (int mask = 1; mask < kWarp; mask *= 2)
      force[c] += __shfl_xor_sync(kAllLanes, force[c], mask);
  if (lane == 0 && !(isfinite(energy_of_row) && isfinite(force[0] + force[1] + force[2])))
    report(device::Trouble::Result, atom);
  if (own) *own = before + forces.scale * (lane == 0 ? force[0] : lane == 1 ? force[1] : force[2]);
}

template <class Sum>
void sum_forces(cudaStream_t stream, const device::ReverseTest<float> &is_reverse,
                const device::EdgeGradient<float> *gradient, const int *atom_of_row,
                const device::AtomEnergy &energy, device::Trouble::Reporter report,
                const device::ForceRows &forces) {
  constexpr int kRows = kForceThreads / kWarp;
  const int rows = is_reverse.edges.rows;
  if (rows == 0) return;
  sum_forces_kernel<Sum><<<(rows + kRows - 1) / kRows, kForceThreads, 0, stream>>>(
      is_reverse, gradient, atom_of_row, energy, report, forces);
  check(cudaGetLastError());
}

}  // namespace mlff::cuda
