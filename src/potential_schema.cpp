#include "potential_schema.h"

namespace mlff {

namespace {

struct Dimension {
  std::size_t factor;
  enum Size { None, One, Channels, RadialFunctions, Elements } size;
};
constexpr Dimension none{0, Dimension::None}, axes{3, Dimension::One}, Z{1, Dimension::Elements},
    K{1, Dimension::RadialFunctions}, F{1, Dimension::Channels}, F2{2, Dimension::Channels},
    F3{3, Dimension::Channels};

enum class In { Every, Gaussian, Bessel, PaiNN, MlffDistiller };
enum class Times { Once, PerFilter, PerInteraction };

struct Row {
  const char *name;  ///< a part that is just "l" stands for the layer
  Dimension first, second;
  In in;
  Times times;
};

constexpr Row table[] = {
    {"embedding", Z, F, In::Every, Times::Once},
    {"atomic_energies", Z, none, In::Every, Times::Once},
    {"radial.centers", K, none, In::Gaussian, Times::Once},
    {"radial.widths", K, none, In::Gaussian, Times::Once},
    {"radial.frequencies", K, none, In::Bessel, Times::Once},
    {"phi.l.0.weight", F, F, In::PaiNN, Times::PerInteraction},
    {"phi.l.0.bias", F, none, In::PaiNN, Times::PerInteraction},
    {"phi.l.1.weight", F3, F, In::PaiNN, Times::PerInteraction},
    {"phi.l.1.bias", F3, none, In::PaiNN, Times::PerInteraction},
    {"upd.l.0.weight", F, F2, In::Every, Times::PerInteraction},
    {"upd.l.0.bias", F, none, In::Every, Times::PerInteraction},
    {"upd.l.1.weight", F3, F, In::Every, Times::PerInteraction},
    {"upd.l.1.bias", F3, none, In::Every, Times::PerInteraction},
    {"filter.l.weight", F3, K, In::PaiNN, Times::PerFilter},
    {"filter.l.bias", F3, none, In::PaiNN, Times::PerFilter},
    {"mix.l.weight", F2, F, In::PaiNN, Times::PerInteraction},
    {"filter.l.0.weight", F, K, In::MlffDistiller, Times::PerFilter},
    {"filter.l.0.bias", F, none, In::MlffDistiller, Times::PerFilter},
    {"filter.l.1.weight", F3, F, In::MlffDistiller, Times::PerFilter},
    {"filter.l.1.bias", F3, none, In::MlffDistiller, Times::PerFilter},
    {"mixing.l", axes, axes, In::MlffDistiller, Times::PerInteraction},
};

bool belongs_to(const Potential &header, In in) {
  switch (in) {
    case In::Gaussian: return header.radial_functions == RadialFunctions::Gaussian;
    case In::Bessel: return header.radial_functions == RadialFunctions::Bessel;
    case In::PaiNN: return header.architecture == Architecture::PaiNN;
    case In::MlffDistiller: return header.architecture == Architecture::MlffDistiller;
    case In::Every: break;
  }
  return true;
}

int copies(const Potential &header, Times times) {
  if (times == Times::PerFilter) return header.shared_filters ? 1 : header.layers;
  if (times == Times::PerInteraction) return header.shared_interactions ? 1 : header.layers;
  return 1;
}

std::size_t value(const Potential &header, const Dimension &dimension) {
  switch (dimension.size) {
    case Dimension::Channels: return dimension.factor * static_cast<std::size_t>(header.channels);
    case Dimension::RadialFunctions:
      return static_cast<std::size_t>(header.number_of_radial_functions);
    case Dimension::Elements: return header.elements.size();
    default: return dimension.factor;
  }
}

std::string name_in_layer(std::string name, int layer) {
  const std::size_t dot = name.find(".l");
  const bool is_layer =
      dot != std::string::npos && (dot + 2 == name.size() || name[dot + 2] == '.');
  return is_layer ? name.replace(dot + 1, 1, std::to_string(layer)) : name;
}

/// Layers k = 0, 1, … as long as the file has one; each takes what the one before gives; the last
/// gives 1.
void add_readout(const Potential &header, const Shapes &declared, Shapes &required) {
  std::size_t inputs = static_cast<std::size_t>(header.channels);
  for (int k = 0;; ++k) {
    const std::string name = "out." + std::to_string(k), next = "out." + std::to_string(k + 1);
    const auto weight = declared.find(name + ".weight");
    const bool last = declared.count(next + ".weight") == 0;
    const bool known = !last && weight != declared.end() && !weight->second.empty();
    const std::size_t outputs = known ? weight->second[0] : 1;
    required[name + ".weight"] = {outputs, inputs};
    required[name + ".bias"] = {outputs};
    if (last) return;
    inputs = outputs;
  }
}

}  // namespace

Shapes required_shapes(const Potential &header, const Shapes &declared) {
  Shapes required;
  for (const Row &row : table) {
    if (!belongs_to(header, row.in)) continue;
    Shape shape{value(header, row.first)};
    if (row.second.size != Dimension::None) shape.push_back(value(header, row.second));
    for (int layer = 0; layer < copies(header, row.times); ++layer)
      required[name_in_layer(row.name, layer)] = shape;
  }
  add_readout(header, declared, required);
  return required;
}

std::string to_string(const Shape &shape) {
  std::string text;
  for (const std::size_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

}  // namespace mlff
