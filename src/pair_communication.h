// LAMMPS's communication for a pair style that sends rows of its own widths: what the halos of host
// and device share.
#pragma once

#include <algorithm>

#include "comm.h"
#include "pair.h"

namespace mlff {

/// Numbers an atom of a force, and of its virial.
constexpr int force_width = 3, virial_width = 9;

/// Makes room in LAMMPS's buffers for so many numbers an atom. A hybrid style reads these of its
/// sub-styles before their potentials are known, so it is told here: `buffers` is the style that
/// LAMMPS asks (a hybrid, or ours).
inline void reserve_buffers(LAMMPS_NS::Pair &pair, LAMMPS_NS::Pair &buffers, int forward,
                            int reverse) {
  for (LAMMPS_NS::Pair *style : {&pair, &buffers}) {
    style->comm_forward = std::max(style->comm_forward, forward);
    style->comm_reverse_off = std::max(style->comm_reverse_off, reverse);
  }
}

/// Sends `width` numbers an atom from owners to ghosts, through the pair style's functions.
inline void send_to_ghosts(LAMMPS_NS::Comm &comm, LAMMPS_NS::Pair &pair, int width) {
  const int reserved = pair.comm_forward;
  pair.comm_forward = width;
  comm.forward_comm(&pair);
  pair.comm_forward = reserved;
}

/// Sends `width` numbers an atom from ghosts to owners, whatever `newton` says.
inline void send_to_owners(LAMMPS_NS::Comm &comm, LAMMPS_NS::Pair &pair, int width) {
  const int reserved = pair.comm_reverse_off, usual = pair.comm_reverse;
  pair.comm_reverse = pair.comm_reverse_off = width;
  comm.reverse_comm(&pair);
  pair.comm_reverse = usual;
  pair.comm_reverse_off = reserved;
}

}  // namespace mlff
