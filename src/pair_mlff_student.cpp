#include "pair_mlff_student.h"

#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include "atom.h"
#include "chemical_symbols.h"
#include "comm.h"
#include "diagnostics.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

namespace mlff {

using namespace LAMMPS_NS;

namespace {

constexpr double kcal_per_mol_in_eV = 4184.0 / 96485.33212331001;  // CODATA 2018, exact constants

const char *name(Precision precision) {
  switch (precision) {
    case Precision::Single:
      return "single";
    case Precision::Mixed:
      return "mixed";
    default:
      return "double";
  }
}

std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const auto &word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// Text of a number that is short where the number is.
std::string text(double number) {
  std::ostringstream out;
  out << number;
  return out.str();
}

}  // namespace

// ---------------------------------------------------------------------- life

PairMlffStudent::PairMlffStudent(LAMMPS *lmp, std::string name)
    : Pair(lmp), name_(std::move(name)), title_("Pair style " + name_), halo_(*this, comm) {
  single_enable = 0;
  restartinfo = 0;  // pair_style and pair_coeff are given again after read_restart
  one_coeff = 1;
  manybody_flag = 1;
  reinitflag = 0;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_AVAIL;
}

PairMlffStudent::~PairMlffStudent() {
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairMlffStudent::allocate() {
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  allocated = 1;
}

template <class Work>
void PairMlffStudent::collectively(Work &&work) {
  std::string message;
  try {
    work();
  } catch (const std::exception &failure) {
    message = failure.what();
    if (message.empty()) message = "unknown error";
  }
  int failed = message.empty() ? comm->nprocs : comm->me, first = failed;
  MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;

  int length = static_cast<int>(message.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  message.resize(length);
  MPI_Bcast(message.data(), length, MPI_CHAR, first, world);
  error->all(FLERR, title_ + ": " + message);
}

// ---------------------------------------------------------------------- pair_style

void PairMlffStudent::settings(int narg, char **arg) {
  Settings given;
  for (int k = 0; k < narg; k += 2) {
    const std::string keyword = arg[k];
    if (keyword != "precision" && keyword != "filters" && keyword != "threads")
      error->all(FLERR, "Unknown pair_style " + name_ + " keyword '" + keyword +
                            "'; known are: precision, filters, threads");
    if (k + 1 == narg)
      error->all(FLERR, "Missing value of the pair_style " + name_ + " keyword '" + keyword + "'");
    const std::string value = arg[k + 1];
    if (keyword == "precision") {
      if (value == "double")
        given.precision = Precision::Double;
      else if (value == "mixed")
        given.precision = Precision::Mixed;
      else if (value == "single")
        given.precision = Precision::Single;
      else
        error->all(FLERR, "Unknown pair_style " + name_ + " precision '" + value +
                              "'; known are: double, mixed, single");
    } else if (keyword == "filters") {
      if (value == "exact")
        given.filters = Filters::Exact;
      else if (value == "spline")
        given.filters = Filters::Spline;
      else
        error->all(FLERR, "Unknown pair_style " + name_ + " filters '" + value +
                              "'; known are: exact, spline");
    } else {
      given.threads = utils::is_integer(value) ? std::atoi(value.c_str()) : 0;
      if (given.threads < 1)
        error->all(FLERR, "Wrong number of pair_style " + name_ + " threads '" + value +
                              "'; it must be a whole number above zero");
    }
  }
  settings_ = given;
  if (potential_) build_network();  // the command was given again, LAMMPS keeps the coefficients
}

// ---------------------------------------------------------------------- pair_coeff

void PairMlffStudent::coeff(int narg, char **arg) {
  if (narg < 3 || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
    error->all(FLERR, "Incorrect pair_coeff for pair style " + name_ +
                          "; expected: pair_coeff * * FILE and the element of each atom type");
  const int given = narg - 3;
  if (given != atom->ntypes)
    error->all(FLERR, title_ + ": pair_coeff names " + std::to_string(given) +
                          " elements, but there are " + std::to_string(atom->ntypes) +
                          " atom types; give the element of each type, in the order of the types");
  if (!allocated) allocate();
  cutoff_.reset();
  set_flags();
  load_potential(arg[2]);
  map_types(arg + 3);
  build_network();
  set_flags();
}

// The pairs of types that are set. None without a network, so that after an error in pair_coeff,
// which a program may survive, LAMMPS refuses to run.
void PairMlffStudent::set_flags() {
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      setflag[i][j] = cutoff_ && element_of_type_[i] >= 0 && element_of_type_[j] >= 0;
}

std::string PairMlffStudent::read_file(const std::string &file) {
  const std::string path = utils::get_potential_file_path(file);
  if (path.empty()) {
    const char *folders = std::getenv("LAMMPS_POTENTIALS");
    throw std::runtime_error("potential file '" + file +
                             "' was not found; looked in the current folder and in " +
                             (folders ? "LAMMPS_POTENTIALS=" + std::string(folders)
                                      : "no other, as LAMMPS_POTENTIALS is not set"));
  }
  if (!std::filesystem::is_regular_file(path))
    throw std::runtime_error("'" + path + "' is not a file");
  std::ifstream stream(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.good() && !stream.eof()) throw std::runtime_error("cannot read '" + path + "'");
  if (content.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw std::runtime_error("'" + path + "' is larger than 2 GiB");
  return content;
}

// One process reads; all of them get the text and parse it.
void PairMlffStudent::load_potential(const std::string &file) {
  potential_.reset();
  std::string content;
  collectively([&] {
    if (comm->me == 0) content = read_file(file);
  });
  int size = static_cast<int>(content.size());
  MPI_Bcast(&size, 1, MPI_INT, 0, world);
  content.resize(size);
  MPI_Bcast(content.data(), size, MPI_CHAR, 0, world);

  collectively([&] {
    potential_ = std::make_unique<Potential>(Potential::parse(content, file));
    if (comm->me == 0) verify_check_structure(*potential_);
  });
  warn_of_defects();
}

void PairMlffStudent::warn_of_defects() {
  if (potential_->architecture != Architecture::MlffDistiller) return;
  double jump = 0.0, change = 0.0;
  collectively([&] {
    if (comm->me != 0) return;
    jump = energy_jump_at_cutoff(*potential_);
    change = orientation_dependence(*potential_);
  });
  if (comm->me != 0) return;
  const std::string &unit = potential_->energy_unit;
  error->warning(
      FLERR,
      "The networks of architecture mlff-distiller have two defects. The energy jumps as "
      "a neighbour crosses the cutoff, here by up to " +
          text(jump) + " " + unit + ", and it depends on the orientation, here by up to " +
          text(change) + " " + unit +
          " for the file's check structure. Neither energy nor angular momentum is "
          "conserved.");
}

void PairMlffStudent::map_types(char **symbols) {
  const bool hybrid = utils::strmatch(force->pair_style, "^hybrid");
  const int types = atom->ntypes;
  elements_.clear();
  element_of_type_.assign(types + 1, -1);
  for (int type = 1; type <= types; ++type) {
    const std::string symbol = symbols[type - 1];
    if (symbol == "NULL") {
      if (hybrid) continue;
      error->all(FLERR, title_ + ": atom type " + std::to_string(type) +
                            " is NULL, but only pair_style hybrid can give it to another style; "
                            "name its element");
    }
    if (potential_->element_index(symbol) < 0)
      error->all(FLERR, title_ + ": element '" + symbol + "' of atom type " + std::to_string(type) +
                            " is not in " + potential_->file +
                            ", which has: " + joined(potential_->elements));
    const auto known = std::find(elements_.begin(), elements_.end(), symbol);
    element_of_type_[type] = static_cast<int>(known - elements_.begin());
    if (known == elements_.end()) elements_.push_back(symbol);
  }
  if (elements_.empty())
    error->all(FLERR, title_ + ": every atom type is NULL; name the element of at least one");
}

NetworkOptions PairMlffStudent::network_options() const {
  NetworkOptions options;
  options.precision = settings_.precision;
  const auto usual = settings_.precision == Precision::Double ? Filters::Exact : Filters::Spline;
  options.filters = settings_.filters.value_or(usual);
  options.threads = settings_.threads ? settings_.threads : comm->nthreads;
  options.elements = elements_;
  const std::string units = update->unit_style;
  if (units == "real")
    options.energy_unit_in_eV = kcal_per_mol_in_eV;
  else if (units != "metal")
    error->all(FLERR, title_ + " does not know units " + units + "; use units metal or units real");
  return options;
}

void PairMlffStudent::build_network() {
  const NetworkOptions options = network_options();
  collectively([&] { cutoff_ = create_network(options); });
  if (comm->me == 0) print_summary(options);
}

double PairMlffStudent::create_network(const NetworkOptions &options) {
  network_ = Network::create(*potential_, options);
  return network_->cutoff();
}

std::string PairMlffStudent::place(const NetworkOptions &options) const {
  return std::string(mlff::name(options.isa)) + ", threads " + std::to_string(options.threads);
}

void PairMlffStudent::print_summary(const NetworkOptions &options) {
  const Potential &p = *potential_;
  std::ostringstream line;
  line << title_ << ": " << p.file << ": "
       << (p.architecture == Architecture::PaiNN ? "painn" : "mlff-distiller")
       << ", F = " << p.channels << ", L = " << p.layers << ", cutoff " << *cutoff_
       << "; precision " << name(options.precision) << ", filters "
       << (options.filters == Filters::Exact ? "exact" : "spline") << ", " << place(options)
       << "\n";
  utils::logmesg(lmp, line.str());
}

// ---------------------------------------------------------------------- start of a run

void PairMlffStudent::init_style() {
  if (!atom->tag_enable) error->all(FLERR, title_ + " needs atom IDs; leave out atom_modify id no");
  neighbor->add_request(this, NeighConst::REQ_FULL);
  if (comm->nprocs > 1) reserve_halo();
  if (comm->me == 0) warn_of_masses();
  const int types = atom->ntypes;
  given_.assign(types + 1, std::vector<char>(types + 1, 0));
  list_number_ = -1;
}

// Elements in another order than the atom types run without an error, and give nonsense. Masses
// that belong to no other element may be isotopes, or repartitioned.
void PairMlffStudent::warn_of_masses() const {
  constexpr double near = 0.1;  // g/mol
  for (int type = 1; atom->mass && type <= atom->ntypes; ++type) {
    if (element_of_type_[type] < 0 || !atom->mass_setflag[type]) continue;
    const std::string &own = elements_[element_of_type_[type]];
    const double mass = atom->mass[type];
    if (std::fabs(mass - standard_mass(own)) < near) continue;
    for (const std::string &other : potential_->elements)
      if (std::fabs(mass - standard_mass(other)) < near)
        error->warning(FLERR, title_ + ": atom type " + std::to_string(type) + " is " + own +
                                  " by pair_coeff, but has the mass of " + other + ", " +
                                  text(mass) +
                                  "; pair_coeff names the elements in the order of the atom types");
  }
}

void PairMlffStudent::reserve_halo() { halo_.reserve(network_->halo_bytes(), *force->pair); }

double PairMlffStudent::init_one(int i, int j) {
  if (setflag[std::min(i, j)][std::max(i, j)] == 0)
    error->all(FLERR, title_ + ": the elements of atom types " + std::to_string(i) + " and " +
                          std::to_string(j) + " are not set by pair_coeff");
  given_[i][j] = given_[j][i] = 1;
  return *cutoff_;
}

double PairMlffStudent::memory_usage() {
  double bytes = Pair::memory_usage();
  bytes += static_cast<double>(element_.capacity() + owner_.capacity()) * sizeof(int);
  bytes += static_cast<double>(forces_.capacity() + atomic_virial_.capacity()) * sizeof(double);
  if (network_) bytes += static_cast<double>(network_->workspace_bytes());
  return bytes;
}

// ---------------------------------------------------------------------- a step

void PairMlffStudent::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  if (atoms_changed()) {
    refuse_incomplete_list();
    note_atoms();
    find_owners();
  }
  element_.resize(total_);
  for (int i = 0; i < total_; ++i) element_[i] = element_of_type_[atom->type[i]];
  forces_.assign(3 * total_, 0.0);
  atomic_virial_.assign(vflag_atom || cvflag_atom ? 9 * total_ : 0, 0.0);

  Results results;
  evaluate(results);
  add_results(results);
}

// Not `ago` alone: a step may pass without a call, as with pair_modify compute no.
bool PairMlffStudent::atoms_changed() const {
  return neighbor->ago == 0 || list_number_ != neighbor->ncalls || local_ != atom->nlocal ||
         total_ != atom->nlocal + atom->nghost;
}

void PairMlffStudent::note_atoms() {
  list_number_ = neighbor->ncalls;
  local_ = atom->nlocal;
  total_ = atom->nlocal + atom->nghost;
}

// A network must see every pair of its atoms. Each way in which LAMMPS leaves pairs out is named.
void PairMlffStudent::refuse_incomplete_list() const {
  const auto needs = [this](const std::string &reason) {
    error->all(FLERR, title_ + " needs every pair of its atoms within the cutoff, but " + reason);
  };
  const bool bonded = atom->molecular == Atom::TEMPLATE ||
                      atom->nbonds + atom->nangles + atom->ndihedrals + atom->nimpropers > 0;
  if (atom->molecular != Atom::ATOMIC && bonded)
    for (int k = 1; k <= 3; ++k)
      if (force->special_lj[k] != 1.0 || force->special_coul[k] != 1.0)
        needs("special_bonds drops or scales the 1-" + std::to_string(k + 1) +
              " neighbours of bonded atoms; add the command: special_bonds lj/coul 1.0 1.0 1.0");

  if (neighbor->includegroup) needs("neigh_modify include leaves out atoms; remove it");
  if (neighbor->nex_group || neighbor->nex_mol)
    needs(
        "neigh_modify exclude group or molecule (a command, or a fix that gives it) leaves out "
        "pairs; "
        "remove it");
  for (int k = 0; k < neighbor->nex_type; ++k)
    if (element_of_type_[neighbor->ex1_type[k]] >= 0 &&
        element_of_type_[neighbor->ex2_type[k]] >= 0)
      needs("neigh_modify exclude type leaves out the pairs of types " +
            std::to_string(neighbor->ex1_type[k]) + " and " +
            std::to_string(neighbor->ex2_type[k]) + "; remove it");

  const int types = atom->ntypes;
  for (int i = 1; i <= types; ++i)
    for (int j = i; j <= types; ++j)
      if (element_of_type_[i] >= 0 && element_of_type_[j] >= 0 && !given_[i][j])
        needs("a hybrid style gives the pairs of types " + std::to_string(i) + " and " +
              std::to_string(j) +
              " to another style; use pair_style hybrid/overlay to add to them");
}

// Ghosts that are images of our own atoms, by their atom IDs.
void PairMlffStudent::find_owners() {
  owner_.resize(total_);
  using TagAndAtom = std::pair<tagint, int>;
  std::vector<TagAndAtom> ours(local_);
  for (int i = 0; i < local_; ++i) {
    ours[i] = {atom->tag[i], i};
    owner_[i] = i;
  }
  std::sort(ours.begin(), ours.end());
  for (int i = local_; i < total_; ++i) {
    const auto found = std::lower_bound(ours.begin(), ours.end(), TagAndAtom(atom->tag[i], 0));
    owner_[i] = found != ours.end() && found->first == atom->tag[i] ? found->second : -1;
  }
}

// Sets results; forces_ and atomic_virial_ are complete for our atoms, also with the parts that
// other processes computed. Nothing that LAMMPS sees is changed before the network has succeeded.
void PairMlffStudent::evaluate(Results &results) {
  Atoms atoms;
  atoms.local = local_;
  atoms.total = total_;
  atoms.positions = total_ ? reinterpret_cast<const double(*)[3]>(atom->x[0]) : nullptr;
  atoms.elements = element_.data();
  atoms.owner = owner_.data();

  NeighbourList pairs;
  pairs.centres = list->inum;
  pairs.centre = list->ilist;
  pairs.count = list->numneigh;
  pairs.neighbours = list->firstneigh;
  pairs.mask = NEIGHMASK;

  results.want_virial = vflag_global;
  results.forces = reinterpret_cast<double(*)[3]>(forces_.data());
  results.atomic_energies = eflag_atom ? eatom : nullptr;
  const bool want_atomic_virial = vflag_atom || cvflag_atom;
  if (want_atomic_virial)
    results.atomic_virial = reinterpret_cast<double(*)[9]>(atomic_virial_.data());

  Halo *halo = comm->nprocs > 1 ? &halo_ : nullptr;
  try {
    network_->compute(atoms, pairs, halo, results);
  } catch (const NonFiniteError &trouble) {
    stop(describe(trouble));
  } catch (const std::exception &failure) {
    stop(failure.what());
  }
  if (halo)
    halo_.return_to_owners(forces_.data(), want_atomic_virial ? atomic_virial_.data() : nullptr);
}

void PairMlffStudent::add_results(const Results &results) {
  for (int i = 0; i < local_; ++i)
    for (int d = 0; d < 3; ++d) atom->f[i][d] += forces_[3 * i + d];
  if (eflag_global) eng_vdwl += results.energy;
  if (vflag_global)
    for (int k = 0; k < 6; ++k) virial[k] += results.virial[k];
  if (vflag_atom || cvflag_atom) add_atomic_virial(atomic_virial_.data());
}

void PairMlffStudent::add_atomic_virial(const double *atomic_virial) {
  if (cvflag_atom)
    for (int i = 0; i < local_; ++i)
      for (int k = 0; k < 9; ++k) cvatom[i][k] += atomic_virial[9 * i + k];
  if (!vflag_atom) return;
  for (int i = 0; i < local_; ++i) {
    const double *w = atomic_virial + 9 * i;  // xx yy zz xy xz yz yx zx zy
    for (int k = 0; k < 3; ++k) {
      vatom[i][k] += w[k];
      vatom[i][3 + k] += 0.5 * (w[3 + k] + w[6 + k]);
    }
  }
}

// The other processes may be waiting for our part of the halo, so one process ends them all.
void PairMlffStudent::stop(const std::string &message) const {
  const std::string text = title_ + ": " + message;
  if (comm->nprocs > 1) error->one(FLERR, text);
  error->all(FLERR, text);
}

std::string PairMlffStudent::describe(const NonFiniteError &trouble) {
  std::ostringstream out;
  out.precision(10);
  out << trouble.what() << " at step " << update->ntimestep;
  const int i = trouble.atom;
  if (i < 0 || i >= local_) return out.str();
  const double *x = atom->x[i];
  out << ", first seen at atom " << atom->tag[i] << " of type " << atom->type[i] << " at (" << x[0]
      << ", " << x[1] << ", " << x[2] << ")";
  double nearest = std::numeric_limits<double>::infinity();
  int neighbour = -1;
  for (const int j : neighbours_of(i)) {
    const double r = std::hypot(atom->x[j][0] - x[0], atom->x[j][1] - x[1], atom->x[j][2] - x[2]);
    if (r < nearest) nearest = r, neighbour = j;
  }
  if (neighbour >= 0)
    out << ", whose nearest neighbour is atom " << atom->tag[neighbour] << " at a distance of "
        << nearest;
  out << ". Check the starting structure and the time step";
  return out.str();
}

std::vector<int> PairMlffStudent::neighbours_of(int i) const {
  std::vector<int> neighbours(list->firstneigh[i], list->firstneigh[i] + list->numneigh[i]);
  for (int &j : neighbours) j &= NEIGHMASK;
  return neighbours;
}

// ---------------------------------------------------------------------- communication

int PairMlffStudent::pack_forward_comm(int n, int *atoms, double *buffer, int, int *) {
  return halo_.pack_forward(n, atoms, buffer);
}

void PairMlffStudent::unpack_forward_comm(int n, int first, double *buffer) {
  halo_.unpack_forward(n, first, buffer);
}

int PairMlffStudent::pack_reverse_comm(int n, int first, double *buffer) {
  return halo_.pack_reverse(n, first, buffer);
}

void PairMlffStudent::unpack_reverse_comm(int n, int *atoms, double *buffer) {
  halo_.unpack_reverse(n, atoms, buffer);
}

}  // namespace mlff
