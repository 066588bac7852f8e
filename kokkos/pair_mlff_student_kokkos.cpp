#include "pair_mlff_student_kokkos.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "instantiate.h"
#include "modify.h"
#include "neigh_request.h"
#include "neighbor.h"
#include "owners.h"
#include "plugin_styles.h"
#include "update.h"

namespace mlff {

using namespace LAMMPS_NS;

namespace {

template <class Space>
using Range = Kokkos::RangePolicy<Space, Kokkos::IndexType<int>>;

// LAMMPS's positions, whatever their precision and layout, as [total, 3]
template <class View>
struct CopyPositions {
  View x;
  double *positions;
  KOKKOS_FUNCTION void operator()(const int i) const {
    for (int d = 0; d < 3; ++d) positions[3 * std::size_t(i) + d] = x(i, d);
  }
};

template <class View>
struct AddForces {
  const double *forces;
  View f;
  KOKKOS_FUNCTION void operator()(const int i) const {
    for (int d = 0; d < 3; ++d) f(i, d) += forces[3 * std::size_t(i) + d];
  }
};

template <class View>
struct CopyTags {
  View tag;
  int *tags;
  KOKKOS_FUNCTION void operator()(const int i) const { tags[i] = static_cast<int>(tag(i)); }
};

template <class A, class B>
struct CountDifferences {
  A a;
  B b;
  KOKKOS_FUNCTION void operator()(const int i, int &count) const { count += a(i) != b(i); }
};

template <class Space>
void set_to_zero(device::Array<double, Space> &array, std::size_t n) {
  array.reserve(n);
  Kokkos::deep_copy(Space(), Kokkos::subview(array.view(), std::make_pair(std::size_t(0), n)), 0.0);
}

}  // namespace

// ---------------------------------------------------------------------- life

template <class DeviceType>
PairMlffStudentKokkos<DeviceType>::PairMlffStudentKokkos(LAMMPS *lmp, std::string name)
    : PairMlffStudent(lmp, std::move(name)),
      atom_kokkos_(dynamic_cast<AtomKokkos *>(atom)),
      halo_(*this, comm) {
  kokkosable = 1;
  reverse_comm_device = 1;
  execution_space = ExecutionSpaceFromDevice<DeviceType>::space;
  datamask_read = X_MASK | F_MASK | TAG_MASK;  // types: see chosen_atoms_changed()
  datamask_modify = F_MASK | ENERGY_MASK | VIRIAL_MASK;
}

template <class DeviceType>
double PairMlffStudentKokkos<DeviceType>::create_network(const NetworkOptions &options) {
  network_ = create_device_network<DeviceType>(*potential_, options);
  device_element_of_type_.assign(element_of_type_);
  has_every_type_ = std::count(element_of_type_.begin() + 1, element_of_type_.end(), -1) == 0;
  return network_->cutoff();
}

template <class DeviceType>
std::string PairMlffStudentKokkos<DeviceType>::place(const NetworkOptions &) const {
  const std::string space = DeviceType::name();
  return "Kokkos " + (space == "Cuda" ? "CUDA" : space);
}

template <class DeviceType>
double PairMlffStudentKokkos<DeviceType>::memory_usage() {
  std::size_t bytes = device_element_of_type_.bytes() + owner_.bytes() + tag_table_.bytes() +
                      positions_.bytes() + types_.bytes() + tags_.bytes() + own_forces_.bytes() +
                      atomic_energies_.bytes() + atomic_virial_.bytes() + halo_.bytes() +
                      on_host_.capacity() * sizeof(double);
  if (network_) bytes += network_->workspace_bytes();
  return PairMlffStudent::memory_usage() + static_cast<double>(bytes);
}

// ---------------------------------------------------------------------- start of a run

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::init_style() {
  PairMlffStudent::init_style();
  constexpr bool on_device = std::is_same_v<DeviceType, LMPDeviceType>;
  auto *request = neighbor->find_request(this);
  request->set_kokkos_host(!on_device);
  request->set_kokkos_device(on_device);
  fuse_force_clear_flag = on_device && sets_all_forces();
  last_step_ = -1;
}

// Whether VerletKokkos may leave out its force_clear(), since nothing else gives forces before this
// style, and it gives all that LAMMPS reads.
template <class DeviceType>
bool PairMlffStudentKokkos<DeviceType>::sets_all_forces() const {
  using Forces = std::decay_t<decltype(atom_kokkos_->k_f.template view<DeviceType>())>;
  return is_rows_of_doubles<Forces> && comm->nprocs == 1 && !force->newton && force->pair == this;
}

// LAMMPS's buffers on the host, and their mirrors on the device, are as large as the largest row;
// they are asked for only where they will be used.
template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::reserve_halo() {
  const bool always_on_host = execution_space != Device || comm->style != Comm::BRICK;
  using OnHost = PairCommOnHost<KokkosLMP>;
  const bool forward_on_host = always_on_host || OnHost::forward(*lmp->kokkos);
  const bool reverse_on_host = always_on_host || OnHost::reverse(*lmp->kokkos);
  halo_.reserve(forward_on_host ? network_->halo_bytes() : 0, reverse_on_host, *force->pair);
}

// ---------------------------------------------------------------------- a step

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  atom_kokkos_->sync(execution_space, datamask_read);
  const bool new_atoms = atoms_changed();
  if (new_atoms) {
    refuse_incomplete_list();
    note_atoms();
    find_owners();
    if (!device::is_host<DeviceType>) copy_tags();  // there LAMMPS's lists are always the same
  }
  const bool chosen_changed = chosen_atoms_changed(new_atoms);

  DeviceResults results;
  evaluate(atoms_on_device(new_atoms || chosen_changed), results);
  atom_kokkos_->modified(execution_space, F_MASK);
  if (eflag_global) eng_vdwl += results.energy;
  if (vflag_global)
    for (int k = 0; k < 6; ++k) virial[k] += results.virial[k];
  add_per_atom();
  last_step_ = update->ntimestep;
}

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::find_owners() {
  owner_.reserve(total_);
  device::find_owners<DeviceType>(atom_kokkos_->k_tag.template view<DeviceType>(), local_, total_,
                                  tag_table_, owner_.data());
  halo_.set_owners(owner_.data());
}

// The network wants ints, and only the order of tags matters to it.
template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::copy_tags() {
  tags_.reserve(total_);
  const auto tag = atom_kokkos_->k_tag.template view<DeviceType>();
  Kokkos::parallel_for("mlff::copy_tags", Range<DeviceType>(0, total_),
                       CopyTags<std::decay_t<decltype(tag)>>{tag, tags_.data()});
}

// Brings the types to the device. Some fixes change types and keep the neighbour list. The network
// looks up elements in each step; which atoms it has must be told, and where some types are another
// style's that takes a comparison, and a wait.
template <class DeviceType>
bool PairMlffStudentKokkos<DeviceType>::chosen_atoms_changed(bool new_atoms) {
  atom_kokkos_->sync(execution_space, TYPE_MASK);
  if (has_every_type_) return false;
  const std::size_t total = total_;
  const auto now = Kokkos::subview(atom_kokkos_->k_type.template view<DeviceType>(),
                                   std::make_pair(std::size_t(0), total));
  types_.reserve(total);
  const auto before = Kokkos::subview(types_.view(), std::make_pair(std::size_t(0), total));
  int differences = 1;
  if (!new_atoms)
    Kokkos::parallel_reduce("mlff::types_changed", Range<DeviceType>(0, total_),
                            CountDifferences<decltype(now), decltype(before)>{now, before},
                            differences);
  if (differences > 0) Kokkos::deep_copy(DeviceType(), before, now);
  return differences > 0;
}

template <class DeviceType>
DeviceAtoms PairMlffStudentKokkos<DeviceType>::atoms_on_device(bool changed) {
  DeviceAtoms atoms;
  atoms.local = local_;
  atoms.total = total_;
  atoms.types = atom_kokkos_->k_type.template view<DeviceType>().data();
  atoms.element_of_type = device_element_of_type_.data();
  atoms.owner = total_ > local_ ? owner_.data() : nullptr;
  atoms.tags = device::is_host<DeviceType> ? nullptr : tags_.data();
  atoms.changed = changed;

  const auto x = atom_kokkos_->k_x.template view<DeviceType>();
  using View = std::decay_t<decltype(x)>;
  if constexpr (is_rows_of_doubles<View>) {
    atoms.positions = x.data();
  } else {
    positions_.reserve(3 * std::size_t(total_));
    Kokkos::parallel_for("mlff::copy_positions", Range<DeviceType>(0, total_),
                         CopyPositions<View>{x, positions_.data()});
    atoms.positions = positions_.data();
  }
  return atoms;
}

template <class DeviceType>
DeviceNeighbourList PairMlffStudentKokkos<DeviceType>::neighbours_on_device() const {
  const auto *pairs = static_cast<const List *>(list);
  DeviceNeighbourList neighbours;
  neighbours.centres = pairs->inum;
  neighbours.centre = pairs->d_ilist.data();
  neighbours.count = pairs->d_numneigh.data();
  neighbours.neighbours = pairs->d_neighbors.data();
  neighbours.atom_stride = pairs->d_neighbors.stride(0);
  neighbours.neighbour_stride = pairs->d_neighbors.stride(1);
  neighbours.mask = NEIGHMASK;
  return neighbours;
}

// Adds to LAMMPS's forces; atomic_energies_ and atomic_virial_ are complete for our atoms.
template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::evaluate(const DeviceAtoms &atoms, DeviceResults &results) {
  const auto f = atom_kokkos_->k_f.template view<DeviceType>();
  using View = std::decay_t<decltype(f)>;
  const bool several = comm->nprocs > 1;
  const std::size_t total = total_;
  bool in_place = false;
  if constexpr (is_rows_of_doubles<View>) {
    in_place = !several;
    if (in_place) results.forces = f.data();
    // Minimisers have cleared them, and fixes that act before may have added to them.
    const bool in_run = update->whichflag == 1;
    results.add_forces = !(fuse_force_clear_flag && in_run && modify->n_pre_force == 0);
  }
  if (!in_place) {
    set_to_zero(own_forces_, 3 * total);
    results.forces = own_forces_.data();
  }
  results.want_energy = eflag_global;
  results.want_virial = vflag_global;
  if (eflag_atom) {
    set_to_zero(atomic_energies_, total);
    results.atomic_energies = atomic_energies_.data();
  }
  if (vflag_atom || cvflag_atom) {
    set_to_zero(atomic_virial_, 9 * total);
    results.atomic_virial = atomic_virial_.data();
  }

  try {
    network_->compute(atoms, neighbours_on_device(), several ? &halo_ : nullptr, results);
  } catch (const NonFiniteError &trouble) {
    stop(describe(trouble));
  } catch (const std::exception &failure) {
    stop(failure.what());
  }
  if (several) halo_.return_to_owners(results.forces, results.atomic_virial);
  if (!in_place)
    Kokkos::parallel_for("mlff::add_forces", Range<DeviceType>(0, local_),
                         AddForces<View>{own_forces_.data(), f});
}

// LAMMPS reads what belongs to single atoms on the host.
template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::add_per_atom() {
  const std::size_t local = local_;
  if (eflag_atom) {
    copy_to_host(on_host_, atomic_energies_, local);
    for (std::size_t i = 0; i < local; ++i) eatom[i] += on_host_[i];
  }
  if (vflag_atom || cvflag_atom) {
    copy_to_host(on_host_, atomic_virial_, 9 * local);
    add_atomic_virial(on_host_.data());
  }
}

// ---------------------------------------------------------------------- trouble

template <class DeviceType>
std::string PairMlffStudentKokkos<DeviceType>::describe(const NonFiniteError &trouble) {
  atom_kokkos_->sync(Host, X_MASK | TYPE_MASK | TAG_MASK);
  const int i = trouble.atom;
  const bool late = last_step_ >= 0 && i >= 0 && i < local_ &&
                    !std::isfinite(atom->x[i][0] + atom->x[i][1] + atom->x[i][2]);
  if (!late) return PairMlffStudent::describe(trouble);
  // Seen one call later, when the forces have carried the atom away.
  return std::string(trouble.what()) + " after step " + std::to_string(last_step_) +
         ", first seen at atom " + std::to_string(atom->tag[i]) + " of type " +
         std::to_string(atom->type[i]) + ". Check the starting structure and the time step";
}

template <class DeviceType>
std::vector<int> PairMlffStudentKokkos<DeviceType>::neighbours_of(int atom) const {
  const auto *pairs = static_cast<const List *>(list);
  const auto count = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(),
                                                         Kokkos::subview(pairs->d_numneigh, atom));
  // A row of neighbours need not be contiguous; it is gathered where it lies.
  const auto row = Kokkos::subview(pairs->d_neighbors, atom, std::make_pair(0, count()));
  Kokkos::View<int *, DeviceType> gathered("mlff::neighbours", count());
  Kokkos::deep_copy(gathered, row);
  const auto on_host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), gathered);
  std::vector<int> neighbours(on_host.data(), on_host.data() + on_host.size());
  for (int &j : neighbours) j &= NEIGHMASK;
  return neighbours;
}

// ---------------------------------------------------------------------- communication

template <class DeviceType>
int PairMlffStudentKokkos<DeviceType>::pack_forward_comm(int n, int *atoms, double *buffer, int,
                                                         int *) {
  return halo_.pack_forward_on_host(n, atoms, buffer);
}

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::unpack_forward_comm(int n, int first, double *buffer) {
  halo_.unpack_forward_on_host(n, first, buffer);
}

template <class DeviceType>
int PairMlffStudentKokkos<DeviceType>::pack_reverse_comm(int n, int first, double *buffer) {
  return halo_.pack_reverse_on_host(n, first, buffer);
}

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::unpack_reverse_comm(int n, int *atoms, double *buffer) {
  halo_.unpack_reverse_on_host(n, atoms, buffer);
}

template <class DeviceType>
int PairMlffStudentKokkos<DeviceType>::pack_forward_comm_kokkos(int n, DAT::tdual_int_1d atoms,
                                                                CommBuffer &buffer, int, int *) {
  return halo_.pack_forward(n, atoms.view<DeviceType>().data(), buffer.view<DeviceType>().data());
}

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::unpack_forward_comm_kokkos(int n, int first,
                                                                   CommBuffer &buffer) {
  halo_.unpack_forward(n, first, buffer.view<DeviceType>().data());
}

template <class DeviceType>
int PairMlffStudentKokkos<DeviceType>::pack_reverse_comm_kokkos(int n, int first,
                                                                CommBuffer &buffer) {
  return halo_.pack_reverse(n, first, buffer.view<DeviceType>().data());
}

template <class DeviceType>
void PairMlffStudentKokkos<DeviceType>::unpack_reverse_comm_kokkos(int n, DAT::tdual_int_1d atoms,
                                                                   CommBuffer &buffer) {
  halo_.unpack_reverse(n, atoms.view<DeviceType>().data(), buffer.view<DeviceType>().data());
}

// ---------------------------------------------------------------------- the plugin's styles

namespace {

template <class DeviceType>
Pair *create(LAMMPS *lammps, const char *name) {
  if (!lammps->kokkos)
    lammps->error->all(FLERR, std::string("Pair style ") + name +
                                  " needs Kokkos to be enabled: start LAMMPS with -k on");
  return new PairMlffStudentKokkos<DeviceType>(lammps, name);
}

}  // namespace

std::vector<PairStyle> kokkos_styles() {
  return {{"mlff/student/kk", "pair style mlff/student on the device of Kokkos",
           [](LAMMPS *lmp) { return create<LMPDeviceType>(lmp, "mlff/student/kk"); }},
          {"mlff/student/kk/device", "pair style mlff/student on the device of Kokkos",
           [](LAMMPS *lmp) { return create<LMPDeviceType>(lmp, "mlff/student/kk/device"); }},
          {"mlff/student/kk/host", "pair style mlff/student on the host's space of Kokkos",
           [](LAMMPS *lmp) { return create<LMPHostType>(lmp, "mlff/student/kk/host"); }}};
}

#define MLFF_INSTANTIATE(Space) template class PairMlffStudentKokkos<Space>;
MLFF_ON_EACH_SPACE(MLFF_INSTANTIATE)

}  // namespace mlff
