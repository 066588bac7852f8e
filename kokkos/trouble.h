// What goes wrong on the device and has to be told on the host.
#pragma once

#include <Kokkos_Core.hpp>
#include <limits>

#include "network.h"

namespace mlff::device {

/// A word in memory that both sides see, so that looking at it costs no copy and no wait. The first
/// kind of trouble wins, then the first atom.
class Trouble {
 public:
  enum Kind : int { Position, SameSpot, Result };
  using Word = long long;
  static constexpr Word kNone = std::numeric_limits<Word>::max();

  Trouble() : word_("mlff::trouble") { word_() = kNone; }

  /// For kernels.
  struct Reporter {
    Word *word;
    KOKKOS_INLINE_FUNCTION void operator()(Kind kind, int atom) const {
      Kokkos::atomic_min(word, (Word(kind) << 32) | atom);
    }
  };
  Reporter reporter() const { return {word_.data()}; }

  /// Throws NonFiniteError for what the device has reported so far; without the atom, where atoms
  /// have other numbers now.
  void check(bool renumbered = false) {
    const Word word = *static_cast<volatile Word *>(word_.data());
    if (word == kNone) return;
    Kokkos::fence("mlff::trouble");  // nothing may report behind the reset
    word_() = kNone;
    static const char *const texts[] = {"the position of an atom is not a number",
                                        "two atoms are on the same spot",
                                        "the energy or force of an atom is not a number"};
    throw NonFiniteError(texts[word >> 32], renumbered ? -1 : static_cast<int>(word & 0x7fffffff));
  }

 private:
  Kokkos::View<Word, Kokkos::SharedHostPinnedSpace> word_;
};

}  // namespace mlff::device
