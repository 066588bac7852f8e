// What differs between LAMMPS versions, or is missing from the headers that an installed LAMMPS
// brings. Nothing else in the plugin asks for a version.
#pragma once

#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <string>

#include "lammps.h"

#ifndef MLFF_LAMMPS_VERSION  // the build passes it, such as "22 Jul 2025"
#include "version.h"         // in LAMMPS's source tree only
#define MLFF_LAMMPS_VERSION LAMMPS_VERSION
#endif

namespace mlff {

/// The record by which a plugin announces a style to LAMMPS. Same memory layout as LAMMPS's own
/// lammpsplugin_t (the same in 2 Aug 2023 and 22 Jul 2025), whose header is not always installed.
struct PluginStyle {
  const char *version;  ///< LAMMPS version that the plugin was compiled against
  const char *kind;     ///< "pair"
  const char *name;     ///< the word behind pair_style
  const char *description;
  const char *author;
  void *(*create)(void *lammps);  ///< makes the style
  void *library;                  ///< what dlopen returned
};
using RegisterPluginStyle = void (*)(PluginStyle *, void *lammps);

inline const char *built_for_version() { return MLFF_LAMMPS_VERSION; }

/// "22 Jul 2025" from 20250722.
inline std::string version_text(int number) {
  static constexpr std::array<const char *, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int month = number / 100 % 100;
  if (month < 1 || month > 12) return std::to_string(number);
  return std::to_string(number % 100) + " " + months[month - 1] + " " +
         std::to_string(number / 10000);
}

/// Version of the LAMMPS that called us. Asked through the C interface where that is there, because
/// the place of LAMMPS::version in memory is itself a matter of version.
inline std::string running_version(LAMMPS_NS::LAMMPS *lammps) {
  using Version = int (*)(void *);
  if (auto version = reinterpret_cast<Version>(dlsym(RTLD_DEFAULT, "lammps_version")))
    return version_text(version(lammps));
  return lammps->version;
}

}  // namespace mlff
