#include "potential_writer.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>

#include "potential_schema.h"
#include "sha256.h"

namespace mlff::test {

namespace {

std::string joined(const std::vector<std::string> &words, const char *separator) {
  std::string text;
  for (const std::string &word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::vector<std::string> words(const std::vector<std::size_t> &numbers) {
  std::vector<std::string> result;
  for (const std::size_t number : numbers) result.push_back(std::to_string(number));
  return result;
}

std::string little_endian_bytes(const PotentialWriter::TensorEntry &tensor) {
  std::string bytes;
  for (const double value : tensor.values) {
    std::uint64_t bits = 0;
    const auto number = static_cast<float>(value);
    const std::size_t size = tensor.dtype == "float32" ? 4 : 8;
    if (size == 4) {
      std::uint32_t word;
      std::memcpy(&word, &number, 4);
      bits = word;
    } else {
      std::memcpy(&bits, &value, 8);
    }
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(bits >> (8 * i) & 255);
  }
  return bytes;
}

std::string base64(const std::string &bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      text += i + k < bytes.size() + 1 ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

Potential header_of(const WriterOptions &options) {
  Potential header;
  header.architecture = options.architecture;
  header.radial_functions = options.radial_functions;
  header.channels = options.channels;
  header.layers = options.layers;
  header.number_of_radial_functions = options.number_of_radial_functions;
  header.elements = options.elements;
  header.shared_interactions = options.shared_interactions;
  header.shared_filters = options.shared_filters;
  return header;
}

Shapes shapes_of(const WriterOptions &options) {
  Shapes readout;
  for (std::size_t k = 0; k < options.hidden.size(); ++k)
    readout["out." + std::to_string(k) + ".weight"] = {options.hidden[k]};
  readout["out." + std::to_string(options.hidden.size()) + ".weight"] = {1};
  return required_shapes(header_of(options), readout);
}

PotentialWriter::TensorEntry random_tensor(const std::string &name, const Shape &shape,
                                           const WriterOptions &options, std::mt19937 &random) {
  constexpr double pi = 3.14159265358979323846;
  PotentialWriter::TensorEntry tensor{name, shape, options.dtype, {}};
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  const double scale = shape.size() == 2 ? 1.0 / std::sqrt(static_cast<double>(shape[1])) : 0.3;
  const double spacing = options.cutoff / options.number_of_radial_functions;
  std::normal_distribution<double> normal(0.0, scale);
  for (std::size_t k = 0; k < count; ++k) {
    double value = normal(random);
    if (name == "embedding") value *= std::sqrt(static_cast<double>(options.channels));
    if (name == "radial.centers") value = spacing * static_cast<double>(k);
    if (name == "radial.widths") value = spacing;
    if (name == "radial.frequencies") value = pi * static_cast<double>(k + 1) / options.cutoff;
    tensor.values.push_back(value);
  }
  return tensor;
}

std::string check_of(const std::vector<std::string> &elements) {
  std::string positions, forces;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    positions += "  - [" + std::to_string(i) + ".0, 0.25, -0.5]\n";
    forces += "  - [0.5, 1.0e-3, -" + std::to_string(i) + ".0]\n";
  }
  return "  elements: [" + joined(elements, ", ") + "]\n  positions:\n" + positions +
         "  cell: null\n  energy: -1.5\n  forces:\n" + forces;
}

std::string hexadecimal(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(bits));
  return digits;
}

std::string exact(double value) {
  char digits[40];
  std::snprintf(digits, sizeof digits, "%.17g", value);
  return digits;
}

}  // namespace

PotentialWriter::PotentialWriter(const WriterOptions &options)
    : check(check_of(options.elements)), options_(options) {
  const bool painn = options.architecture == Architecture::PaiNN;
  const auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
  header = {{"format", "mlff-student"},
            {"version", "1"},
            {"architecture", painn ? "painn" : "mlff-distiller"},
            {"channels", std::to_string(options.channels)},
            {"layers", std::to_string(options.layers)},
            {"radial_functions",
             options.radial_functions == RadialFunctions::Gaussian ? "gaussian" : "bessel"},
            {"number_of_radial_functions", std::to_string(options.number_of_radial_functions)},
            {"cutoff", exact(options.cutoff)},
            {"cutoff_function",
             options.cutoff_function == CutoffFunction::Cosine ? "cosine" : "mollifier"},
            {"activation", "silu"}};
  if (painn) {
    header.insert(header.end(), {{"epsilon", "1.0e-08"},
                                 {"shared_interactions", flag(options.shared_interactions)},
                                 {"shared_filters", flag(options.shared_filters)}});
  }
  header.insert(header.end(), {{"units", "{energy: eV, length: Angstrom}"},
                               {"elements", "[" + joined(options.elements, ", ") + "]"}});
  std::mt19937 random(options.seed);
  for (const auto &[name, shape] : shapes_of(options))
    tensors.push_back(random_tensor(name, shape, options, random));
}

std::string &PotentialWriter::header_entry(const std::string &key) {
  for (auto &[name, value] : header)
    if (name == key) return value;
  throw std::out_of_range(key);
}

PotentialWriter::TensorEntry &PotentialWriter::tensor(const std::string &name) {
  for (TensorEntry &entry : tensors)
    if (entry.name == name) return entry;
  throw std::out_of_range(name);
}

/// As doc/potential_format.md has it, of the header that the options gave.
std::string PotentialWriter::hash() const {
  Sha256 hash;
  for (const auto &[key, value] : header) {
    if (key == "format" || key == "version" || key == "units" || key == "elements") continue;
    const bool real = key == "cutoff" || key == "epsilon";
    hash.update(key + "=" + (real ? hexadecimal(std::strtod(value.c_str(), nullptr)) : value) +
                "\n");
  }
  hash.update("units.energy=eV\nunits.length=Angstrom\n");
  hash.update("elements=" + joined(options_.elements, ",") + "\n");
  for (const TensorEntry &tensor : tensors)
    hash.update(tensor.name + " " + tensor.dtype + " " + joined(words(tensor.shape), ",") + "\n" +
                little_endian_bytes(tensor));
  return hash.hex_digest();
}

std::string PotentialWriter::text() const {
  std::string text = first_line + "\n";
  for (const auto &[key, value] : header) text += key + ": " + value + "\n";
  text += "tensors:\n";
  for (const TensorEntry &tensor : tensors)
    text += "- name: " + tensor.name + "\n  shape: [" + joined(words(tensor.shape), ", ") +
            "]\n  dtype: " + tensor.dtype + "\n  data: !!binary \"" +
            base64(little_endian_bytes(tensor)) + "\"\n";
  text += "sha256: " + hash() + "\n";
  if (!provenance.empty()) text += "provenance: " + provenance + "\n";
  return text + "check:\n" + check;
}

Potential random_potential(const WriterOptions &options) {
  return Potential::parse(PotentialWriter(options).text(), "random");
}

}  // namespace mlff::test
