// What LAMMPS calls when it loads the plugin.

#include "comm.h"
#include "error.h"
#include "force.h"
#include "input.h"
#include "lammps_version.h"
#include "pair_mlff_student.h"
#include "plugin_styles.h"

namespace {

using LAMMPS_NS::LAMMPS;

LAMMPS_NS::Pair *create_pair(LAMMPS *lammps) { return new mlff::PairMlffStudent(lammps); }

std::vector<mlff::PairStyle> all_styles() {
  std::vector<mlff::PairStyle> styles = {
      {"mlff/student", "pair style mlff/student: message-passing neural networks", create_pair}};
#ifdef MLFF_KOKKOS_STYLE
  for (const auto &style : mlff::kokkos_styles()) styles.push_back(style);
#endif
  return styles;
}

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
  auto &pair_map = *lammps->force->pair_map;
  if (mlff::running_version(lammps) != mlff::built_for_version()) {
    // The command `plugin load` asked for this plugin. Found through LAMMPS_PLUGIN_PATH it may not
    // be wanted at all, and then it must not stop runs that never name it.
    if (lammps->input->narg > 0) lammps->error->all(FLERR, mismatch(lammps));
    if (lammps->comm->me == 0) lammps->error->warning(FLERR, mismatch(lammps));
    for (const auto &style : all_styles()) pair_map.emplace(style.name, refuse_pair);
    return;
  }

  for (const auto &style : all_styles()) {
    mlff::PluginStyle entry{};
    entry.version = mlff::built_for_version();
    entry.kind = "pair";
    entry.name = style.name;
    entry.description = style.description;
    entry.author = "the mlff/student authors";
    entry.create = reinterpret_cast<void *(*)(void *)>(style.create);
    entry.library = library;
    reinterpret_cast<mlff::RegisterPluginStyle>(register_style)(&entry, lammps);

    // LAMMPS up to 2 Apr 2025 enters a plugin only into the first of the instances in a process.
    pair_map.emplace(style.name, style.create);
  }
}
