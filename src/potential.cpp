#include "potential.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "chemical_symbols.h"
#include "potential_parts.h"
#include "sha256.h"
#include "yaml_document.h"

namespace mlff {

using yaml::Field;

namespace {

constexpr std::uintmax_t largest_file = std::uintmax_t(1) << 30;
constexpr long known_version = 1;
// Beyond anything useful, and small enough that sizes computed from a header fit an int.
constexpr long most_channels = 1 << 14, most_layers = 1 << 10, most_radial_functions = 1 << 14;

// CODATA 2018; e and N_A are exact.
constexpr double elementary_charge = 1.602176634e-19, avogadro = 6.02214076e23;
constexpr double kJ_per_mol = 1e3 / (avogadro * elementary_charge);

template <class T>
struct Choice {
  std::string_view word;
  T value;
};
constexpr Choice<Architecture> architectures[] = {{"painn", Architecture::PaiNN},
                                                  {"mlff-distiller", Architecture::MlffDistiller}};
constexpr Choice<RadialFunctions> radial_functions[] = {{"gaussian", RadialFunctions::Gaussian},
                                                        {"bessel", RadialFunctions::Bessel}};
constexpr Choice<CutoffFunction> cutoff_functions[] = {{"cosine", CutoffFunction::Cosine},
                                                       {"mollifier", CutoffFunction::Mollifier}};
constexpr Choice<int> activations[] = {{"silu", 0}};
constexpr Choice<double> energy_units[] = {{"eV", 1.0},
                                           {"meV", 1e-3},
                                           {"kcal/mol", 4.184 * kJ_per_mol},
                                           {"kJ/mol", kJ_per_mol},
                                           {"Hartree", 27.211386245988}};
constexpr Choice<double> length_units[] = {
    {"Angstrom", 1.0}, {"nm", 10.0}, {"Bohr", 0.529177210903}};

template <class T, std::size_t n>
T choose(const Field &field, const Choice<T> (&choices)[n]) {
  std::vector<std::string_view> words;
  for (const Choice<T> &choice : choices) {
    if (field.text() == choice.word) return choice.value;
    words.push_back(choice.word);
  }
  field.fail("is " + yaml::quoted(field.text()) + "; known: " + yaml::joined(words));
}

/// A number whose square is neither zero nor infinite.
double positive(const Field &field) {
  const double value = field.real();
  if (!(value > 0.0) || !std::isnormal(value * value))
    field.fail("is " + std::to_string(value) + "; expected a positive number of sensible size");
  return value;
}

void check_format(const Field &root) {
  if (root.at("format").text() != "mlff-student")
    root.at("format").fail("is " + yaml::quoted(root.at("format").text()) +
                           "; expected mlff-student");
  const long version = root.at("version").integer(1, 1000000);
  if (version != known_version)
    root.at("version").fail("is " + std::to_string(version) + "; this program reads version " +
                            std::to_string(known_version));
}

void check_keys(const Field &root, Architecture architecture) {
  std::vector<std::string_view> known = {"format",
                                         "version",
                                         "architecture",
                                         "channels",
                                         "layers",
                                         "radial_functions",
                                         "number_of_radial_functions",
                                         "cutoff",
                                         "cutoff_function",
                                         "activation",
                                         "units",
                                         "elements",
                                         "tensors",
                                         "sha256",
                                         "provenance",
                                         "check"};
  if (architecture == Architecture::PaiNN)
    known.insert(known.end(), {"epsilon", "shared_interactions", "shared_filters"});
  root.only(known);
}

void read_painn_options(const Field &root, Potential &potential) {
  potential.epsilon = root.at("epsilon").real();
  if (!(potential.epsilon >= FLT_MIN))
    root.at("epsilon").fail("must be positive, in single precision too (1.2e-38 or more)");
  potential.shared_interactions = root.at("shared_interactions").boolean();
  potential.shared_filters = root.at("shared_filters").boolean();
}

void read_network(const Field &root, Potential &potential) {
  potential.architecture = choose(root.at("architecture"), architectures);
  check_keys(root, potential.architecture);
  potential.channels = static_cast<int>(root.at("channels").integer(1, most_channels));
  potential.layers = static_cast<int>(root.at("layers").integer(1, most_layers));
  potential.radial_functions = choose(root.at("radial_functions"), radial_functions);
  potential.number_of_radial_functions =
      static_cast<int>(root.at("number_of_radial_functions").integer(1, most_radial_functions));
  potential.cutoff = positive(root.at("cutoff"));
  potential.cutoff_function = choose(root.at("cutoff_function"), cutoff_functions);
  choose(root.at("activation"), activations);
  if (potential.architecture == Architecture::PaiNN) read_painn_options(root, potential);
  if (potential.architecture == Architecture::MlffDistiller &&
      potential.cutoff_function != CutoffFunction::Cosine)
    root.at("cutoff_function").fail("must be cosine for the architecture mlff-distiller");
}

void read_units(const Field &units, Potential &potential) {
  units.only({"energy", "length"});
  potential.energy_in_eV = choose(units.at("energy"), energy_units);
  potential.energy_unit = units.at("energy").text();
  potential.length_in_angstrom = choose(units.at("length"), length_units);
  potential.length_unit = units.at("length").text();
}

/// LAMMPS warns by the first line, "# DATE: … UNITS: metal …", so it must say what the file says.
void check_metadata(const Field &root, const Potential &potential, std::string_view text) {
  const bool angstrom = potential.length_unit == "Angstrom";
  const std::string style = angstrom && potential.energy_unit == "eV"         ? "metal"
                            : angstrom && potential.energy_unit == "kcal/mol" ? "real"
                                                                              : "none";
  const std::string line = std::string(text.substr(0, text.find_first_of("\r\n"))) + " ";
  if (line[0] != '#' || line.find(" UNITS: " + style + " ") == std::string::npos)
    root.at("units").fail("the first line must be '# DATE: … UNITS: " + style +
                          " …' to agree with them");
}

void read_elements(const Field &list, Potential &potential) {
  for (const Field &item : list.items()) {
    const std::string &symbol = item.text();
    if (atomic_number(symbol) == 0)
      item.fail("is " + yaml::quoted(symbol) + "; expected a chemical symbol");
    if (potential.element_index(symbol) >= 0)
      item.fail("is " + symbol + ", which was given before");
    potential.elements.push_back(symbol);
  }
  if (potential.elements.empty()) list.fail("is empty; expected chemical symbols");
}

/// The header's part of the hash (doc/potential_format.md).
void hash_header(const Field &root, const Potential &potential, Sha256 &hash) {
  const auto add = [&](std::string_view key, const std::string &value) {
    hash.update(std::string(key) + "=" + value + "\n");
  };
  const auto add_text = [&](std::string_view key) { add(key, root.at(key).text()); };
  const auto add_real = [&](std::string_view key, double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(bits >> shift) & 15];
    add(key, digits);
  };
  const auto add_flag = [&](std::string_view key, bool value) {
    add(key, value ? "true" : "false");
  };

  add_text("architecture");
  add("channels", std::to_string(potential.channels));
  add("layers", std::to_string(potential.layers));
  add_text("radial_functions");
  add("number_of_radial_functions", std::to_string(potential.number_of_radial_functions));
  add_real("cutoff", potential.cutoff);
  add_text("cutoff_function");
  add_text("activation");
  if (potential.architecture == Architecture::PaiNN) {
    add_real("epsilon", potential.epsilon);
    add_flag("shared_interactions", potential.shared_interactions);
    add_flag("shared_filters", potential.shared_filters);
  }
  add("units.energy", potential.energy_unit);
  add("units.length", potential.length_unit);
  std::string symbols;
  for (const std::string &symbol : potential.elements)
    symbols += (symbols.empty() ? "" : ",") + symbol;
  add("elements", symbols);
}

void read_provenance(const Field &provenance, Potential &potential) {
  const std::vector<Field> entries = provenance.entries();
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (entries[i].is_scalar()) potential.provenance[provenance.keys()[i]] = entries[i].text();
}

std::string read_text(const std::string &path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw PotentialError(path + ": file: does not exist");
  if (!std::filesystem::is_regular_file(path, error))
    throw PotentialError(path + ": file: is not a file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > largest_file)
    throw PotentialError(path + ": file: is larger than " + std::to_string(largest_file) +
                         " bytes");
  std::string text(static_cast<std::size_t>(size), '\0');
  std::ifstream stream(path, std::ios::binary);
  if (!stream.read(text.data(), static_cast<std::streamsize>(size)))
    throw PotentialError(path + ": file: cannot be read");
  return text;
}

}  // namespace

const Tensor &Potential::tensor(const std::string &name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw PotentialError(file + ": tensors." + name + ": is missing");
  return found->second;
}

int Potential::element_index(std::string_view symbol) const {
  const auto found = std::find(elements.begin(), elements.end(), symbol);
  return found == elements.end() ? -1 : static_cast<int>(found - elements.begin());
}

Potential Potential::load(const std::string &path) { return parse(read_text(path), path); }

Potential Potential::parse(std::string_view text, const std::string &name) {
  if (text.size() > largest_file)
    throw PotentialError(name + ": file: is larger than " + std::to_string(largest_file) +
                         " bytes");
  const yaml::Node document = yaml::read(text, name);
  const Field root(document, "", name);
  Potential potential;
  potential.file = name;
  check_format(root);
  read_network(root, potential);
  read_units(root.at("units"), potential);
  check_metadata(root, potential, text);
  read_elements(root.at("elements"), potential);

  Sha256 hash;
  hash_header(root, potential, hash);
  read_tensors(root.at("tensors"), potential, hash);
  if (const std::string digest = hash.hex_digest(); root.at("sha256").text() != digest)
    root.at("sha256").fail("is " + yaml::quoted(root.at("sha256").text()) +
                           ", but the content has " + digest + "; the file was altered or damaged");
  if (root.has("provenance")) read_provenance(root.at("provenance"), potential);
  read_check_structure(root.at("check"), potential);
  return potential;
}

}  // namespace mlff
