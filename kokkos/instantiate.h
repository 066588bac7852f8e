// The spaces that the device's classes are compiled for: the default execution space, and the
// host's where that is another one.
#pragma once

#include <Kokkos_Core.hpp>

#if defined(KOKKOS_ENABLE_CUDA)
#define MLFF_ON_EACH_SPACE(one) \
  one(Kokkos::DefaultExecutionSpace) one(Kokkos::DefaultHostExecutionSpace)
#else
#define MLFF_ON_EACH_SPACE(one) one(Kokkos::DefaultHostExecutionSpace)
#endif
