#include "halo_lammps.h"

#include <algorithm>
#include <cstring>

#include "pair_communication.h"

namespace mlff {

void HaloLammps::reserve(std::size_t row_bytes, LAMMPS_NS::Pair &buffers) {
  reserve_buffers(pair_, buffers, static_cast<int>(row_bytes / sizeof(double)),
                  force_width + virial_width);
}

void HaloLammps::exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) {
  rows_ = static_cast<char *>(rows);
  row_bytes_ = row_bytes;
  row_of_atom_ = row_of_atom;
  send_to_ghosts(*comm_, pair_, static_cast<int>(row_bytes / sizeof(double)));
}

void HaloLammps::return_to_owners(double *forces, double *virial) {
  forces_ = forces;
  virial_ = virial;
  send_to_owners(*comm_, pair_, force_width + (virial ? virial_width : 0));
}

int HaloLammps::pack_forward(int n, const int *atoms, double *buffer) {
  char *to = reinterpret_cast<char *>(buffer);
  for (int k = 0; k < n; ++k, to += row_bytes_) {
    const int row = row_of_atom_[atoms[k]];
    if (row >= 0)
      std::memcpy(to, rows_ + row * row_bytes_, row_bytes_);
    else
      std::memset(to, 0, row_bytes_);  // not an atom of the network
  }
  return static_cast<int>(n * (row_bytes_ / sizeof(double)));
}

void HaloLammps::unpack_forward(int n, int first, const double *buffer) {
  const char *from = reinterpret_cast<const char *>(buffer);
  for (int i = first; i < first + n; ++i, from += row_bytes_)
    if (row_of_atom_[i] >= 0) std::memcpy(rows_ + row_of_atom_[i] * row_bytes_, from, row_bytes_);
}

int HaloLammps::pack_reverse(int n, int first, double *buffer) {
  double *to = buffer;
  for (int i = first; i < first + n; ++i) {
    to = std::copy_n(forces_ + force_width * i, force_width, to);
    if (virial_) to = std::copy_n(virial_ + virial_width * i, virial_width, to);
  }
  return static_cast<int>(to - buffer);
}

void HaloLammps::unpack_reverse(int n, const int *atoms, const double *buffer) {
  for (int k = 0; k < n; ++k) {
    for (int d = 0; d < force_width; ++d) forces_[force_width * atoms[k] + d] += *buffer++;
    for (int d = 0; virial_ && d < virial_width; ++d)
      virial_[virial_width * atoms[k] + d] += *buffer++;
  }
}

}  // namespace mlff
