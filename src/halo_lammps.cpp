#include "halo_lammps.h"

#include <algorithm>
#include <cstring>

namespace mlff {

void HaloLammps::reserve(std::size_t row_bytes, LAMMPS_NS::Pair &buffers) {
  // A hybrid style reads these of its sub-styles before their potentials are known, so it is told here.
  const int forward = static_cast<int>(row_bytes / sizeof(double));
  for (LAMMPS_NS::Pair *style : {&pair_, &buffers}) {
    style->comm_forward = std::max(style->comm_forward, forward);
    style->comm_reverse_off = std::max(style->comm_reverse_off, force_width + virial_width);
  }
}

void HaloLammps::set_atoms(LAMMPS_NS::Comm &comm, int local, int total, const int *owner) {
  comm_ = &comm;
  local_ = local;
  total_ = total;
  owner_ = owner;
}

void HaloLammps::exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) {
  rows_ = static_cast<char *>(rows);
  row_bytes_ = row_bytes;
  row_of_atom_ = row_of_atom;
  keep_ghosts_without_row();

  const int reserved = pair_.comm_forward;
  pair_.comm_forward = static_cast<int>(row_bytes / sizeof(double));
  comm_->forward_comm(&pair_);
  pair_.comm_forward = reserved;
}

void HaloLammps::return_to_owners(double *forces, double *virial) {
  forces_ = forces;
  virial_ = virial;
  const int reserved = pair_.comm_reverse_off, usual = pair_.comm_reverse;
  pair_.comm_reverse = pair_.comm_reverse_off = force_width + (virial ? virial_width : 0);
  comm_->reverse_comm(&pair_);
  pair_.comm_reverse = usual;
  pair_.comm_reverse_off = reserved;
}

void HaloLammps::keep_ghosts_without_row() {
  passing_row_.assign(total_ - local_, -1);
  int kept = 0;
  for (int i = local_; i < total_; ++i)
    if (row_of_atom_[i] < 0) passing_row_[i - local_] = kept++;
  const std::size_t doubles = kept * row_bytes_ / sizeof(double);
  if (passing_.size() < doubles) passing_.resize(doubles);
}

// Where the row of an atom lies; nullptr for one of our own that is not part of the network.
char *HaloLammps::row(int atom) {
  if (row_of_atom_[atom] >= 0) return rows_ + row_of_atom_[atom] * row_bytes_;
  if (atom < local_) return nullptr;
  return reinterpret_cast<char *>(passing_.data()) + passing_row_[atom - local_] * row_bytes_;
}

int HaloLammps::pack_forward(int n, const int *atoms, double *buffer) {
  char *to = reinterpret_cast<char *>(buffer);
  for (int k = 0; k < n; ++k, to += row_bytes_) {
    if (const char *from = row(atoms[k]))
      std::memcpy(to, from, row_bytes_);
    else
      std::memset(to, 0, row_bytes_);
  }
  return static_cast<int>(n * (row_bytes_ / sizeof(double)));
}

void HaloLammps::unpack_forward(int n, int first, const double *buffer) {
  const char *from = reinterpret_cast<const char *>(buffer);
  for (int i = first; i < first + n; ++i, from += row_bytes_) {
    const bool shares_row_of_owner = owner_[i] >= 0 && row_of_atom_[i] >= 0;
    if (!shares_row_of_owner) std::memcpy(row(i), from, row_bytes_);
  }
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
    for (int d = 0; virial_ && d < virial_width; ++d) virial_[virial_width * atoms[k] + d] += *buffer++;
  }
}

}  // namespace mlff
