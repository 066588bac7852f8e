#include "potential.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "base64.h"
#include "chemical_symbols.h"
#include "potential_writer.h"
#include "sha256.h"

namespace mlff {
namespace {

using test::PotentialWriter;
using test::WriterOptions;

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  const std::size_t where = text.find(from);
  if (where == std::string::npos) throw std::logic_error("not in the file: " + from);
  return text.replace(where, from.size(), to);
}

/// The message with which a text is refused, or nothing.
std::string refusal(const std::string &text) {
  try {
    Potential::parse(text, "FILE");
  } catch (const PotentialError &error) {
    return error.what();
  }
  return "";
}

// ------------------------------------------------------------------------------------- its parts

std::string sha256(const std::string &message) {
  Sha256 hash;
  hash.update(message);
  return hash.hex_digest();
}

// NIST, "Examples with intermediate values" and the long-message vector of FIPS 180-4.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  const std::string message(200, 'x');
  for (std::size_t piece = 1; piece < message.size(); ++piece) {
    Sha256 hash;
    for (std::size_t at = 0; at < message.size(); at += piece)
      hash.update(message.substr(at, piece));
    EXPECT_EQ(hash.hex_digest(), sha256(message));
  }
}

std::string decoded(std::string_view text) {
  const auto bytes = decode_base64(text);
  return bytes ? std::string(bytes->begin(), bytes->end()) : "refused";
}

// RFC 4648, section 10.
TEST(Base64, DecodesThePublishedExamples) {
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(decoded("Zg=="), "f");
  EXPECT_EQ(decoded("Zm8="), "fo");
  EXPECT_EQ(decoded("Zm9v"), "foo");
  EXPECT_EQ(decoded("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decoded("Zm9v\n  YmFy"), "foobar");
}

TEST(Base64, RefusesWhatIsNotExact) {
  for (const char *text : {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zh==", "Zm9=", "Zg==Zg==",
                           "=Zg=", "Zm9v!", "Zm\tv", "Zm9v\xff"})
    EXPECT_EQ(decoded(text), "refused") << text;
}

TEST(ChemicalSymbols, KnowTheirNumbers) {
  EXPECT_EQ(atomic_number("H"), 1);
  EXPECT_EQ(atomic_number("Cl"), 17);
  EXPECT_EQ(atomic_number("Xe"), 54);
  EXPECT_EQ(atomic_number("U"), 92);
  EXPECT_EQ(atomic_number("Og"), 118);
  for (const char *word : {"", "h", "CL", "Xx", "H "}) EXPECT_EQ(atomic_number(word), 0);
}

TEST(ChemicalSymbols, KnowTheirMasses) {
  EXPECT_DOUBLE_EQ(standard_mass("H"), 1.008);
  EXPECT_DOUBLE_EQ(standard_mass("C"), 12.011);
  EXPECT_DOUBLE_EQ(standard_mass("Cl"), 35.45);
  EXPECT_DOUBLE_EQ(standard_mass("U"), 238.029);
  EXPECT_DOUBLE_EQ(standard_mass("h"), 0.0);
}

// ----------------------------------------------------------------------------------- good files

TEST(Potential, HoldsWhatTheFileSays) {
  WriterOptions options;
  options.channels = 2;
  options.number_of_radial_functions = 5;
  options.cutoff = 4.75;
  options.cutoff_function = CutoffFunction::Mollifier;
  options.shared_filters = true;
  PotentialWriter writer(options);
  const Potential potential = Potential::parse(writer.text(), "FILE");
  EXPECT_EQ(potential.file, "FILE");
  EXPECT_EQ(potential.architecture, Architecture::PaiNN);
  EXPECT_EQ(potential.channels, 2);
  EXPECT_EQ(potential.layers, 2);
  EXPECT_EQ(potential.number_of_radial_functions, 5);
  EXPECT_EQ(potential.radial_functions, RadialFunctions::Gaussian);
  EXPECT_EQ(potential.cutoff_function, CutoffFunction::Mollifier);
  EXPECT_EQ(potential.cutoff, 4.75);
  EXPECT_EQ(potential.epsilon, 1e-8);
  EXPECT_FALSE(potential.shared_interactions);
  EXPECT_TRUE(potential.shared_filters);
  EXPECT_EQ(potential.elements, (std::vector<std::string>{"H", "C", "O"}));
  EXPECT_EQ(potential.element_index("O"), 2);
  EXPECT_EQ(potential.element_index("N"), -1);
  EXPECT_EQ(potential.provenance, (std::map<std::string, std::string>{{"teacher", "none"}}));
  EXPECT_EQ(potential.check.elements, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(potential.check.positions,
            (std::vector<double>{0, 0.25, -0.5, 1, 0.25, -0.5, 2, 0.25, -0.5}));
  EXPECT_FALSE(potential.check.cell.has_value());
  EXPECT_EQ(potential.check.energy, -1.5);
  EXPECT_EQ(potential.check.forces,
            (std::vector<double>{0.5, 1e-3, 0, 0.5, 1e-3, -1, 0.5, 1e-3, -2}));
  ASSERT_EQ(potential.tensors.size(), writer.tensors.size());
  for (const PotentialWriter::TensorEntry &tensor : writer.tensors) {
    EXPECT_EQ(potential.tensor(tensor.name).shape, tensor.shape) << tensor.name;
    EXPECT_EQ(potential.tensor(tensor.name).values, tensor.values) << tensor.name;
  }
  EXPECT_THROW(potential.tensor("phi.2.0.weight"), PotentialError);
}

/// By hand from the table in doc/potential_format.md: F = 4, K = 3, Z = 3, L = 1.
TEST(Potential, HasTheTensorsOfItsArchitecture) {
  using Shapes = std::map<std::string, std::vector<std::size_t>>;
  const Shapes both = {{"embedding", {3, 4}},       {"atomic_energies", {3}},
                       {"upd.0.0.weight", {4, 8}},  {"upd.0.0.bias", {4}},
                       {"upd.0.1.weight", {12, 4}}, {"upd.0.1.bias", {12}},
                       {"out.0.weight", {2, 4}},    {"out.0.bias", {2}},
                       {"out.1.weight", {1, 2}},    {"out.1.bias", {1}}};
  Shapes painn = {
      {"radial.centers", {3}},     {"radial.widths", {3}},     {"filter.0.weight", {12, 3}},
      {"filter.0.bias", {12}},     {"phi.0.0.weight", {4, 4}}, {"phi.0.0.bias", {4}},
      {"phi.0.1.weight", {12, 4}}, {"phi.0.1.bias", {12}},     {"mix.0.weight", {8, 4}}};
  Shapes distiller = {{"radial.frequencies", {3}}, {"filter.0.0.weight", {4, 3}},
                      {"filter.0.0.bias", {4}},    {"filter.0.1.weight", {12, 4}},
                      {"filter.0.1.bias", {12}},   {"mixing.0", {3, 3}}};
  painn.insert(both.begin(), both.end());
  distiller.insert(both.begin(), both.end());
  const auto shapes = [](const WriterOptions &options) {
    Shapes result;
    for (const auto &[name, tensor] : test::random_potential(options).tensors)
      result[name] = tensor.shape;
    return result;
  };
  WriterOptions options;
  options.layers = 1;
  EXPECT_EQ(shapes(options), painn);
  options.architecture = Architecture::MlffDistiller;
  options.radial_functions = RadialFunctions::Bessel;
  EXPECT_EQ(shapes(options), distiller);
}

TEST(Potential, SharesTensorsBetweenLayers) {
  WriterOptions options;
  options.layers = 3;
  EXPECT_EQ(test::random_potential(options).tensors.count("phi.2.0.weight"), 1u);
  options.shared_interactions = true;
  const Potential interactions = test::random_potential(options);
  EXPECT_EQ(
      interactions.tensors.count("phi.1.0.weight") + interactions.tensors.count("mix.1.weight"),
      0u);
  EXPECT_EQ(interactions.tensors.count("filter.2.weight"), 1u);
  options.shared_filters = true;
  EXPECT_EQ(test::random_potential(options).tensors.count("filter.1.weight"), 0u);
}

TEST(Potential, ReadsSinglePrecision) {
  WriterOptions options;
  options.dtype = "float32";
  PotentialWriter writer(options);
  const Potential potential = Potential::parse(writer.text(), "FILE");
  for (const PotentialWriter::TensorEntry &tensor : writer.tensors)
    for (std::size_t i = 0; i < tensor.values.size(); ++i)
      EXPECT_EQ(potential.tensor(tensor.name).values[i], static_cast<float>(tensor.values[i]));
}

TEST(Potential, ReadsAReadoutOfAnyDepth) {
  for (const std::vector<std::size_t> &hidden : {std::vector<std::size_t>{}, {5, 3, 2}}) {
    WriterOptions options;
    options.hidden = hidden;
    EXPECT_EQ(test::random_potential(options).tensors.count("out.3.bias"),
              hidden.empty() ? 0u : 1u);
  }
}

// CODATA 2018: e N_A = 96485.33212331 C/mol, 1 Hartree = 27.211386245988 eV, 1 Bohr =
// 0.529177210903 Angstrom.
TEST(Potential, KnowsItsUnits) {
  const auto with_units = [](const std::string &energy, const std::string &length,
                             const std::string &style) {
    PotentialWriter writer;
    writer.first_line = "# UNITS: " + style;
    const std::string expected = "sha256: ";
    // The writer's hash is that of eV and Angstrom: take the right one from the refusal.
    writer.header_entry("units") = "{energy: " + energy + ", length: " + length + "}";
    const std::string message = refusal(writer.text());
    const std::size_t where = message.find("the content has ");
    if (where == std::string::npos) return Potential::parse(writer.text(), "FILE");
    const std::string text = writer.text();
    const std::string given = text.substr(text.find(expected) + expected.size(), 64);
    return Potential::parse(replaced(text, given, message.substr(where + 16, 64)), "FILE");
  };
  const Potential real = with_units("kcal/mol", "Angstrom", "real");
  EXPECT_EQ(real.energy_unit, "kcal/mol");
  EXPECT_NEAR(real.energy_in_eV, 4184 / 96485.33212331, 1e-14);
  EXPECT_EQ(real.length_in_angstrom, 1.0);
  EXPECT_NEAR(with_units("kJ/mol", "nm", "none").energy_in_eV, 1000 / 96485.33212331, 1e-14);
  EXPECT_EQ(with_units("kJ/mol", "nm", "none").length_in_angstrom, 10.0);
  EXPECT_EQ(with_units("Hartree", "Bohr", "none").energy_in_eV, 27.211386245988);
  EXPECT_EQ(with_units("Hartree", "Bohr", "none").length_in_angstrom, 0.529177210903);
  EXPECT_EQ(with_units("meV", "Angstrom", "none").energy_in_eV, 1e-3);
  EXPECT_EQ(with_units("eV", "Angstrom", "metal").energy_in_eV, 1.0);
}

TEST(Potential, ReadsAPeriodicCheckStructure) {
  PotentialWriter writer;
  writer.check = replaced(writer.check, "null", "[[6, 0, 0], [1, 7.5, 0], [0, 0, 8]]");
  const Potential potential = Potential::parse(writer.text(), "FILE");
  EXPECT_EQ(potential.check.cell, (std::vector<double>{6, 0, 0, 1, 7.5, 0, 0, 0, 8}));
}

TEST(Potential, DoesWithoutProvenance) {
  PotentialWriter writer;
  writer.provenance = "";
  EXPECT_TRUE(Potential::parse(writer.text(), "FILE").provenance.empty());
}

TEST(Potential, LoadsAFileAndNamesIt) {
  const auto path =
      std::filesystem::temp_directory_path() / ("mlff_potential_" + std::to_string(getpid()));
  const auto write = [&](const std::string &text) {
    std::ofstream(path, std::ios::binary) << text;
  };
  const std::string text = PotentialWriter().text();
  write(text);
  EXPECT_EQ(Potential::load(path.string()).file, path.string());
  write(text.substr(0, text.size() / 2));
  try {
    Potential::load(path.string());
    ADD_FAILURE() << "a file cut short was read";
  } catch (const PotentialError &error) {
    EXPECT_EQ(std::string(error.what()).rfind(path.string() + ": ", 0), 0u) << error.what();
  }
  std::filesystem::remove(path);
  EXPECT_THROW(Potential::load(path.string()), PotentialError);
  EXPECT_THROW(Potential::load(std::filesystem::temp_directory_path().string()), PotentialError);
}

/// Written by the Python package, which states shapes and hash on its own.
TEST(Potential, LoadsEveryFixture) {
  int files = 0;
  for (const auto &entry : std::filesystem::directory_iterator(MLFF_SOURCE_DIR "/tests/fixtures")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    EXPECT_NO_THROW(Potential::load(entry.path().string())) << entry.path();
  }
  EXPECT_GT(files, 0);
}

// ------------------------------------------------------------------------------------ refusals

struct Case {
  const char *name;
  std::function<std::string()> text;
  const char *message;  ///< how it begins
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

/// A good file with one piece of text replaced.
Case edit(const char *name, const char *from, const char *to, const char *message) {
  return {name, [=] { return replaced(PotentialWriter().text(), from, to); }, message};
}

/// A file whose tensors, and then its hash, were changed.
Case change(const char *name, std::function<void(PotentialWriter &)> action, const char *message) {
  return {name,
          [=] {
            PotentialWriter writer;
            action(writer);
            return writer.text();
          },
          message};
}

class Refusal : public testing::TestWithParam<Case> {};

TEST_P(Refusal, NamesFileKeyAndReason) {
  const std::string message = refusal(GetParam().text());
  EXPECT_EQ(message.rfind(GetParam().message, 0), 0u) << (message.empty() ? "was read" : message);
}

std::string case_name(const testing::TestParamInfo<Case> &info) { return info.param.name; }

const Case header_cases[] = {
    edit("OtherFormat", "format: mlff-student", "format: pickle",
         "FILE: format: is 'pickle'; expected mlff-student"),
    edit("OtherVersion", "version: 1", "version: 2",
         "FILE: version: is 2; this program reads version 1"),
    edit("VersionInQuotes", "version: 1", "version: '1'", "FILE: version: is '1' in quotes"),
    edit("MissingKey", "cutoff: 5\n", "", "FILE: cutoff: is missing"),
    edit("MissingSha", "sha256: ", "provenance2: ", "FILE: 'provenance2': unknown key"),
    edit("UnknownKey", "layers: 2\n", "layers: 2\nheads: 4\n",
         "FILE: 'heads': unknown key; known here: format"),
    edit("KeyTwice", "layers: 2\n", "layers: 2\nlayers: 2\n", "FILE: layers: given twice"),
    edit("KeyTwiceInUnits", "energy: eV,", "energy: eV, energy: eV,",
         "FILE: units.energy: given twice"),
    edit("KeyTwiceInProvenance", "errors: {", "errors: {energy: 1, ",
         "FILE: provenance.errors.energy: given twice"),
    edit("OtherArchitecture", "painn", "nequip",
         "FILE: architecture: is 'nequip'; known: painn, mlff-distiller"),
    edit("PainnOptionElsewhere", "painn", "mlff-distiller", "FILE: 'epsilon': unknown key"),
    edit("OtherRadialFunctions", "gaussian", "sinc",
         "FILE: radial_functions: is 'sinc'; known: gaussian, bessel"),
    edit("OtherCutoffFunction", "cosine", "step",
         "FILE: cutoff_function: is 'step'; known: cosine, mollifier"),
    edit("OtherActivation", "silu", "tanh", "FILE: activation: is 'tanh'; known: silu"),
    edit("NoChannels", "channels: 4", "channels: 0",
         "FILE: channels: is '0'; expected an integer from 1"),
    edit("NegativeChannels", "channels: 4", "channels: -4",
         "FILE: channels: is '-4'; expected an integer"),
    edit("FractionalChannels", "channels: 4", "channels: 4.5",
         "FILE: channels: is '4.5'; expected an integer"),
    edit("ManyChannels", "channels: 4", "channels: 2000000000", "FILE: channels: is '2000000000'"),
    edit("EndlessChannels", "channels: 4", "channels: 99999999999999999999999",
         "FILE: channels: is '999"),
    edit("ManyLayers", "layers: 2", "layers: 2000000000", "FILE: layers: is '2000000000'"),
    edit("NoRadialFunctions", "number_of_radial_functions: 3", "number_of_radial_functions: 0",
         "FILE: number_of_radial_functions: is '0'"),
    edit("ZeroCutoff", "cutoff: 5", "cutoff: 0.0",
         "FILE: cutoff: is 0.000000; expected a positive number"),
    edit("NegativeCutoff", "cutoff: 5", "cutoff: -5",
         "FILE: cutoff: is -5.000000; expected a positive number"),
    edit("InfiniteCutoff", "cutoff: 5", "cutoff: .inf",
         "FILE: cutoff: is '.inf'; expected a finite number"),
    edit("InfCutoff", "cutoff: 5", "cutoff: inf",
         "FILE: cutoff: is 'inf'; expected a finite number"),
    edit("NanCutoff", "cutoff: 5", "cutoff: nan",
         "FILE: cutoff: is 'nan'; expected a finite number"),
    edit("HugeCutoff", "cutoff: 5", "cutoff: 1e300", "FILE: cutoff: is 1"),
    edit("OverflowingCutoff", "cutoff: 5", "cutoff: 1e999",
         "FILE: cutoff: is '1e999'; expected a finite number"),
    edit("TinyCutoff", "cutoff: 5", "cutoff: 1e-300", "FILE: cutoff: is 0"),
    edit("TextCutoff", "cutoff: 5", "cutoff: 5 Angstrom",
         "FILE: cutoff: is '5 Angstrom'; expected a finite number"),
    edit("ListCutoff", "cutoff: 5", "cutoff: [5]",
         "FILE: cutoff: is a list; expected a single value"),
    edit("NullCutoff", "cutoff: 5", "cutoff:", "FILE: cutoff: is null; expected a single value"),
    edit("ZeroEpsilon", "1.0e-08", "0", "FILE: epsilon: must be positive"),
    edit("OtherBoolean", "shared_filters: false", "shared_filters: no",
         "FILE: shared_filters: is 'no'; expected true"),
    edit("OtherUnit", "energy: eV", "energy: Rydberg",
         "FILE: units.energy: is 'Rydberg'; known: eV, meV"),
    edit("OtherLength", "length: Angstrom", "length: m",
         "FILE: units.length: is 'm'; known: Angstrom, nm, Bohr"),
    edit("UnknownUnitKey", "{energy", "{time: fs, energy", "FILE: units.'time': unknown key"),
    edit("FirstLineDisagrees", "UNITS: metal", "UNITS: real",
         "FILE: units: the first line must be"),
    edit("NoFirstLine", "# DATE", "# \n# DATE", "FILE: units: the first line must be"),
    edit("NoElements", "elements: [H, C, O]", "elements: []", "FILE: elements: is empty"),
    edit("ElementTwice", "elements: [H, C, O]", "elements: [H, C, H]",
         "FILE: elements[2]: is H, which was given before"),
    edit("OtherElement", "elements: [H, C, O]", "elements: [H, C, Oo]",
         "FILE: elements[2]: is 'Oo'; expected a chemical"),
    edit("OtherOrder", "elements: [H, C, O]", "elements: [C, H, O]", "FILE: sha256: is "),
    edit("OtherEpsilon", "1.0e-08", "1.0e-07", "FILE: sha256: is "),
    edit("OtherHash", "sha256: ", "sha256: 0", "FILE: sha256: is '0"),
};
INSTANTIATE_TEST_SUITE_P(Header, Refusal, testing::ValuesIn(header_cases), case_name);

const Case tensor_cases[] = {
    change(
        "MissingTensor", [](PotentialWriter &w) { w.tensors.erase(w.tensors.begin() + 1); },
        "FILE: tensors.embedding: is missing; expected with the shape [3, 4]"),
    change(
        "MissingLastLayer",
        [](PotentialWriter &w) { w.tensor("out.1.weight").name = "out.2.weight"; },
        "FILE: tensors.out.0.bias: has the shape [2]; expected [1]"),
    change(
        "UnknownTensor",
        [](PotentialWriter &w) {
          w.tensors.push_back({"mixing.0", {3, 3}, "float64", {}});
        },
        "FILE: tensors.mixing.0: unknown tensor"),
    change(
        "TensorOfALayerTooMany",
        [](PotentialWriter &w) {
          w.tensors.push_back({"mix.2.weight", {8, 4}, "float64", {}});
        },
        "FILE: tensors.mix.2.weight: unknown tensor"),
    change(
        "TensorTwice", [](PotentialWriter &w) { w.tensors.push_back(w.tensor("embedding")); },
        "FILE: tensors.embedding: given twice"),
    change(
        "ShapeTransposed",
        [](PotentialWriter &w) {
          w.tensor("embedding").shape = {4, 3};
        },
        "FILE: tensors.embedding: has the shape [4, 3]; expected [3, 4]"),
    change(
        "ShapeOfOtherRank", [](PotentialWriter &w) { w.tensor("embedding").shape = {12}; },
        "FILE: tensors.embedding: has the shape [12]; expected [3, 4]"),
    change(
        "ShapeOfRankThree",
        [](PotentialWriter &w) {
          w.tensor("embedding").shape = {3, 4, 1};
        },
        "FILE: tensors.embedding.shape: has 3 dimensions; expected 1 or 2"),
    change(
        "ShapeOfRankZero", [](PotentialWriter &w) { w.tensor("embedding").shape = {}; },
        "FILE: tensors.embedding.shape: has 0 dimensions"),
    change(
        "ShapeWithZero",
        [](PotentialWriter &w) {
          w.tensor("embedding").shape = {3, 0};
        },
        "FILE: tensors.embedding.shape[1]: is '0'"),
    change(
        "HiddenSizeBeyondTheFile",
        [](PotentialWriter &w) {
          w.tensor("out.0.weight").shape = {std::size_t(1) << 30, 4};
          w.tensor("out.0.bias").shape = {std::size_t(1) << 30};
          w.tensor("out.1.weight").shape = {1, std::size_t(1) << 30};
        },
        "FILE: tensors.out.0.bias: holds 16 bytes; a float64 tensor [1073741824] has 8589934592"),
    change(
        "HiddenSizeBeyondMemory",
        [](PotentialWriter &w) {
          w.tensor("out.0.weight").shape = {1ul << 62, 4};
        },
        "FILE: tensors.out.0.weight.shape[0]: is '4611686018427387904'"),
    change(
        "ManyChannels", [](PotentialWriter &w) { w.header_entry("channels") = "16384"; },
        "FILE: tensors.embedding: has the shape [3, 4]; expected [3, 16384]"),
    change(
        "ValueMissing", [](PotentialWriter &w) { w.tensor("embedding").values.pop_back(); },
        "FILE: tensors.embedding: holds 88 bytes; a float64 tensor [3, 4] has 96"),
    change(
        "ValueTooMany", [](PotentialWriter &w) { w.tensor("embedding").values.push_back(1.0); },
        "FILE: tensors.embedding: holds 104 bytes"),
    change(
        "OtherType", [](PotentialWriter &w) { w.tensor("embedding").dtype = "int8"; },
        "FILE: tensors.embedding.dtype: is 'int8'; known: float32, float64"),
    change(
        "TypeOfOtherSize",
        [](PotentialWriter &w) {
          w.tensor("embedding").values.resize(24, 1.0);
          w.tensor("embedding").dtype = "float32";
        },
        "FILE: tensors.embedding: holds 96 bytes; a float32 tensor [3, 4] has 48"),
    change(
        "NotANumber", [](PotentialWriter &w) { w.tensor("upd.1.0.bias").values[2] = std::nan(""); },
        "FILE: tensors.upd.1.0.bias: value 2 is not a finite number"),
    change(
        "Infinity", [](PotentialWriter &w) { w.tensor("embedding").values[0] = -INFINITY; },
        "FILE: tensors.embedding: value 0 is not a finite number"),
    change(
        "ZeroWidth", [](PotentialWriter &w) { w.tensor("radial.widths").values[1] = 0.0; },
        "FILE: tensors.radial.widths: holds a number that is not above 0"),
    change(
        "TinyWidth", [](PotentialWriter &w) { w.tensor("radial.widths").values[1] = 1e-200; },
        "FILE: tensors.radial.widths: holds a number that is not above 0"),
    edit("TensorKeyMissing", "  dtype: float64\n", "",
         "FILE: tensors.atomic_energies.dtype: is missing"),
    edit("TensorKeyUnknown", "  dtype: float64\n", "  dtype: float64\n  order: F\n",
         "FILE: tensors.atomic_energies.'order': unknown key"),
    edit("TensorKeyTwice", "  dtype: float64\n", "  dtype: float64\n  dtype: float64\n",
         "FILE: tensors[0].dtype: given twice"),
    edit("TensorWithoutName", "- name: embedding\n ", "-", "FILE: tensors[1].name: is missing"),
    edit("DataWithoutTag", "!!binary ", "",
         "FILE: tensors.atomic_energies: expected base64 text tagged !!binary"),
    edit("DataOfAList", "!!binary \"", "[] # \"", "FILE: tensors.atomic_energies: is a list"),
    edit("NameTagged", "name: embedding", "name: !!binary embedding",
         "FILE: tensors[1].name: is !!binary"),
    edit("DataNotBase64", "!!binary \"", "!!binary \"*",
         "FILE: tensors.atomic_energies: its data is not valid base64"),
    edit("DataCutShort", "\"\n", "A\"\n",
         "FILE: tensors.atomic_energies: its data is not valid base64"),
    edit("WeightChanged", "!!binary \"", "!!binary \"AAAA",
         "FILE: tensors.atomic_energies: holds 27 bytes"),
    edit("TensorsAreAMapping", "tensors:\n", "tensors: {}\nprovenance2:\n",
         "FILE: 'provenance2': unknown key"),
};
INSTANTIATE_TEST_SUITE_P(Tensors, Refusal, testing::ValuesIn(tensor_cases), case_name);

const Case check_cases[] = {
    edit("KeyMissing", "  cell: null\n", "", "FILE: check.cell: is missing"),
    edit("KeyUnknown", "  cell: null\n", "  cell: null\n  stress: 0\n",
         "FILE: check.'stress': unknown key"),
    edit("ElementUnknown", "  elements: [H, C, O]", "  elements: [H, C, N]",
         "FILE: check.elements[2]: is 'N'; this potential has H, C, O"),
    edit("ElementLacking", "  elements: [H, C, O]", "  elements: [H, C, C]",
         "FILE: check.elements: lacks O; every element of the file must occur"),
    edit("NoAtoms", "  elements: [H, C, O]", "  elements: []", "FILE: check.elements: lacks H"),
    edit("AtomTooMany", "  elements: [H, C, O]", "  elements: [H, C, O, O]",
         "FILE: check.positions: has 3 rows; expected 4"),
    edit("PositionCut", "[1.0, 0.25, -0.5]", "[1.0, 0.25]",
         "FILE: check.positions[1]: has 2 entries; expected 3"),
    edit("PositionNotFinite", "[1.0, 0.25, -0.5]", "[1.0, .nan, -0.5]",
         "FILE: check.positions[1][1]: is '.nan'; expected a finite number"),
    edit("CellOfTwoRows", "cell: null", "cell: [[9, 0, 0], [0, 9, 0]]",
         "FILE: check.cell: has 2 rows; expected 3"),
    edit("FlatCell", "cell: null", "cell: [[9, 0, 0], [0, 9, 0], [9, 9, 0]]",
         "FILE: check.cell: its rows span no volume"),
    edit("TinyCell", "cell: null", "cell: [[.001, 0, 0], [0, .001, 0], [0, 0, .001]]",
         "FILE: check: has 3 atoms; more than 1000, or 100000 with"),
    edit("AtomsSpreadOverCells", "[1.0, 0.25, -0.5]\n  - [2.0, 0.25, -0.5]\n  cell: null",
         "[1.0, 0.25, -0.5]\n  - [4e4, 3e4, 2e4]\n  cell: [[9, 0, 0], [0, 9, 0], [0, 0, 9]]",
         "FILE: check: has 3 atoms; more than 1000, or 100000 with"),
    edit("AtomFarAway", "[1.0, 0.25, -0.5]", "[1.0e25, 0.25, -0.5]",
         "FILE: check.positions: holds an atom farther than 10000 cutoffs"),
    change(
        "ManyAtoms",
        [](PotentialWriter &w) {
          WriterOptions options;
          options.elements.insert(options.elements.end(), 1000, "H");
          w.check = PotentialWriter(options).check;
        },
        "FILE: check: has 1003 atoms"),
    edit("EnergyNotFinite", "energy: -1.5", "energy: -.inf", "FILE: check.energy: is '-.inf'"),
    edit("ForceMissing", "  - [0.5, 1.0e-3, -2.0]\n", "",
         "FILE: check.forces: has 2 rows; expected 3"),
    edit("ForceNotFinite", "[0.5, 1.0e-3, -2.0]", "[0.5, 1.0e+999, -2.0]",
         "FILE: check.forces[2][1]: is '1.0e+999'"),
    edit("ProvenanceIsAList", "provenance: {", "provenance: [{}] # {",
         "FILE: provenance: is a list; expected a mapping"),
};
INSTANTIATE_TEST_SUITE_P(Check, Refusal, testing::ValuesIn(check_cases), case_name);

Case whole(const char *name, std::string text, const char *message) {
  return {name, [=] { return text; }, message};
}

std::string repeated(const std::string &text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

std::string nested_blocks(int depth) {
  std::string text;
  for (int i = 1; i <= depth; ++i) text += std::string(static_cast<std::size_t>(i), ' ') + "-\n";
  return text;
}

const Case yaml_cases[] = {
    whole("Empty", "", "FILE: file: is empty"),
    whole("OneLineBreak", "\n", "FILE: file: is not a mapping"),
    whole("AList", "- a\n", "FILE: file: is not a mapping"),
    whole("EmptyMapping", "{}\n", "FILE: format: is missing"),
    whole("Binary", std::string("\x80\x02}q\0", 5) + "\n",
          "FILE: file: line 1: holds a control character"),
    whole("NotYaml", "a: [1, 2\n", "FILE: file: line"),
    whole("NestedLists", repeated("[", 100000) + "\n", "FILE: file: line 1: "),
    whole("NestedMappings", repeated("{a: ", 100000) + "\n", "FILE: "),
    whole("NestedBlocks", repeated("- ", 100000) + "\n", "FILE: "),
    whole("NestedKeys", repeated("? ", 100000) + "\n", "FILE: "),
    whole("ManyValues", "a: [" + repeated("1,", 1000001) + "]\n",
          "FILE: file: line 1: has the file's punctuation mark number 1000001"),
    edit("LastLineCut", "[0.5, 1.0e-3, -2.0]\n", "[0.5, 1.0e-3, -2.0]",
         "FILE: file: line 151: is the last and lacks its line break"),
    edit("Anchor", "elements: [H", "elements: [&h H",
         "FILE: elements[0]: line 16: anchors are not allowed"),
    edit("SecondAnchor", "[H, C", "[H, &c C",
         "FILE: elements[1]: line 16: anchors are not allowed"),
    whole("NestedListsInBlocks", "a:\n" + nested_blocks(20),
          "FILE: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: line 17: nested deeper"),
    edit("AnchoredList", "elements: [H", "elements: &e [H",
         "FILE: elements: line 16: anchors are not allowed"),
    edit("Alias", "{teacher: none", "{teacher: *t", "FILE: file: line "),
    edit("Tag", "painn", "!!python/object painn", "FILE: architecture: line 4: unknown tag"),
    edit("TaggedList", "elements: [", "elements: !!set [", "FILE: elements: line 16: unknown tag"),
    edit("BinaryKey", "layers: 2", "!!binary layers: 2",
         "FILE: channels: line 6: a key must be text"),
    edit("ListAsKey", "layers: 2", "[layers]: 2", "FILE: channels: line 6: a key must be text"),
    edit("NullAsKey", "layers: 2", "~: 2", "FILE: channels: line 6: a key must be text"),
    edit("Directive",
         "format:", "%YAML 1.2\n---\nformat:", "FILE: file: line 2: directives are not allowed"),
    edit("SecondDocument", "check:", "---\ncheck:", "FILE: file: line"),
    edit("ControlCharacter", "teacher: none", "teacher: no\x04ne", "FILE: file: line"),
};
INSTANTIATE_TEST_SUITE_P(Yaml, Refusal, testing::ValuesIn(yaml_cases), case_name);

// ---------------------------------------------------------------------------------- random damage

/// All that the hash covers.
void expect_same_network(const Potential &a, const Potential &b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.channels, b.channels);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.number_of_radial_functions, b.number_of_radial_functions);
  EXPECT_EQ(a.radial_functions, b.radial_functions);
  EXPECT_EQ(a.cutoff_function, b.cutoff_function);
  EXPECT_EQ(a.cutoff, b.cutoff);
  EXPECT_EQ(a.epsilon, b.epsilon);
  EXPECT_EQ(a.shared_interactions, b.shared_interactions);
  EXPECT_EQ(a.shared_filters, b.shared_filters);
  EXPECT_EQ(a.energy_unit, b.energy_unit);
  EXPECT_EQ(a.length_unit, b.length_unit);
  EXPECT_EQ(a.energy_in_eV, b.energy_in_eV);
  EXPECT_EQ(a.length_in_angstrom, b.length_in_angstrom);
  EXPECT_EQ(a.elements, b.elements);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto &[name, tensor] : a.tensors) {
    EXPECT_EQ(tensor.shape, b.tensor(name).shape);
    EXPECT_EQ(tensor.values, b.tensor(name).values);
  }
}

void expect_same_check(const CheckStructure &a, const CheckStructure &b) {
  EXPECT_EQ(a.elements, b.elements);
  EXPECT_EQ(a.positions, b.positions);
  EXPECT_EQ(a.cell, b.cell);
  EXPECT_EQ(a.energy, b.energy);
  EXPECT_EQ(a.forces, b.forces);
}

TEST(Damage, EveryTruncationIsRefused) {
  for (const Architecture architecture : {Architecture::PaiNN, Architecture::MlffDistiller}) {
    WriterOptions options;
    options.architecture = architecture;
    options.channels = 1;
    options.layers = 1;
    options.number_of_radial_functions = 1;
    const std::string text = PotentialWriter(options).text();
    for (std::size_t size = 0; size < text.size(); ++size)
      EXPECT_EQ(refusal(text.substr(0, size)).rfind("FILE: ", 0), 0u)
          << size << " of " << text.size();
  }
}

TEST(Damage, EveryInputOfTheFuzzCorpusIsReadOrRefused) {
  int files = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(MLFF_SOURCE_DIR "/tests/fuzz/corpus")) {
    ++files;
    try {
      Potential::load(entry.path().string());
    } catch (const PotentialError &) {
    }
  }
  EXPECT_GT(files, 0);
}

/// The hash does not cover the check structure, which is recomputed from the network instead.
TEST(Damage, RandomBytesNeverChangeTheNetwork) {
  const std::string text = PotentialWriter().text();
  const std::size_t check_begins = text.find("check:");
  const Potential original = Potential::parse(text, "FILE");
  std::mt19937 random(20261120);
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string damaged = text;
    const std::size_t where = random() % text.size();
    damaged[where] = static_cast<char>(damaged[where] ^ static_cast<char>(1 + random() % 255));
    SCOPED_TRACE("byte " + std::to_string(where) + " became " +
                 std::to_string(int(damaged[where])));
    try {
      const Potential potential = Potential::parse(damaged, "FILE");
      expect_same_network(original, potential);
      if (where < check_begins) expect_same_check(original.check, potential.check);
    } catch (const PotentialError &error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).rfind("FILE: ", 0), 0u);
    }
  }
  EXPECT_GT(refused, 900);
}

}  // namespace
}  // namespace mlff
