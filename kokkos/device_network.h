// The student network on a Kokkos execution space: data stays on the device. Knows nothing of
// LAMMPS. All pointers below are into memory of the device.
#pragma once

#include <cstddef>
#include <memory>

#include "network.h"

namespace mlff {

/// Atoms as the caller stores them, see Atoms.
struct DeviceAtoms {
  int local = 0;                         ///< atoms owned by this process
  int total = 0;                         ///< owned and ghost atoms
  const double *positions = nullptr;     ///< [total, 3] caller's length unit
  const int *types = nullptr;            ///< [total]
  const int *element_of_type = nullptr;  ///< [types] indices into NetworkOptions::elements or -1
  const int *owner = nullptr;            ///< [total] as Atoms::owner; null: there are no ghosts
  /// [total] IDs, an image's that of its owner; null: none. Sums over neighbours follow their
  /// order, and without them the order of atoms and lists.
  const int *tags = nullptr;
  /// Whether anything but positions may differ from the last call: atoms, owners, the neighbour
  /// list, or which atoms have an element. An atom's element may differ from call to call.
  bool changed = true;
};

/// Neighbours of some of the local atoms, see NeighbourList. The k-th one of atom i is
/// neighbours[i * atom_stride + k * neighbour_stride] & mask.
struct DeviceNeighbourList {
  int centres = 0;
  const int *centre = nullptr;  ///< [centres] local atom of each row
  const int *count = nullptr;   ///< [local] by atom
  const int *neighbours = nullptr;
  std::size_t atom_stride = 0, neighbour_stride = 1;
  int mask = ~0;
};

/// Brings rows of per-atom data from the owners to the ghosts on other processes, see Halo.
class DeviceHalo {
 public:
  virtual ~DeviceHalo() = default;
  /// Work that fills `rows` may still be running on the default instance of the execution space;
  /// what the halo does must be ordered behind it, and the network's next step behind that.
  virtual void exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) = 0;
};

/// What to compute, see Results; arrays are added to, in the caller's units. Null: not wanted.
struct DeviceResults {
  bool want_energy = false;  ///< sums cross to the host only where they are wanted
  bool want_virial = false;
  double energy = 0.0;       ///< set if want_energy
  double virial[6] = {};     ///< set if want_virial
  double *forces = nullptr;  ///< [total, 3], also parts of ghosts owned by others
  bool add_forces = true;    ///< if not, local atoms' forces are set; only without ghosts of others
  double *atomic_energies = nullptr;  ///< [total] local atoms only
  double *atomic_virial = nullptr;    ///< [total, 9] xx yy zz xy xz yz yx zx zy
};

/// A network ready to compute on a device. Work space grows with the largest system seen.
/// Bitwise reproducible.
class DeviceNetwork {
 public:
  virtual ~DeviceNetwork() = default;
  /// One evaluation, collective where a halo is given. It is queued on the default instance of the
  /// execution space; only where energy or virial are wanted does it wait for the results. An
  /// energy, force or position that is not a number is reported by NonFiniteError: at once if it
  /// waits, by the next call otherwise (with atom -1, if atoms have changed by then).
  virtual void compute(const DeviceAtoms &atoms, const DeviceNeighbourList &list, DeviceHalo *halo,
                       DeviceResults &results) = 0;
  /// Cutoff radius in the caller's unit.
  virtual double cutoff() const = 0;
  /// Largest row that compute() hands to a halo.
  virtual std::size_t halo_bytes() const = 0;
  /// Bytes of work space held on the device now.
  virtual std::size_t workspace_bytes() const = 0;
};

/// Which kernels to use where there is a choice.
enum class DeviceKernels {
  Best,     ///< those written for the device where there are any, else the portable ones
  Portable  ///< Kokkos alone
};

/// For the execution space Space, one of Kokkos::DefaultExecutionSpace and
/// Kokkos::DefaultHostExecutionSpace. Kokkos must be initialised. Throws PotentialError if an
/// element is not in the potential.
template <class Space>
std::unique_ptr<DeviceNetwork> create_device_network(const Potential &potential,
                                                     const NetworkOptions &options,
                                                     DeviceKernels kernels = DeviceKernels::Best);

/// The same behind the host's interface: atoms, list and results are copied for each call. For
/// tests and benchmarks.
std::unique_ptr<Network> create_kokkos_network(const Potential &potential,
                                               const NetworkOptions &options,
                                               DeviceKernels kernels = DeviceKernels::Best);

}  // namespace mlff
