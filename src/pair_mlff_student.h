// pair_style mlff/student: a student network as a LAMMPS pair style.
//
//   pair_style mlff/student [precision double|mixed|single] [filters exact|spline] [threads N]
//   pair_coeff * * FILE ELEMENT-of-type-1 ELEMENT-of-type-2 ...      (NULL: not ours, hybrid styles
//   only)
//
// Defaults: precision mixed; filters exact in double precision and spline otherwise; as many
// threads as LAMMPS uses (OMP_NUM_THREADS). Described in doc/pair_mlff_student.rst.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halo_lammps.h"
#include "network.h"
#include "pair.h"

namespace mlff {

class PairMlffStudent : public LAMMPS_NS::Pair {
 public:
  /// name: the style's, for messages.
  explicit PairMlffStudent(LAMMPS_NS::LAMMPS *lmp, std::string name = "mlff/student");
  ~PairMlffStudent() override;

  void settings(int narg, char **arg) override;
  void coeff(int narg, char **arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;
  double memory_usage() override;

  int pack_forward_comm(int n, int *atoms, double *buffer, int, int *) override;
  void unpack_forward_comm(int n, int first, double *buffer) override;
  int pack_reverse_comm(int n, int first, double *buffer) override;
  void unpack_reverse_comm(int n, int *atoms, double *buffer) override;

 protected:
  // What a style that computes elsewhere than on the host replaces, besides compute() and LAMMPS's
  // communication.
  virtual double create_network(const NetworkOptions &options);    // returns the cutoff
  virtual std::string place(const NetworkOptions &options) const;  // where it runs, for the summary
  virtual void reserve_halo();  // before a run on several processes
  virtual std::string describe(const NonFiniteError &trouble);
  virtual std::vector<int> neighbours_of(int atom) const;

  // a step
  bool atoms_changed() const;
  void note_atoms();
  void refuse_incomplete_list() const;
  /// Adds to vatom and cvatom. atomic_virial: [local, 9]
  void add_atomic_virial(const double *atomic_virial);
  [[noreturn]] void stop(const std::string &message) const;

  std::unique_ptr<Potential> potential_;
  std::vector<int> element_of_type_;  // [types + 1] index into elements_ or -1
  int local_ = -1, total_ = -1;       // atoms that the owners were found for

 private:
  struct Settings {
    Precision precision = Precision::Mixed;
    std::optional<Filters> filters;
    int threads = 0;  // 0: as many as LAMMPS
  };

  // pair_style and pair_coeff
  void allocate();
  void set_flags();
  std::string read_file(const std::string &name);
  void load_potential(const std::string &name);
  void warn_of_defects();
  void map_types(char **symbols);
  NetworkOptions network_options() const;
  void build_network();
  void print_summary(const NetworkOptions &options);
  void warn_of_masses() const;

  // a step
  void find_owners();
  void evaluate(Results &results);
  void add_results(const Results &results);

  // Runs `work` before a run. Where it throws on any process, all of them stop with that one's
  // message.
  template <class Work>
  void collectively(Work &&work);

  const std::string name_, title_;  // "mlff/student", "Pair style mlff/student"
  Settings settings_;
  std::optional<double> cutoff_;  // the network's; empty: there is none
  std::unique_ptr<Network> network_;
  HaloLammps halo_;
  std::vector<std::string> elements_;  // distinct, in the order of the network's options
  std::vector<std::vector<char>>
      given_;  // [types + 1, types + 1] pairs of types that LAMMPS gives us

  std::vector<int> element_, owner_;            // [total]
  LAMMPS_NS::bigint list_number_ = -1;          // of the neighbour list that owner_ was made for
  std::vector<double> forces_, atomic_virial_;  // [total, 3], [total, 9]
};

}  // namespace mlff
