// The structures of a benchmark, as bench/make_system.py writes them.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mlff::bench {

struct System {
  std::string name;
  std::vector<double> positions;            ///< [n, 3] Angstrom
  std::vector<int> elements;                ///< [n] indices into the potential's elements
  std::optional<std::vector<double>> cell;  ///< [3, 3] rows; a cube
  int size() const { return static_cast<int>(elements.size()); }
};

/// Reads FOLDER/systems.txt: for each system a line "NAME ATOMS EDGE" (0: no cell) and then one
/// line "ELEMENT X Y Z" an atom. Throws std::runtime_error.
std::vector<System> read_systems(const std::string &folder);

/// The value of an argument "--NAME=VALUE", which is taken out of argv; `otherwise` if there is
/// none.
std::string take_argument(int &argc, char **argv, const std::string &name,
                          const std::string &otherwise);

}  // namespace mlff::bench
