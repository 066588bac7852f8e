// Arrays on the device, and loops over them.
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "device_data.h"

namespace mlff::device {

/// An array that grows and never shrinks. Growing loses the content.
template <class T, class Space>
class Array {
 public:
  explicit Array(std::string name = "mlff") : name_(std::move(name)) {}

  /// Makes room for n entries, and for some more where it had to grow before.
  void reserve(std::size_t n) {
    if (const std::size_t size = clear_to_grow(n))
      view_ = View(Kokkos::view_alloc(Kokkos::WithoutInitializing, name_), size);
  }
  /// The same, for entries that are read whether they were written or not: where it grows, all are
  /// zero.
  void reserve_zeros(std::size_t n) {
    if (const std::size_t size = clear_to_grow(n)) view_ = View(name_, size);
  }
  /// Copies a vector of the host, of any type of number.
  template <class From>
  void assign(const std::vector<From> &from) {
    reserve(from.size());
    if (from.empty()) return;
    const auto part = Kokkos::subview(view_, std::make_pair(std::size_t(0), from.size()));
    const auto host = Kokkos::create_mirror_view(part);
    for (std::size_t k = 0; k < from.size(); ++k) host(k) = static_cast<T>(from[k]);
    Kokkos::deep_copy(part, host);
  }
  T *data() const { return view_.data(); }
  std::size_t bytes() const { return view_.extent(0) * sizeof(T); }
  const auto &view() const { return view_; }

 private:
  using View = Kokkos::View<T *, typename Space::memory_space>;

  /// Gives back what is there and returns the entries to make room for; 0 if there is room.
  std::size_t clear_to_grow(std::size_t n) {
    if (n <= view_.extent(0)) return 0;
    const std::size_t size = view_.extent(0) == 0 ? n : n + n / 16;
    view_ = View();
    return size;
  }

  std::string name_;
  View view_;
};

template <class Space>
constexpr bool is_host =
    Kokkos::SpaceAccessibility<Kokkos::HostSpace, typename Space::memory_space>::accessible;

/// The first n entries; waits for the device.
template <class T, class Space>
void copy_to_host(std::vector<T> &to, const Array<T, Space> &from, std::size_t n) {
  to.resize(n);
  Kokkos::deep_copy(Kokkos::View<T *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(to.data(), n),
                    Kokkos::subview(from.view(), std::make_pair(std::size_t(0), n)));
}

/// Channels that one lane works on, see Channels.
template <class Space>
constexpr int kChannelsPerLane = is_host<Space> ? 8 : 1;
static_assert(kChannelPadding % 8 == 0, "rows are whole numbers of lanes");

template <class Space>
using Team = typename Kokkos::TeamPolicy<Space>::member_type;

/// Rows of a range, each handled by one thread of a team with its vector lanes.
template <class Space>
class RowPolicy {
 public:
  static constexpr int kRows = is_host<Space> ? 1 : 4;
  static constexpr int kLanes = is_host<Space> ? 1 : 32;

  explicit RowPolicy(int rows) : rows_(rows) {}
  auto policy() const {
    return Kokkos::TeamPolicy<Space>((rows_ + kRows - 1) / kRows, kRows, kLanes);
  }

 private:
  int rows_;
};

// Functions that make kernels from lambdas are static. nvcc keeps how to copy and call such a
// lambda in variables of the translation unit that makes it; were the functions shared among
// translation units, the linker might keep one from a unit where these variables were never set.

/// Calls body(lanes, row) for each row in [0, rows); `lanes` is for_lanes' and sum_lanes' handle.
/// All lanes of a row make the call.
template <class Space, class Body>
static void for_rows(const char *name, int rows, const Body &body) {
  if (rows == 0) return;
  const RowPolicy<Space> policy(rows);
  Kokkos::parallel_for(
      name, policy.policy(), KOKKOS_LAMBDA(const Team<Space> &team) {
        const int row = team.league_rank() * RowPolicy<Space>::kRows + team.team_rank();
        if (row < rows) body(team, row);
      });
}

/// Calls body(k) for k in [0, n), spread over the lanes of a row.
template <class Member, class Body>
KOKKOS_FORCEINLINE_FUNCTION void for_lanes(const Member &lanes, int n, const Body &body) {
  Kokkos::parallel_for(Kokkos::ThreadVectorRange(lanes, n), body);
}

/// Calls body(index) for each index in [0, n), one thread each.
template <class Space, class Body>
static void for_each(const char *name, std::size_t n, const Body &body) {
  if (n == 0) return;
  Kokkos::parallel_for(name, Kokkos::RangePolicy<Space>(0, n), body);
}

/// Numbers [n] become offsets [n + 1]; returns the last one, which an offset cannot hold if it is
/// too large. Waits for the device.
template <class Space>
static long long add_up(const char *name, int n, int *numbers) {
  long long total = 0;
  Kokkos::parallel_scan(
      name, Kokkos::RangePolicy<Space>(0, n + 1),
      KOKKOS_LAMBDA(int k, long long &before, bool final) {
        const int here = k < n ? numbers[k] : 0;
        if (final) numbers[k] = static_cast<int>(before);
        before += here;
      },
      total);
  return total;
}

template <class Space, class T>
static void copy(std::size_t n, const T *from, T *to) {
  for_each<Space>(
      "mlff::copy", n, KOKKOS_LAMBDA(std::size_t k) { to[k] = from[k]; });
}

/// Calls body(row, channel) for each row in [0, rows) and the first channel of each lane.
template <class Space, class Body>
static void for_channels(const char *name, int rows, int C, const Body &body) {
  constexpr int width = kChannelsPerLane<Space>;
  const int lanes = C / width;
  for_each<Space>(
      name, std::size_t(rows) * lanes, KOKKOS_LAMBDA(std::size_t index) {
        body(index / lanes, static_cast<int>(index % lanes) * width);
      });
}

}  // namespace mlff::device
