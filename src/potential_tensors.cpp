#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base64.h"
#include "potential_parts.h"
#include "potential_schema.h"

namespace mlff {

using yaml::Field;

namespace {

/// A tensor as the file states it, its data not yet decoded.
struct Declared {
  std::string name, dtype;
  Shape shape;
  Field data;
  std::size_t element_bytes() const { return dtype == "float32" ? 4 : 8; }
};

Shape read_shape(const Field &field) {
  // Above any file's size, and far from overflow in the sums that follow.
  constexpr long largest = 1L << 30;
  Shape shape;
  for (const Field &size : field.items())
    shape.push_back(static_cast<std::size_t>(size.integer(1, largest)));
  if (shape.empty() || shape.size() > 2)
    field.fail("has " + std::to_string(shape.size()) + " dimensions; expected 1 or 2");
  return shape;
}

Declared read_declaration(const Field &entry) {
  const std::string &name = entry.at("name").text();
  const Field field = entry.named("tensors." + (name.size() <= 40 ? name : yaml::quoted(name)));
  field.only({"name", "shape", "dtype", "data"});
  const std::string &dtype = field.at("dtype").text();
  if (dtype != "float32" && dtype != "float64")
    field.at("dtype").fail("is " + yaml::quoted(dtype) + "; known: float32, float64");
  return {name, dtype, read_shape(field.at("shape")), field.at("data").named(field.key())};
}

/// Refuses tensors that are missing, superfluous, given twice or of another shape than the header
/// implies.
void compare_shapes(const Field &list, const std::vector<Declared> &tensors,
                    const Potential &header) {
  Shapes declared;
  for (const Declared &tensor : tensors)
    if (!declared.emplace(tensor.name, tensor.shape).second) tensor.data.fail("given twice");
  const Shapes required = required_shapes(header, declared);
  for (const Declared &tensor : tensors) {
    const auto expected = required.find(tensor.name);
    if (expected == required.end())
      tensor.data.fail(
          "unknown tensor; this architecture with these options and layers has none of that name");
    if (tensor.shape != expected->second)
      tensor.data.fail("has the shape " + to_string(tensor.shape) + "; expected " +
                       to_string(expected->second) + " from the header");
  }
  for (const auto &[name, shape] : required)
    if (declared.count(name) == 0)
      list.named("tensors." + name).fail("is missing; expected with the shape " + to_string(shape));
}

/// Values of a tensor; the sizes agree, or it fails before it allocates.
std::size_t count_values(const Declared &tensor, std::size_t data_bytes) {
  std::size_t bytes = tensor.element_bytes();
  for (const std::size_t size : tensor.shape) {
    if (size > std::numeric_limits<std::size_t>::max() / bytes) tensor.data.fail("size overflows");
    bytes *= size;
  }
  if (bytes != data_bytes)
    tensor.data.fail("holds " + std::to_string(data_bytes) + " bytes; a " + tensor.dtype +
                     " tensor " + to_string(tensor.shape) + " has " + std::to_string(bytes));
  return bytes / tensor.element_bytes();
}

double little_endian_number(const unsigned char *bytes, std::size_t size) {
  std::uint64_t bits = 0;
  for (std::size_t i = size; i-- > 0;) bits = bits << 8 | bytes[i];
  if (size == 4) {
    const auto half = static_cast<std::uint32_t>(bits);
    float number;
    std::memcpy(&number, &half, sizeof number);
    return number;
  }
  double number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

Tensor decode(const Declared &tensor, Sha256 &hash) {
  const auto bytes = decode_base64(tensor.data.binary());
  if (!bytes) tensor.data.fail("its data is not valid base64");
  const std::size_t count = count_values(tensor, bytes->size());

  std::string dimensions;
  for (const std::size_t size : tensor.shape)
    dimensions += (dimensions.empty() ? "" : ",") + std::to_string(size);
  hash.update(tensor.name + " " + tensor.dtype + " " + dimensions + "\n");
  hash.update(bytes->data(), bytes->size());

  std::vector<double> values(count);
  const std::size_t size = tensor.element_bytes();
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = little_endian_number(bytes->data() + i * size, size);
    if (!std::isfinite(values[i]))
      tensor.data.fail("value " + std::to_string(i) + " is not a finite number");
  }
  return {tensor.shape, std::move(values)};
}

}  // namespace

void read_tensors(const Field &list, Potential &potential, Sha256 &hash) {
  std::vector<Declared> tensors;
  for (const Field &entry : list.items()) tensors.push_back(read_declaration(entry));
  compare_shapes(list, tensors, potential);
  for (const Declared &tensor : tensors) potential.tensors[tensor.name] = decode(tensor, hash);

  const bool gaussian = potential.radial_functions == RadialFunctions::Gaussian;
  const std::string scales = gaussian ? "radial.widths" : "radial.frequencies";
  for (const double value : potential.tensor(scales).values)
    if (!(value > 0.0) || !std::isnormal(value * value))
      list.named("tensors." + scales)
          .fail("holds a number that is not above 0, or not of a sensible size");
}

}  // namespace mlff
