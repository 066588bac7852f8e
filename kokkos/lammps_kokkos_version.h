// What differs between LAMMPS versions in the KOKKOS package. Nothing else of mlff/student/kk asks
// for a version. Known to differ: the names of array types and of settings of communication, which
// changed after 10 Sep 2025, and the precision and layout of positions and forces, which can be
// chosen since then.
#pragma once

#include <type_traits>

#include "atom_kokkos.h"
#include "atom_masks.h"
#include "kokkos.h"
#include "kokkos_base.h"
#include "kokkos_type.h"
#include "neigh_list_kokkos.h"

namespace mlff {

template <class Function>
struct ThirdArgument;
template <class Class, class Third>
struct ThirdArgument<void (Class::*)(int, int, Third &)> {
  using type = Third;
};
/// The DualView that LAMMPS communicates, DAT::tdual_xfloat_1d or DAT::tdual_double_1d.
using CommBuffer =
    typename ThirdArgument<decltype(&LAMMPS_NS::KokkosBase::unpack_forward_comm_kokkos)>::type;

/// Whether LAMMPS sends to ghosts, or to owners, of pair styles on a device through the host.
template <class Settings, class = void>
struct PairCommOnHost {
  static bool forward(const Settings &settings) { return settings.forward_pair_comm_classic; }
  static bool reverse(const Settings &settings) { return settings.reverse_pair_comm_classic; }
};
template <class Settings>
struct PairCommOnHost<Settings, std::void_t<decltype(&Settings::forward_pair_comm_legacy)>> {
  static bool forward(const Settings &settings) { return settings.forward_pair_comm_legacy; }
  static bool reverse(const Settings &settings) { return settings.reverse_pair_comm_legacy; }
};

/// Whether an array of LAMMPS is [atoms, 3] doubles in the order of the host.
template <class View>
constexpr bool is_rows_of_doubles = std::is_same_v<typename View::non_const_value_type, double>
    &&std::is_same_v<typename View::array_layout, Kokkos::LayoutRight>;

}  // namespace mlff
