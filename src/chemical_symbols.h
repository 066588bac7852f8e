// The chemical elements.
#pragma once

#include <string_view>

namespace mlff {

/// Atomic number (1 … 118) of a chemical symbol as it is written ("He", not "HE"), or 0.
int atomic_number(std::string_view symbol);

/// Mass in g/mol of the element, of natural isotopes, or 0.
double standard_mass(std::string_view symbol);

}  // namespace mlff
