// The halo between MPI processes, through LAMMPS's own communication pattern.
#pragma once

#include <cstddef>

#include "comm.h"
#include "network.h"
#include "pair.h"

namespace mlff {

/// Sends rows from owners to ghosts, and sums of forces and virials from ghosts back to owners.
/// LAMMPS calls the pair style to fill and empty its buffers; the pair style hands these calls on
/// to here. A ghost may have come over several processes, each of which passes on its own ghost's
/// row: every atom of the network that a process knows must have one. Images of own atoms receive
/// what their row holds already.
class HaloLammps : public Halo {
 public:
  HaloLammps(LAMMPS_NS::Pair &pair, LAMMPS_NS::Comm *&comm) : pair_(pair), comm_(comm) {}

  /// Makes room in LAMMPS's buffers; to be called before LAMMPS sets up communication.
  /// row_bytes: largest row of exchange(). `buffers` is the style that LAMMPS asks (a hybrid, or
  /// ours).
  void reserve(std::size_t row_bytes, LAMMPS_NS::Pair &buffers);

  void exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) override;
  /// Adds what ghosts have received to their owners. forces: [total, 3]; virial: [total, 9] or
  /// nullptr.
  void return_to_owners(double *forces, double *virial);

  // LAMMPS's calls; each returns the number of doubles in the buffer.
  int pack_forward(int n, const int *atoms, double *buffer);
  void unpack_forward(int n, int first, const double *buffer);
  int pack_reverse(int n, int first, double *buffer);
  void unpack_reverse(int n, const int *atoms, const double *buffer);

 private:
  LAMMPS_NS::Pair &pair_;
  LAMMPS_NS::Comm *&comm_;  // LAMMPS's own pointer: comm_style replaces the object

  char *rows_ = nullptr;
  std::size_t row_bytes_ = 0;
  const int *row_of_atom_ = nullptr;
  double *forces_ = nullptr, *virial_ = nullptr;
};

}  // namespace mlff
