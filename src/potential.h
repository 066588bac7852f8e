// A potential: one YAML file that holds a whole student network (doc/potential_format.md).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mlff {

/// A potential file that cannot be used. what() reads "FILE: KEY: reason".
class PotentialError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A dense array in row-major order; files hold float32 or float64, in memory it is double.
struct Tensor {
  std::vector<std::size_t> shape;
  std::vector<double> values;
};

enum class Architecture { PaiNN, MlffDistiller };
enum class RadialFunctions { Gaussian, Bessel };
enum class CutoffFunction { Cosine, Mollifier };

/// A small structure with the energy and forces that the network must reproduce (file's units).
struct CheckStructure {
  std::vector<int> elements;      ///< [n] indices into Potential::elements
  std::vector<double> positions;  ///< [n, 3]
  std::optional<std::vector<double>>
      cell;  ///< [3, 3] rows a, b, c; periodic in all three if present
  double energy = 0.0;
  std::vector<double> forces;  ///< [n, 3]
};

/// The content of a potential file, complete and consistent: shapes, hash and numbers were
/// verified. Names and shapes of the tensors: doc/potential_format.md.
struct Potential {
  std::string file;  ///< where it came from, for messages
  Architecture architecture = Architecture::PaiNN;
  int channels = 0;                    ///< F
  int layers = 0;                      ///< L
  int number_of_radial_functions = 0;  ///< K
  RadialFunctions radial_functions = RadialFunctions::Gaussian;
  CutoffFunction cutoff_function = CutoffFunction::Cosine;
  double cutoff = 0.0;               ///< in the file's length unit
  double epsilon = 0.0;              ///< of n = sqrt(|V|^2 + epsilon); painn only
  bool shared_interactions = false;  ///< all layers use phi, mix and upd of layer 0
  bool shared_filters = false;       ///< all layers use the filter of layer 0
  std::string energy_unit, length_unit;
  double energy_in_eV = 1.0;          ///< one file energy unit in eV
  double length_in_angstrom = 1.0;    ///< one file length unit in Angstrom
  std::vector<std::string> elements;  ///< chemical symbols in the order of the embedding's rows
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> provenance;  ///< top-level scalar entries, as text
  CheckStructure check;

  /// The tensor of that name; throws PotentialError if there is none.
  const Tensor &tensor(const std::string &name) const;
  /// Row of the embedding for a chemical symbol, or -1.
  int element_index(std::string_view symbol) const;

  /// Reads and verifies a file. Throws PotentialError; allocates no more than the file's size
  /// justifies.
  static Potential load(const std::string &path);
  /// The same for text already in memory; `name` stands for the file in messages.
  static Potential parse(std::string_view text, const std::string &name);
};

}  // namespace mlff
