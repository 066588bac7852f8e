// Writes potential files with random weights, for tests: whole ones, and ones that are wrong
// somewhere.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "potential.h"

namespace mlff::test {

struct WriterOptions {
  Architecture architecture = Architecture::PaiNN;
  int channels = 4, layers = 2, number_of_radial_functions = 3;
  RadialFunctions radial_functions = RadialFunctions::Gaussian;
  CutoffFunction cutoff_function = CutoffFunction::Cosine;
  double cutoff = 5.0;
  bool shared_interactions = false, shared_filters = false;
  std::vector<std::string> elements = {"H", "C", "O"};
  std::vector<std::size_t> hidden = {2};  ///< sizes between the read-out's layers
  std::string dtype = "float64";
  unsigned seed = 1;
};

/// The parts of a file; change any of them, then ask for the text. The hash follows the tensors and
/// the header; energy and forces of the check structure are not the network's.
struct PotentialWriter {
  struct TensorEntry {
    std::string name;
    std::vector<std::size_t> shape;
    std::string dtype;
    std::vector<double> values;
  };

  explicit PotentialWriter(const WriterOptions &options = {});

  /// YAML text of a header entry ("cutoff", "units", …).
  std::string &header_entry(const std::string &key);
  TensorEntry &tensor(const std::string &name);
  std::string text() const;

  std::string first_line = "# DATE: 2026-01-01 UNITS: metal CONTRIBUTOR: nobody CITATION: none";
  std::vector<std::pair<std::string, std::string>> header;  ///< up to `elements`
  std::vector<TensorEntry> tensors;
  std::string provenance = "{teacher: none, errors: {energy: 0.5}}";
  std::string check;  ///< indented lines

 private:
  std::string hash() const;
  WriterOptions options_;
};

/// A potential with random weights of a size that keeps the network's numbers near one.
Potential random_potential(const WriterOptions &options);

}  // namespace mlff::test
