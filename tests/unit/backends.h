// Where networks run. The tests of physics, precision and reproducibility have one body and run on
// each backend; an executable for a device links its own definition of backends().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "evaluation.h"

namespace mlff::test {

struct Backend {
  std::string name;
  std::function<std::unique_ptr<Network>(const Potential &, const NetworkOptions &)> create;
};

/// The backends that this machine can run.
const std::vector<Backend> &backends();

/// How far rounding alone may move a result: energies per atom in eV, forces (largest deviation)
/// relative to their root mean square. Random weights amplify rounding about five times as much as
/// trained ones, which have to keep the targets themselves: 1e-6 eV and 1e-5.
struct Tolerances {
  double energy, forces;
};
constexpr Tolerances tolerances(Precision precision) {
  return precision == Precision::Double ? Tolerances{1e-11, 1e-10} : Tolerances{5e-6, 5e-5};
}

/// A backend and a fixture: what most tests run over. Wide networks run on the last backend only,
/// for the sake of time; the oracle's numbers are held on all.
struct Case {
  Backend backend;
  std::string fixture;
};
inline std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Backend &backend : backends())
    for (const std::string &fixture : fixture_names()) {
      const bool wide =
          fixture.find("_f1") != std::string::npos && fixture.find("_f16") == std::string::npos;
      if (!wide || &backend == &backends().back()) all.push_back({backend, fixture});
    }
  return all;
}
/// The same on the last backend only, for what does not depend on the instruction set.
inline std::vector<Case> cases_on_one_backend() {
  std::vector<Case> all;
  for (const std::string &fixture : fixture_names()) all.push_back({backends().back(), fixture});
  return all;
}
inline std::string case_name(const Case &c) { return c.backend.name + "_" + c.fixture; }
inline void PrintTo(const Case &c, std::ostream *out) { *out << case_name(c); }

/// A fixture's potential on a backend.
class NetworkTest {
 public:
  explicit NetworkTest(const Case &c) : backend(c.backend), potential(load_fixture(c.fixture)) {}

  std::unique_ptr<Network> network(Precision precision = Precision::Double,
                                   Filters filters = Filters::Exact) const {
    return backend.create(potential, options_for(potential, precision, filters));
  }
  bool is_painn() const { return potential.architecture == Architecture::PaiNN; }

  Backend backend;
  Potential potential;
};

}  // namespace mlff::test
