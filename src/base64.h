// Base64 (RFC 4648), read strictly.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace mlff {

/// Decodes padded base64; line breaks and spaces between characters are skipped. Nothing if the
/// text is not base64: another character, padding elsewhere than at the end, a group cut short,
/// spare bits set. (yaml-cpp's own decoder lets all of these pass.)
std::optional<std::vector<unsigned char>> decode_base64(std::string_view text);

}  // namespace mlff
