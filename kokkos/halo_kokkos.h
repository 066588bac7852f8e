// The halo between MPI processes with data on a device, through LAMMPS's own communication pattern.
#pragma once

#include <cstddef>

#include "comm.h"
#include "device_array.h"
#include "device_network.h"
#include "pair.h"
#include "pair_communication.h"

namespace mlff {

/// As HaloLammps. LAMMPS asks for buffers on the device where it communicates from there (with an
/// MPI that knows GPUs), and on the host otherwise; then only what is sent crosses over.
template <class Space>
class HaloKokkos : public DeviceHalo {
 public:
  HaloKokkos(LAMMPS_NS::Pair &pair, LAMMPS_NS::Comm *&comm) : pair_(pair), comm_(comm) {}

  /// Makes room in LAMMPS's buffers on the host; to be called before LAMMPS sets up communication.
  /// row_bytes: largest row of exchange(), 0 if it goes through buffers on the device.
  /// Buffers on the device grow by themselves. `buffers` is the style that LAMMPS asks (a hybrid,
  /// or ours).
  void reserve(std::size_t row_bytes, bool reverse_on_host, LAMMPS_NS::Pair &buffers);

  /// owner: as DeviceAtoms::owner. Must outlive the calls below.
  void set_owners(const int *owner) { owner_ = owner; }
  void exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) override;
  /// Adds what ghosts have received to their owners. forces: [total, 3]; virial: [total, 9] or
  /// nullptr.
  void return_to_owners(double *forces, double *virial);

  // LAMMPS's calls with everything on the device; each returns the number of doubles in the buffer.
  int pack_forward(int n, const int *atoms, double *buffer);
  void unpack_forward(int n, int first, const double *buffer);
  int pack_reverse(int n, int first, double *buffer);
  void unpack_reverse(int n, const int *atoms, const double *buffer);

  // The same with lists and buffers on the host.
  int pack_forward_on_host(int n, const int *atoms, double *buffer);
  void unpack_forward_on_host(int n, int first, const double *buffer);
  int pack_reverse_on_host(int n, int first, double *buffer);
  void unpack_reverse_on_host(int n, const int *atoms, const double *buffer);

  std::size_t bytes() const { return list_.bytes() + buffer_.bytes(); }  ///< held on the device

 private:
  int reverse_width() const { return force_width + (virial_ ? virial_width : 0); }
  // What LAMMPS holds on the host, for the kernels; the same pointers where these run on the host.
  const int *list_on_device(int n, const int *atoms);
  double *buffer_on_device(int words, double *buffer);
  void copy_to_host(int words, double *buffer);
  const double *copy_to_device(int words, const double *buffer);

  LAMMPS_NS::Pair &pair_;
  LAMMPS_NS::Comm *&comm_;  // LAMMPS's own pointer: comm_style replaces the object

  const int *owner_ = nullptr;
  double *rows_ = nullptr;
  int row_words_ = 0;
  const int *row_of_atom_ = nullptr;
  double *forces_ = nullptr, *virial_ = nullptr;

  device::Array<int, Space> list_{"mlff::halo list"};
  device::Array<double, Space> buffer_{"mlff::halo buffer"};
};

}  // namespace mlff
