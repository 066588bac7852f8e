// The pair styles that the plugin may hold besides mlff/student.
#pragma once

#include <vector>

#include "lammps.h"
#include "pair.h"

namespace mlff {

struct PairStyle {
  const char *name;  ///< the word behind pair_style
  const char *description;
  LAMMPS_NS::Pair *(*create)(LAMMPS_NS::LAMMPS *);
};

/// Those that compute with Kokkos, where the plugin was built with it.
std::vector<PairStyle> kokkos_styles();

}  // namespace mlff
