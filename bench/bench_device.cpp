// Energy and forces of whole systems on the device of Kokkos, by the library alone: everything
// stays on the device, neighbour lists are made beforehand, and nothing but forces is asked for.
//   bench_device FOLDER [CASE ...]              times each case
//   bench_device FOLDER --profile CASE [STEPS]  that many evaluations between the marks of a
//   profiler
// FOLDER is what bench/make_system.py wrote. A CASE reads
// ARCHITECTURE/SYSTEM/PRECISION/FILTERS/KERNELS, such as painn/box_46656/single/spline/best; a box
// that is not in systems.txt is the one of 1,728 atoms repeated along each axis. Cases are read
// from the command line or, without any, one a line from standard input; each is answered by one
// line of JSON. Before a case is timed, its energy and forces are compared with those of the host's
// network in double precision with exact filters, which are left in FOLDER/forces for the other
// programs.
#include <Kokkos_Core.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "device_array.h"
#include "device_network.h"
#include "neighbour_search.h"
#include "repeated.h"
#include "systems.h"
#if defined(MLFF_CUDA)
#include <cuda_profiler_api.h>
#endif

namespace {

using namespace mlff;
using bench::Repeated;
using bench::System;
using Space = Kokkos::DefaultExecutionSpace;

constexpr double kTolerance = 1e-4;  // of the largest force, and eV/atom
constexpr double kSeconds = 0.4;     // a measurement takes about this long,
constexpr int kBatches = 10;         // in that many parts, but each is at least one evaluation

const std::map<std::string, Precision> kPrecisions = {
    {"single", Precision::Single}, {"mixed", Precision::Mixed}, {"double", Precision::Double}};
const std::map<std::string, Filters> kFilters = {{"spline", Filters::Spline},
                                                 {"exact", Filters::Exact}};
const std::map<std::string, DeviceKernels> kKernels = {{"best", DeviceKernels::Best},
                                                       {"portable", DeviceKernels::Portable}};

/// The value of a key; throws std::runtime_error that names what is known.
template <class T>
T known(const std::map<std::string, T> &values, const std::string &key) {
  const auto found = values.find(key);
  if (found != values.end()) return found->second;
  std::string message = "'" + key + "' is none of";
  for (const auto &[name, value] : values) message += " " + name;
  throw std::runtime_error(message);
}

struct Case {
  std::string architecture, system;
  NetworkOptions options;
  DeviceKernels kernels;

  explicit Case(const std::string &title) {
    std::vector<std::string> words;
    std::istringstream in(title);
    for (std::string word; std::getline(in, word, '/');) words.push_back(word);
    if (words.size() != 5)
      throw std::runtime_error("a case reads ARCHITECTURE/SYSTEM/PRECISION/FILTERS/KERNELS, not '" +
                               title + "'");
    architecture = words[0];
    system = words[1];
    options.precision = known(kPrecisions, words[2]);
    options.filters = known(kFilters, words[3]);
    kernels = known(kKernels, words[4]);
  }
};

/// Energy and forces by the host's network in double precision with exact filters.
struct Reference {
  double energy = 0.0;
  std::vector<double> forces;  ///< [n, 3]
  double largest_force = 0.0;

  Reference(const Potential &potential, const System &system) {
    NetworkOptions options;
    options.threads = std::max(1u, std::thread::hardware_concurrency());
    const Structure structure(system.positions, system.elements, system.cell, potential.cutoff);
    forces.resize(3 * std::size_t(structure.total()));
    Results results;
    results.forces = reinterpret_cast<double(*)[3]>(forces.data());
    Network::create(potential, options)
        ->compute(structure.atoms(), structure.list(), nullptr, results);
    energy = results.energy;
    forces.resize(3 * std::size_t(system.size()));
    for (const double f : forces) largest_force = std::max(largest_force, std::fabs(f));
  }

  void write(const std::filesystem::path &path) const {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream out(path);
    out.precision(17);
    out << energy << " 0 0\n";
    for (std::size_t k = 0; k < forces.size(); k += 3)
      out << forces[k] << ' ' << forces[k + 1] << ' ' << forces[k + 2] << '\n';
    if (!out) throw std::runtime_error("forces cannot be written to " + path.string());
  }
};

/// A system in the memory of the device, as LAMMPS would hold it there.
class DeviceSystem {
 public:
  DeviceSystem(const Repeated &system, std::size_t elements)
      : local_(system.local), total_(system.total()) {
    positions_.assign(system.positions);
    forces_.assign(std::vector<double>(3 * std::size_t(total_), 0.0));
    std::vector<int> element_of_type(elements), centre(local_);
    for (std::size_t k = 0; k < elements; ++k) element_of_type[k] = int(k);
    for (int i = 0; i < local_; ++i) centre[i] = i;
    types_.assign(system.elements);
    element_of_type_.assign(element_of_type);
    owner_.assign(system.owner);
    centre_.assign(centre);
    assign_neighbours(system);
  }

  void compute(DeviceNetwork &network, DeviceResults &results, bool changed) const {
    DeviceAtoms atoms{local_,
                      total_,
                      positions_.data(),
                      types_.data(),
                      element_of_type_.data(),
                      total_ > local_ ? owner_.data() : nullptr,
                      owner_.data(),  // as IDs
                      changed};
    DeviceNeighbourList list{
        local_, centre_.data(), count_.data(), neighbours_.data(), atom_stride_, neighbour_stride_,
        ~0};
    results.forces = forces_.data();
    network.compute(atoms, list, nullptr, results);
  }

  /// [local, 3] what compute() has added up so far.
  std::vector<double> forces() const {
    const std::size_t n = 3 * std::size_t(local_);
    const auto part = Kokkos::subview(forces_.view(), std::make_pair(std::size_t(0), n));
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), part);
    return {host.data(), host.data() + n};
  }

 private:
  /// Next to each other lie an atom's neighbours on the host, and the k-th ones of all atoms on a
  /// GPU.
  void assign_neighbours(const Repeated &system) {
    std::vector<int> count(local_);
    int most = 1;
    for (int i = 0; i < local_; ++i) {
      count[i] = static_cast<int>(system.first[i + 1] - system.first[i]);
      most = std::max(most, count[i]);
    }
    atom_stride_ = device::is_host<Space> ? most : 1;
    neighbour_stride_ = device::is_host<Space> ? 1 : local_;
    std::vector<int> neighbours(std::size_t(most) * local_, 0);
    for (int i = 0; i < local_; ++i)
      for (int k = 0; k < count[i]; ++k)
        neighbours[i * atom_stride_ + k * neighbour_stride_] =
            system.neighbours[system.first[i] + k];
    count_.assign(count);
    neighbours_.assign(neighbours);
  }

  int local_, total_;
  std::size_t atom_stride_ = 0, neighbour_stride_ = 1;
  device::Array<double, Space> positions_, forces_;
  device::Array<int, Space> types_, element_of_type_, owner_, centre_, count_, neighbours_;
};

/// All that is read once.
class Bench {
 public:
  explicit Bench(const std::string &folder) : folder_(folder) {
    for (const System &system : bench::read_systems(folder)) systems_.emplace(system.name, system);
  }

  const Potential &potential(const std::string &architecture) {
    auto found = potentials_.find(architecture);
    if (found == potentials_.end()) {
      const std::string file = folder_ + "/" + architecture + ".yaml";
      found = potentials_.emplace(architecture, Potential::load(file)).first;
    }
    return found->second;
  }

  const Reference &reference(const std::string &architecture, const System &system) {
    const std::string key = architecture + "_" + system.name;
    auto found = references_.find(key);
    if (found == references_.end()) {
      found = references_.emplace(key, Reference(potential(architecture), system)).first;
      found->second.write(folder_ + "/forces/" + key + ".txt");
    }
    return found->second;
  }

  /// The system of that name, and how often it is repeated along each axis.
  std::pair<const System &, int> find(const std::string &name) const {
    const auto found = systems_.find(name);
    if (found != systems_.end()) return {found->second, 1};
    const auto cell = systems_.find("box_1728");
    if (cell != systems_.end() && name.compare(0, 4, "box_") == 0) {
      const double cells = std::atof(name.c_str() + 4) / cell->second.size();
      const int along = static_cast<int>(std::lround(std::cbrt(cells)));
      if (along > 0 && std::fabs(cells - std::pow(along, 3)) < 1e-9) return {cell->second, along};
    }
    throw std::runtime_error("there is no system '" + name +
                             "', and it is no repetition of box_1728");
  }

 private:
  std::string folder_;
  std::map<std::string, System> systems_;
  std::map<std::string, Potential> potentials_;
  std::map<std::string, Reference> references_;
};

/// A case made ready: on the device and evaluated once.
struct Prepared {
  int size;
  DeviceSystem system;
  std::unique_ptr<DeviceNetwork> network;

  Prepared(const Case &what, const Potential &potential, const Repeated &repeated)
      : size(repeated.local),
        system(repeated, potential.elements.size()),
        network(create_device_network<Space>(potential, what.options, what.kernels)) {}

  void evaluate() {
    DeviceResults results;
    system.compute(*network, results, false);
  }
};

/// Energy (eV/atom) and forces (of the largest) against the reference of the repeated cell.
std::pair<double, double> deviations(Prepared &prepared, const Reference &reference) {
  DeviceResults results;
  results.want_energy = true;
  prepared.system.compute(*prepared.network, results, true);
  const std::vector<double> forces = prepared.system.forces();
  const std::size_t repeats = forces.size() / reference.forces.size();
  double largest = 0.0;
  for (std::size_t k = 0; k < forces.size(); ++k)
    largest =
        std::max(largest, std::fabs(forces[k] - reference.forces[k % reference.forces.size()]));
  const double energy = std::fabs(results.energy / double(repeats) - reference.energy);
  return {energy / (prepared.size / double(repeats)), largest / reference.largest_force};
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of one evaluation in each batch, ascending.
std::vector<double> time_batches(Prepared &prepared) {
  const auto batch = [&](int evaluations) {
    Kokkos::fence();
    const double begin = seconds();
    for (int k = 0; k < evaluations; ++k) prepared.evaluate();
    Kokkos::fence();
    return (seconds() - begin) / evaluations;
  };
  batch(2);  // warm
  const double once = batch(3);
  const int evaluations = std::max(1, static_cast<int>(kSeconds / kBatches / once));
  std::vector<double> times;
  for (int k = 0; k < kBatches; ++k) times.push_back(batch(evaluations));
  std::sort(times.begin(), times.end());
  return times;
}

std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c >= ' ' || c < 0 ? c : ' ';
  }
  return result + "\"";
}

std::string measure(Bench &bench, const std::string &title) {
  const Case what(title);
  const Potential &potential = bench.potential(what.architecture);
  const auto [cell, along] = bench.find(what.system);
  const Reference &reference = bench.reference(what.architecture, cell);
  Prepared prepared(what, potential, Repeated(cell, along, potential.cutoff));
  const auto [energy, force] = deviations(prepared, reference);
  if (!(energy < kTolerance && force < kTolerance)) {
    std::ostringstream message;
    message << "the device and the host disagree: " << energy << " eV/atom, forces " << force;
    throw std::runtime_error(message.str());
  }
  const std::vector<double> times = time_batches(prepared);
  const double median = (times[(kBatches - 1) / 2] + times[kBatches / 2]) / 2;
  std::ostringstream out;
  out.precision(7);
  out << "\"atoms\": " << prepared.size << ", \"wall\": " << median
      << ", \"wall least\": " << times.front() << ", \"wall largest\": " << times.back()
      << ", \"bytes/atom\": " << double(prepared.network->workspace_bytes()) / prepared.size
      << ", \"energy_deviation\": " << energy << ", \"force_deviation\": " << force
      << ", \"space\": " << quoted(Space::name());
  return out.str();
}

/// A few evaluations, everything else outside the marks.
void profile(Bench &bench, const std::string &title, int steps) {
  const Case what(title);
  const Potential &potential = bench.potential(what.architecture);
  const auto [cell, along] = bench.find(what.system);
  Prepared prepared(what, potential, Repeated(cell, along, potential.cutoff));
  DeviceResults results;
  prepared.system.compute(*prepared.network, results, true);
  for (int k = 0; k < 3; ++k) prepared.evaluate();
  Kokkos::fence();
#if defined(MLFF_CUDA)
  cudaProfilerStart();
#endif
  for (int k = 0; k < steps; ++k) prepared.evaluate();
  Kokkos::fence();
#if defined(MLFF_CUDA)
  cudaProfilerStop();
#endif
}

void answer(Bench &bench, const std::string &title) {
  std::string text;
  try {
    text = measure(bench, title);
  } catch (const std::exception &error) {  // answered, so that the other cases are measured
    text = "\"error\": " + quoted(error.what());
  }
  std::cout << "{\"case\": " << quoted(title) << ", " << text << "}" << std::endl;
}

void run(const std::vector<std::string> &arguments) {
  Bench bench(arguments.at(0));
  if (arguments.size() > 2 && arguments[1] == "--profile") {
    profile(bench, arguments[2], arguments.size() > 3 ? std::stoi(arguments[3]) : 1);
    return;
  }
  for (std::size_t k = 1; k < arguments.size(); ++k) answer(bench, arguments[k]);
  if (arguments.size() > 1) return;
  for (std::string line; std::getline(std::cin, line);) answer(bench, line);
}

}  // namespace

int main(int argc, char **argv) try {
  Kokkos::ScopeGuard kokkos(argc, argv);
  if (argc < 2) {
    std::cerr << "usage: bench_device FOLDER [CASE ... | --profile CASE [STEPS]]\n";
    return 1;
  }
  run({argv + 1, argv + argc});
  return 0;
} catch (const std::exception &error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
