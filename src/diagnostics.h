// What a potential file must show before it is trusted: its check structure, and known defects,
// measured.
#pragma once

#include "potential.h"

namespace mlff {

/// Recomputes the check structure in double precision with exact filters. Throws PotentialError
/// with both numbers if the energy deviates by more than 1e-8 relative or a force by more than 1e-7
/// of the largest.
void verify_check_structure(const Potential &potential);

/// Largest jump of the energy (file's unit) as one atom crosses the cutoff of the check structure's
/// first atom, over the potential's elements.
double energy_jump_at_cutoff(const Potential &potential);

/// Largest change of the check structure's energy (file's unit) over fixed rotations.
double orientation_dependence(const Potential &potential);

}  // namespace mlff
