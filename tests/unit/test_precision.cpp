// What single and mixed precision, and spline tables, cost in accuracy.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "backends.h"
#include "potential_writer.h"

namespace mlff::test {
namespace {

double in_eV_per_atom(const Potential &potential, double energy, const System &system) {
  return energy * potential.energy_in_eV / system.size();
}

class PrecisionOf : public testing::TestWithParam<Case>, protected NetworkTest {
 protected:
  PrecisionOf() : NetworkTest(GetParam()) {}

  /// Boxes and clusters of several sizes, one box so small that atoms see several images of others.
  /// Wide networks get fewer, for the sake of time.
  std::vector<System> systems() const {
    std::vector<System> all = {random_liquid(potential, 64, 1), random_cluster(potential, 12, 2),
                               random_cluster(potential, 20, 3), random_liquid(potential, 8, 2)};
    if (potential.channels <= 24) all.push_back(random_liquid(potential, 216, 4));
    return all;
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, PrecisionOf, testing::ValuesIn(cases()),
                         [](const auto &info) { return case_name(info.param); });

/// Random weights have energies that differ from atom to atom by some eV, as trained ones have;
/// what a type of number can resolve goes with that spread.
double spread(const std::vector<double> &x) {
  double mean = 0.0;
  for (const double value : x) mean += value / x.size();
  std::vector<double> rest = x;
  for (double &value : rest) value -= mean;
  return root_mean_square(rest);
}

TEST_P(PrecisionOf, SingleAndMixedFollowDouble) {
  for (const Filters filters : {Filters::Exact, Filters::Spline}) {
    const std::unique_ptr<Network> reference = network(Precision::Double, filters);
    for (const Precision precision : {Precision::Mixed, Precision::Single}) {
      const std::unique_ptr<Network> net = network(precision, filters);
      const Tolerances allowed = tolerances(precision);
      for (const System &system : systems()) {
        SCOPED_TRACE(testing::Message() << (precision == Precision::Single ? "single" : "mixed")
                                        << ", " << (filters == Filters::Exact ? "exact" : "spline")
                                        << ", " << system.size() << " atoms");
        const Evaluation exact = evaluate(*reference, system), found = evaluate(*net, system);
        const double unit = std::fmax(1.0, spread(exact.atomic_energies) * potential.energy_in_eV);
        const double force = root_mean_square(exact.forces);
        EXPECT_LT(std::fabs(in_eV_per_atom(potential, found.energy - exact.energy, system)),
                  allowed.energy * unit);
        EXPECT_LT(largest_difference(found.forces, exact.forces), allowed.forces * force);
        EXPECT_LT(root_mean_square_difference(found.forces, exact.forces), 1e-5 * force);
        std::vector<double> w(found.virial.begin(), found.virial.end());
        const std::vector<double> w_exact(exact.virial.begin(), exact.virial.end());
        EXPECT_LT(largest_difference(w, w_exact), allowed.forces * (largest(w_exact) + force));
        EXPECT_LT(largest_difference(found.atomic_virial, exact.atomic_virial),
                  allowed.forces * largest(exact.atomic_virial));
      }
    }
  }
}

TEST_P(PrecisionOf, SplinesFollowExactFilters) {
  const std::unique_ptr<Network> reference = network(Precision::Double, Filters::Exact);
  const std::unique_ptr<Network> net = network(Precision::Double, Filters::Spline);
  for (const System &system : systems()) {
    SCOPED_TRACE(testing::Message() << system.size() << " atoms");
    const Evaluation exact = evaluate(*reference, system), found = evaluate(*net, system);
    const double unit = std::fmax(1.0, spread(exact.atomic_energies) * potential.energy_in_eV);
    EXPECT_LT(std::fabs(in_eV_per_atom(potential, found.energy - exact.energy, system)),
              1e-6 * unit);
    EXPECT_LT(root_mean_square_difference(found.forces, exact.forces),
              1e-4 * root_mean_square(exact.forces));
    EXPECT_NE(found.energy, exact.energy) << "the keyword chooses nothing";
  }
}

/// The potentials that ship.
std::vector<std::string> shipped_potentials() {
  std::vector<std::string> files;
  for (const auto &entry :
       std::filesystem::recursive_directory_iterator(MLFF_SOURCE_DIR "/potentials")) {
    std::string line;
    std::ifstream file(entry.path());
    if (entry.path().extension() == ".yaml" && std::getline(file, line) &&
        line.rfind("# DATE:", 0) == 0)
      files.push_back(entry.path().string());
  }
  return files;
}

/// The check structure, and copies of it shaken by up to 0.05 Angstrom.
std::vector<System> shaken_check_structure(const Potential &potential) {
  std::mt19937 random(1);
  const double most = 0.05 / potential.length_in_angstrom;
  std::uniform_real_distribution<double> shift(-most, most);
  std::vector<System> all(
      4, System{potential.check.positions, potential.check.elements, potential.check.cell});
  for (std::size_t k = 1; k < all.size(); ++k)
    for (double &x : all[k].positions) x += shift(random);
  return all;
}

TEST(ShippedPotentials, KeepTheTargets) {
  if (shipped_potentials().empty()) GTEST_SKIP() << "none ships";
  for (const std::string &file : shipped_potentials()) {
    const Potential potential = Potential::load(file);
    const std::vector<System> systems = shaken_check_structure(potential);
    // Forces at rest are small: what counts is their size when atoms move.
    const Evaluation moving =
        evaluate(potential, options_for(potential, Precision::Double, Filters::Exact), systems[1]);
    const double force = root_mean_square(moving.forces);
    for (const Backend &backend : backends())
      for (const System &system : systems) {
        SCOPED_TRACE(file + " on " + backend.name);
        const auto result = [&](Precision precision, Filters filters) {
          return evaluate(*backend.create(potential, options_for(potential, precision, filters)),
                          system);
        };
        const Evaluation exact = result(Precision::Double, Filters::Exact);
        const Evaluation spline = result(Precision::Double, Filters::Spline);
        EXPECT_LT(std::fabs(in_eV_per_atom(potential, spline.energy - exact.energy, system)), 1e-6);
        EXPECT_LT(root_mean_square_difference(spline.forces, exact.forces), 1e-4 * force);
        for (const Precision precision : {Precision::Mixed, Precision::Single}) {
          for (const Filters filters : {Filters::Exact, Filters::Spline}) {
            const Evaluation &reference = filters == Filters::Exact ? exact : spline;
            const Evaluation found = result(precision, filters);
            EXPECT_LT(std::fabs(in_eV_per_atom(potential, found.energy - reference.energy, system)),
                      1e-6);
            EXPECT_LT(largest_difference(found.forces, reference.forces), 1e-5 * force);
          }
        }
      }
  }
}

/// The host's network, with the best instruction set, is what all backends are held to.
void expect_as_on_the_host(const Backend &backend, const Potential &potential, const System &system,
                           Precision precision, Filters filters) {
  const Evaluation host =
      evaluate(potential, options_for(potential, Precision::Double, filters), system);
  const Evaluation here =
      evaluate(*backend.create(potential, options_for(potential, precision, filters)), system);
  const double unit = 1 + largest(host.atomic_energies);
  const Tolerances allowed = tolerances(precision);
  EXPECT_LT(std::fabs(in_eV_per_atom(potential, here.energy - host.energy, system)),
            allowed.energy * unit);
  // Of thousands of forces in single precision one is further off by chance.
  const auto difference =
      precision == Precision::Double ? largest_difference : root_mean_square_difference;
  EXPECT_LT(difference(here.forces, host.forces), allowed.forces * root_mean_square(host.forces));
}

TEST_P(PrecisionOf, DoubleIsTheHosts) {
  const System system = random_liquid(potential, 64, 5);
  for (const Filters filters : {Filters::Exact, Filters::Spline})
    expect_as_on_the_host(backend, potential, system, Precision::Double, filters);
}

/// Sizes that no fixture has. On an H100 the read-out of the last but one fills a tile's memory
/// beyond what the channels need, and that of the last does not fit.
struct Sizes {
  int channels, elements, radial_functions;
  std::vector<std::size_t> hidden;
};
void PrintTo(const Sizes &s, std::ostream *out) { *out << s.channels << " channels"; }

class OtherSizes : public testing::TestWithParam<Sizes> {};

TEST_P(OtherSizes, AgreeWithTheHost) {
  const Backend &backend = backends().back();
  WriterOptions options;
  options.channels = GetParam().channels;
  options.number_of_radial_functions = GetParam().radial_functions;
  options.hidden = GetParam().hidden;
  const std::vector<std::string> all = {"H", "C", "N", "O", "F", "P", "S", "Cl"};
  options.elements.assign(all.begin(), all.begin() + GetParam().elements);
  options.dtype = "float32";
  const Potential potential = random_potential(options);
  // A GPU gets more tiles of atoms than it has processors, too.
  const int many = backend.name == "cuda" ? 2500 : 40;
  for (const System &system :
       {random_cluster(potential, 12, 2), random_liquid(potential, many, 3)}) {
    SCOPED_TRACE(testing::Message() << system.size() << " atoms");
    expect_as_on_the_host(backend, potential, system, Precision::Double, Filters::Exact);
    expect_as_on_the_host(backend, potential, system, Precision::Single, Filters::Spline);
  }
}

INSTANTIATE_TEST_SUITE_P(Channels, OtherSizes,
                         testing::Values(Sizes{96, 1, 20, {48}}, Sizes{160, 8, 12, {160, 40}},
                                         Sizes{256, 2, 20, {256, 256}}, Sizes{384, 3, 6, {}},
                                         Sizes{320, 3, 6, {320, 320}},
                                         Sizes{512, 2, 6, {512, 512}}),
                         [](const auto &info) { return std::to_string(info.param.channels); });

}  // namespace
}  // namespace mlff::test
