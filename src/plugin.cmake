# The plugin, a module that LAMMPS opens at run time. Its name must end in plugin.so to be found through
# LAMMPS_PLUGIN_PATH. LAMMPS's own symbols stay undefined: the program that loads it has them.
add_library(mlffstudentplugin MODULE halo_lammps.cpp pair_mlff_student.cpp plugin.cpp)
set_target_properties(mlffstudentplugin PROPERTIES
  PREFIX "" SUFFIX ".so"
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
  LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/plugin_symbols.map)
target_link_libraries(mlffstudentplugin PRIVATE mlff mlff_lammps ${CMAKE_DL_LIBS})
# LAMMPS opens plugins with their symbols visible to all others, so only the entry is left visible; and one
# instance of LAMMPS closes plugins that another may still use, so the code stays in memory.
target_link_options(mlffstudentplugin PRIVATE
  "LINKER:--version-script=${CMAKE_CURRENT_SOURCE_DIR}/plugin_symbols.map" "LINKER:-z,nodelete")
