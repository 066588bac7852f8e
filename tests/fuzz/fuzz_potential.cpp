// Whatever the bytes, reading a potential ends in a potential or in a PotentialError, in memory that the
// file's size justifies (the limits on the command line of the run see to that).
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "potential.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  try {
    mlff::Potential::parse({reinterpret_cast<const char *>(data), size}, "fuzz");
  } catch (const mlff::PotentialError &) {
  }
  return 0;
}
