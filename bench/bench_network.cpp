// Energy and forces of whole systems: katom-step/s by architecture, system, precision, filters,
// instruction set and threads. The neighbour list is made beforehand.
//   bench_network --systems=FOLDER [--forces=FOLDER] [Google Benchmark's options]
#include <benchmark/benchmark.h>

#include <fstream>
#include <iostream>
#include <map>

#include "neighbour_search.h"
#include "network.h"
#include "systems.h"

namespace {

using namespace mlff;
using bench::System;

const std::map<Precision, const char *> kPrecisions = {
    {Precision::Single, "single"}, {Precision::Mixed, "mixed"}, {Precision::Double, "double"}};
const std::map<Filters, const char *> kFilters = {{Filters::Spline, "spline"},
                                                  {Filters::Exact, "exact"}};

struct Output {
  Results results;
  std::vector<double> forces;  ///< [total, 3]
  explicit Output(const Structure &structure) : forces(3 * std::size_t(structure.total())) {
    results.forces = reinterpret_cast<double (*)[3]>(forces.data());
  }
};

void evaluate(benchmark::State &state, const Potential &potential, const System &system,
              const NetworkOptions &options) {
  const Structure structure(system.positions, system.elements, system.cell, potential.cutoff);
  const auto network = Network::create(potential, options);
  Output output(structure);
  const auto compute = [&] {
    network->compute(structure.atoms(), structure.list(), nullptr, output.results);
  };
  compute();  // makes room
  for (auto _ : state) compute();
  state.counters["katom-step/s"] =
      benchmark::Counter(1e-3 * system.size() * state.iterations(), benchmark::Counter::kIsRate);
  state.counters["bytes/atom"] = double(network->workspace_bytes()) / system.size();
}

/// Energy (first line) and forces in single precision, spline filters, as they are timed.
void write_forces(const std::string &folder, const Potential &potential, const System &system) {
  NetworkOptions options;
  options.precision = Precision::Single;
  options.filters = Filters::Spline;
  const Structure structure(system.positions, system.elements, system.cell, potential.cutoff);
  Output output(structure);
  Network::create(potential, options)
      ->compute(structure.atoms(), structure.list(), nullptr, output.results);
  const std::string architecture =
      potential.architecture == Architecture::PaiNN ? "painn" : "mlff-distiller";
  std::ofstream out(folder + "/" + architecture + "_" + system.name + ".txt");
  out.precision(12);
  out << output.results.energy << " 0 0\n";
  for (int i = 0; i < system.size(); ++i)
    out << output.forces[3 * i] << ' ' << output.forces[3 * i + 1] << ' '
        << output.forces[3 * i + 2] << '\n';
  if (!out) throw std::runtime_error("forces cannot be written to " + folder);
}

void register_all(const std::string &architecture, const Potential &potential,
                  const System &system) {
  for (const auto &[precision, precision_name] : kPrecisions)
    for (const auto &[filters, filters_name] : kFilters)
      for (const Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512})
        for (const int threads : {1, 2}) {
          if (isa > best_isa()) continue;
          NetworkOptions options;
          options.precision = precision;
          options.filters = filters;
          options.isa = isa;
          options.threads = threads;
          const std::string title = architecture + "/" + system.name + "/" + precision_name + "/" +
                                    filters_name + "/" + name(isa) + "/" + std::to_string(threads);
          benchmark::RegisterBenchmark(title.c_str(),
                                       [&potential, &system, options](auto &state) {
                                         evaluate(state, potential, system, options);
                                       })
              ->MeasureProcessCPUTime()
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
        }
}

}  // namespace

int main(int argc, char **argv) try {
  const std::string folder = bench::take_argument(argc, argv, "systems", "systems");
  const std::string forces = bench::take_argument(argc, argv, "forces", "");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const std::vector<System> systems = bench::read_systems(folder);
  std::map<std::string, Potential> potentials;
  for (const char *architecture : {"painn", "mlff-distiller"})
    potentials[architecture] = Potential::load(folder + "/" + architecture + ".yaml");
  for (const auto &[architecture, potential] : potentials)
    for (const System &system : systems) {
      if (!forces.empty()) write_forces(forces, potential, system);
      register_all(architecture, potential, system);
    }
  if (forces.empty()) benchmark::RunSpecifiedBenchmarks();
  return 0;
} catch (const std::exception &error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
