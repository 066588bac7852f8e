#include "systems.h"

#include <fstream>
#include <stdexcept>

namespace mlff::bench {

std::vector<System> read_systems(const std::string &folder) {
  const std::string file = folder + "/systems.txt";
  std::ifstream in(file);
  if (!in)
    throw std::runtime_error(file +
                             " cannot be read; bench/make_system.py writes it, "
                             "--systems=FOLDER says where it is");
  std::vector<System> systems;
  System system;
  int atoms;
  double edge;
  while (in >> system.name >> atoms >> edge) {
    system.positions.resize(3 * std::size_t(atoms));
    system.elements.resize(atoms);
    for (int i = 0; i < atoms; ++i) {
      in >> system.elements[i];
      for (int d = 0; d < 3; ++d) in >> system.positions[3 * i + d];
    }
    if (!in) throw std::runtime_error(file + ": " + system.name + " is cut short");
    system.cell.reset();
    if (edge > 0) system.cell = {edge, 0, 0, 0, edge, 0, 0, 0, edge};
    systems.push_back(system);
  }
  return systems;
}

std::string take_argument(int &argc, char **argv, const std::string &name,
                          const std::string &otherwise) {
  const std::string prefix = "--" + name + "=";
  for (int k = 1; k < argc; ++k) {
    const std::string argument = argv[k];
    if (argument.compare(0, prefix.size(), prefix) != 0) continue;
    for (int m = k; m + 1 < argc; ++m) argv[m] = argv[m + 1];
    --argc;
    return argument.substr(prefix.size());
  }
  return otherwise;
}

}  // namespace mlff::bench
