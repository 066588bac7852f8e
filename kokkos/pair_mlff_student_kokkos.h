// pair_style mlff/student/kk: a student network on a Kokkos execution space, with LAMMPS's atoms,
// neighbour list and forces where they are. Settings and checks are those of mlff/student; the
// number of threads is LAMMPS's. On one process nothing is exchanged and forces are added to
// LAMMPS's own, without a copy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device_array.h"
#include "device_network.h"
#include "halo_kokkos.h"
#include "lammps_kokkos_version.h"
#include "pair_mlff_student.h"

namespace mlff {

template <class DeviceType>
class PairMlffStudentKokkos : public PairMlffStudent, public LAMMPS_NS::KokkosBase {
 public:
  explicit PairMlffStudentKokkos(LAMMPS_NS::LAMMPS *lmp, std::string name);

  void init_style() override;
  void compute(int eflag, int vflag) override;
  double memory_usage() override;

  int pack_forward_comm(int n, int *atoms, double *buffer, int, int *) override;
  void unpack_forward_comm(int n, int first, double *buffer) override;
  int pack_reverse_comm(int n, int first, double *buffer) override;
  void unpack_reverse_comm(int n, int *atoms, double *buffer) override;

  int pack_forward_comm_kokkos(int n, DAT::tdual_int_1d atoms, CommBuffer &buffer, int,
                               int *) override;
  void unpack_forward_comm_kokkos(int n, int first, CommBuffer &buffer) override;
  int pack_reverse_comm_kokkos(int n, int first, CommBuffer &buffer) override;
  void unpack_reverse_comm_kokkos(int n, DAT::tdual_int_1d atoms, CommBuffer &buffer) override;

 protected:
  double create_network(const NetworkOptions &options) override;
  std::string place(const NetworkOptions &options) const override;
  void reserve_halo() override;
  std::string describe(const NonFiniteError &trouble) override;
  std::vector<int> neighbours_of(int atom) const override;

 private:
  template <class T>
  using Array = device::Array<T, DeviceType>;
  using List = LAMMPS_NS::NeighListKokkos<DeviceType>;

  bool sets_all_forces() const;
  void find_owners();
  void copy_tags();
  bool chosen_atoms_changed(bool new_atoms);
  DeviceAtoms atoms_on_device(bool changed);
  DeviceNeighbourList neighbours_on_device() const;
  void evaluate(const DeviceAtoms &atoms, DeviceResults &results);
  void add_per_atom();

  LAMMPS_NS::AtomKokkos *atom_kokkos_;
  std::unique_ptr<DeviceNetwork> network_;
  HaloKokkos<DeviceType> halo_;
  LAMMPS_NS::bigint last_step_ = -1;  // of the last call of compute()
  bool has_every_type_ = false;       // none is another style's

  Array<int> device_element_of_type_{"mlff::element_of_type"};  // [types + 1]
  Array<int> owner_{"mlff::owner"};                             // [total]
  Array<int> tag_table_{"mlff::tag_table"};
  Array<int> tags_{"mlff::tags"};    // [total] on devices
  Array<int> types_{"mlff::types"};  // [total] of the last call, if not every type is ours
  Array<double> positions_{"mlff::positions"};  // [total, 3] only where LAMMPS's differ in type
  Array<double> own_forces_{"mlff::forces"};    // [total, 3] only on several processes, or as above
  Array<double> atomic_energies_{"mlff::atomic_energies"};  // [total] if wanted
  Array<double> atomic_virial_{"mlff::atomic_virial"};      // [total, 9] if wanted
  std::vector<double> on_host_;                             // [local, 9] for copies
};

}  // namespace mlff
