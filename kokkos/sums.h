// Several sums of one reduction.
#pragma once

#include <Kokkos_Core.hpp>

namespace mlff::device {

/// Numbers that a reduction adds up.
template <class Real, int n>
struct Sums {
  Real x[n] = {};
  KOKKOS_INLINE_FUNCTION Sums &operator+=(const Sums &y) {
    for (int k = 0; k < n; ++k) x[k] += y.x[k];
    return *this;
  }
};

}  // namespace mlff::device

template <class Real, int n>
struct Kokkos::reduction_identity<mlff::device::Sums<Real, n>> {
  KOKKOS_FORCEINLINE_FUNCTION static mlff::device::Sums<Real, n> sum() { return {}; }
};
