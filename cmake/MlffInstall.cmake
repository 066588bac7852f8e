# Where the plugin and the potentials go: into the Python package in a pip build, else below the prefix.
include_guard()
if(SKBUILD)
  set(plugin_folder mlff_student/plugin)
  set(potentials_folder mlff_student/potentials)
else()
  set(plugin_folder ${CMAKE_INSTALL_LIBDIR}/mlff_student)
  set(potentials_folder ${CMAKE_INSTALL_DATADIR}/mlff_student/potentials)
endif()

if(MLFF_PLUGIN)
  install(TARGETS mlffstudentplugin LIBRARY DESTINATION ${plugin_folder})
  if(MLFF_YAML_CPP_BUNDLE)
    install(FILES ${MLFF_YAML_CPP_BUNDLE} DESTINATION ${plugin_folder})
    set_target_properties(mlffstudentplugin PROPERTIES INSTALL_RPATH "$ORIGIN")
  endif()
endif()

# A potential's first line is LAMMPS's metadata comment; what it was made from lies beside it. chno-small is an
# example of training and a fixture of the tests; it falls apart outside its data, and nobody should find it by name.
file(GLOB candidates CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/potentials/*/*.yaml")
list(FILTER candidates EXCLUDE REGEX "/potentials/chno-small/")
foreach(candidate IN LISTS candidates)
  file(STRINGS "${candidate}" first_line LIMIT_COUNT 1)
  if(first_line MATCHES "^# DATE:.*UNITS:")
    install(FILES "${candidate}" DESTINATION ${potentials_folder})
  endif()
endforeach()
