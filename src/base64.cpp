#include "base64.h"

#include <array>
#include <cstdint>

namespace mlff {

namespace {

constexpr std::uint8_t padding = 64, blank = 65, invalid = 255;

std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> table;
  table.fill(invalid);
  const std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < digits.size(); ++i)
    table[static_cast<unsigned char>(digits[i])] = static_cast<std::uint8_t>(i);
  table['='] = padding;
  for (const char c : {' ', '\n', '\r'}) table[static_cast<unsigned char>(c)] = blank;
  return table;
}

}  // namespace

std::optional<std::vector<unsigned char>> decode_base64(std::string_view text) {
  static const std::array<std::uint8_t, 256> table = make_table();
  std::vector<unsigned char> bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t group = 0;
  int digits = 0, pads = 0;
  for (const char c : text) {
    const std::uint8_t digit = table[static_cast<unsigned char>(c)];
    if (digit == blank) continue;
    if (digit == invalid) return std::nullopt;
    if (digit == padding) {
      ++pads;
    } else if (pads > 0) {
      return std::nullopt;
    }
    group = group << 6 | (digit == padding ? 0u : digit);
    if (++digits % 4 != 0) continue;
    if (pads > 2 || (group & ((1u << 8 * pads) - 1)) != 0) return std::nullopt;
    for (int i = 0; i < 3 - pads; ++i)
      bytes.push_back(static_cast<unsigned char>(group >> (16 - 8 * i)));
    group = 0;
  }
  if (digits % 4 != 0 || pads > 2) return std::nullopt;
  return bytes;
}

}  // namespace mlff
