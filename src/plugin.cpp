// What LAMMPS calls when it loads the plugin.

#include "comm.h"
#include "error.h"
#include "force.h"
#include "input.h"
#include "lammps_version.h"
#include "pair_mlff_student.h"

namespace {

using LAMMPS_NS::LAMMPS;

constexpr char style_name[] = "mlff/student";

LAMMPS_NS::Pair *create_pair(LAMMPS *lammps) { return new mlff::PairMlffStudent(lammps); }

std::string mismatch(LAMMPS *lammps) {
  return std::string("The plugin of pair_style mlff/student was built for LAMMPS ") +
         mlff::built_for_version() + " but is loaded into LAMMPS " + mlff::running_version(lammps) +
         "; build it again against this LAMMPS";
}

LAMMPS_NS::Pair *refuse_pair(LAMMPS *lammps) { lammps->error->all(FLERR, mismatch(lammps)); }

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *caller,
                                                                         void *library,
                                                                         void *register_style) {
  auto *lammps = static_cast<LAMMPS *>(caller);
  auto &styles = *lammps->force->pair_map;
  if (mlff::running_version(lammps) != mlff::built_for_version()) {
    // The command `plugin load` asked for this plugin. Found through LAMMPS_PLUGIN_PATH it may not
    // be wanted at all, and then it must not stop runs that never name it.
    if (lammps->input->narg > 0) lammps->error->all(FLERR, mismatch(lammps));
    if (lammps->comm->me == 0) lammps->error->warning(FLERR, mismatch(lammps));
    styles.emplace(style_name, refuse_pair);
    return;
  }

  mlff::PluginStyle style{};
  style.version = mlff::built_for_version();
  style.kind = "pair";
  style.name = style_name;
  style.description = "pair style mlff/student: message-passing neural networks";
  style.author = "the mlff/student authors";
  style.create = reinterpret_cast<void *(*)(void *)>(create_pair);
  style.library = library;
  reinterpret_cast<mlff::RegisterPluginStyle>(register_style)(&style, lammps);

  // LAMMPS up to 2 Apr 2025 enters a plugin only into the first of the instances in a process.
  styles.emplace(style_name, create_pair);
}
