#include <gtest/gtest.h>

#include <Kokkos_Core.hpp>
#include <cstdio>

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  Kokkos::ScopeGuard kokkos(argc, argv);
  std::printf("Kokkos: %s\n", Kokkos::DefaultExecutionSpace::name());
  return RUN_ALL_TESTS();
}
