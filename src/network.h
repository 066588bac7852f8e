// The student network: energy, forces and virial of a set of atoms. Knows nothing of LAMMPS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "potential.h"

namespace mlff {

enum class Precision {
  Single,  ///< everything behind the displacements in float, but for the sum of the energy
  Mixed,   ///< network in float; geometry and sums of forces, energy and virial in double
  Double
};
enum class Filters {
  Exact,  ///< radial functions, cutoff and filter layers evaluated for every edge
  Spline  ///< cubic B-spline table of the filters; forces are exact derivatives of the tabulated
          ///< energy
};
/// Instruction sets that the kernels are compiled for.
enum class Isa { Baseline, Avx2, Avx512 };

/// The best instruction set of this processor; MLFF_ISA=baseline|avx2|avx512 in the environment
/// lowers it. Throws std::invalid_argument for another value.
Isa best_isa();
const char *name(Isa isa);

struct NetworkOptions {
  Precision precision = Precision::Double;
  Filters filters = Filters::Exact;
  Isa isa = best_isa();
  int threads = 1;  ///< OpenMP threads; results do not depend on it
  std::vector<std::string>
      elements;                    ///< the caller's elements, distinct; empty: all of the potential
  double energy_unit_in_eV = 1.0;  ///< the caller's energy unit
  double length_unit_in_angstrom = 1.0;  ///< the caller's length unit
};

/// Atoms as the caller stores them: `local` owned ones first, then copies ("ghosts").
struct Atoms {
  int local = 0;                           ///< atoms owned by this process
  int total = 0;                           ///< owned and ghost atoms
  const double (*positions)[3] = nullptr;  ///< [total], caller's length unit
  const int *elements = nullptr;  ///< [total] indices into NetworkOptions::elements; -1: not ours
  /// [total] local index of the atom that atom i is (an image of); -1: owned by another process.
  /// nullptr if there are no ghosts.
  const int *owner = nullptr;
};

/// Neighbours of some of the local atoms, each pair in both directions ("full" list). May hold more
/// than the cutoff; entries are masked with `mask` before use. LAMMPS's NeighList fits as it is.
struct NeighbourList {
  int centres = 0;
  const int *centre = nullptr;             ///< [centres] local atom of each row
  const int *count = nullptr;              ///< [local] by atom
  const int *const *neighbours = nullptr;  ///< [local] by atom, rows of atom indices
  int mask = ~0;
};

/// Brings rows of per-atom data from the owners to the ghosts on other processes. It is called the
/// same number of times on each process, also by one without atoms.
class Halo {
 public:
  virtual ~Halo() = default;
  /// rows: [*, row_bytes]; row_of_atom: [total] row of each atom of `Atoms` or -1. A ghost whose
  /// owner is on this process shares its owner's row; the halo must then leave the row unchanged.
  /// row_bytes is a multiple of sizeof(double) and never above Network::halo_bytes().
  virtual void exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) = 0;
};

/// What to compute; arrays are added to, in the caller's units. Null: not wanted.
struct Results {
  double energy = 0.0;    ///< set, sum over this process's atoms
  double virial[6] = {};  ///< set if want_virial: xx yy zz xy xz yz, sum of r_i f_i
  bool want_virial = false;
  /// [total] added to. Ghosts owned by another process receive their part too; the caller returns
  /// it.
  double (*forces)[3] = nullptr;
  double *atomic_energies = nullptr;  ///< [total] added to, local atoms only
  /// [total] added to: xx yy zz xy xz yz yx zx zy (LAMMPS cvatom order); half of each edge to
  /// either end, also to ghosts owned by another process.
  double (*atomic_virial)[9] = nullptr;
};

/// The energy or a force is not a number; `atom` is the local atom where it was first seen.
class NonFiniteError : public std::runtime_error {
 public:
  NonFiniteError(const std::string &what, int local_atom)
      : std::runtime_error(what), atom(local_atom) {}
  int atom;
};

/// A network ready to compute. Work space grows with the largest system seen and is reused.
/// Bitwise reproducible, whatever the number of threads.
class Network {
 public:
  virtual ~Network() = default;
  /// One evaluation; collective where a halo is given. Throws NonFiniteError, and then has added
  /// nothing.
  virtual void compute(const Atoms &atoms, const NeighbourList &list, Halo *halo,
                       Results &results) = 0;
  /// Cutoff radius in the caller's unit.
  virtual double cutoff() const = 0;
  /// Largest row that compute() hands to a halo.
  virtual std::size_t halo_bytes() const = 0;
  /// Bytes of work space held now.
  virtual std::size_t workspace_bytes() const = 0;

  /// Throws PotentialError if an element is not in the potential.
  static std::unique_ptr<Network> create(const Potential &potential, const NetworkOptions &options);
};

}  // namespace mlff
