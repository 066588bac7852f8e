// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mlff {

/// The hash of a message that is given in pieces.
class Sha256 {
 public:
  /// Appends bytes to the message.
  void update(const void *data, std::size_t size);
  void update(std::string_view text) { update(text.data(), text.size()); }
  /// Ends the message; returns the digest as 64 lower-case hexadecimal digits. Call once.
  std::string hex_digest();

 private:
  void compress(const unsigned char *block);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> block_ = {};
  std::size_t used_ = 0;      ///< bytes waiting in block_
  std::uint64_t length_ = 0;  ///< bytes of the message so far
};

}  // namespace mlff
