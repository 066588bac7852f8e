# Kokkos for the device backend. MLFF_KOKKOS=ON builds it; it is the default where LAMMPS has KOKKOS.
# Sets
#   MLFF_KOKKOS_STYLE   whether the plugin gets mlff/student/kk: LAMMPS has KOKKOS
#   MLFF_KOKKOS_CUDA    whether Kokkos's device is CUDA. The language CUDA is then enabled; what includes
#                       Kokkos is compiled as CUDA, see mlff_kokkos_sources().
# and makes the targets
#   mlff_kokkos_headers    Kokkos's headers, definitions, and flags
#   mlff_kokkos_libraries  Kokkos's libraries, for programs: a plugin uses LAMMPS's copy of Kokkos, as a second
#                          one in the process is torn down twice at its end
#   mlff_lammps_kokkos     the headers of LAMMPS's KOKKOS, where MLFF_KOKKOS_STYLE
# Kokkos is LAMMPS's own where LAMMPS has KOKKOS, with the configuration that LAMMPS was built with; else the
# one that find_package finds (-DKokkos_DIR=...).
include_guard()

set(MLFF_KOKKOS_STYLE OFF)
set(MLFF_KOKKOS_CUDA OFF)
option(MLFF_KOKKOS "build the device backend, and mlff/student/kk if LAMMPS has KOKKOS" "${MLFF_LAMMPS_KOKKOS}")
if(NOT MLFF_KOKKOS)
  return()
endif()
set(MLFF_KOKKOS_STYLE "${MLFF_LAMMPS_KOKKOS}")
if(MLFF_PLUGIN AND NOT MLFF_KOKKOS_STYLE)
  message(STATUS "The plugin gets no mlff/student/kk: this needs LAMMPS_SOURCE_DIR and LAMMPS_BUILD_DIR of a "
                 "LAMMPS with the KOKKOS package (-D PKG_KOKKOS=on).")
endif()

# The generated KokkosCore_config.h as a list of what it defines.
function(mlff_kokkos_configuration variable)
  foreach(folder IN LISTS ARGN)
    if(EXISTS "${folder}/KokkosCore_config.h")
      file(STRINGS "${folder}/KokkosCore_config.h" lines REGEX "^#define KOKKOS_")
      list(TRANSFORM lines REPLACE "^#define (KOKKOS_[A-Za-z0-9_]+).*" "\\1")
      set(${variable} "${lines}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "Kokkos's KokkosCore_config.h was not found; looked in: ${ARGN}")
endfunction()

# ---------------------------------------------------------------------- which Kokkos

add_library(mlff_kokkos_headers INTERFACE)
add_library(mlff_kokkos_libraries INTERFACE)
set(kokkos_includes "")

if(MLFF_KOKKOS_STYLE)
  mlff_cache_entry(kokkos_external "${LAMMPS_BUILD_DIR}" EXTERNAL_KOKKOS)
  mlff_cache_entry(kokkos_download "${LAMMPS_BUILD_DIR}" DOWNLOAD_KOKKOS)
  if(kokkos_external AND NOT Kokkos_DIR)
    mlff_cache_entry(Kokkos_DIR "${LAMMPS_BUILD_DIR}" Kokkos_DIR)
  endif()
endif()

if(MLFF_KOKKOS_STYLE AND NOT kokkos_external)
  if(kokkos_download)
    set(kokkos_prefix "${LAMMPS_BUILD_DIR}/kokkos_build-prefix")
    set(kokkos_includes "${kokkos_prefix}/include" "${kokkos_prefix}/include/kokkos")
    set(kokkos_library_folders "${kokkos_prefix}/lib" "${kokkos_prefix}/lib")
  else()
    set(kokkos_source "${LAMMPS_SOURCE_DIR}/lib/kokkos")
    set(kokkos_build "${LAMMPS_BUILD_DIR}/lib/kokkos")
    set(kokkos_includes "${kokkos_build}")
    foreach(part core containers algorithms simd)
      list(APPEND kokkos_includes "${kokkos_source}/${part}/src" "${kokkos_build}/${part}/src")
    endforeach()
    list(APPEND kokkos_includes "${kokkos_source}/tpls/desul/include" "${kokkos_source}/tpls/mdspan/include")
    set(kokkos_library_folders "${kokkos_build}/core/src" "${kokkos_build}/containers/src")
  endif()
  foreach(part containers core)
    foreach(folder IN LISTS kokkos_library_folders)
      if(EXISTS "${folder}/libkokkos${part}.a")
        target_link_libraries(mlff_kokkos_libraries INTERFACE "${folder}/libkokkos${part}.a")
        break()
      endif()
    endforeach()
  endforeach()
  target_link_libraries(mlff_kokkos_libraries INTERFACE ${CMAKE_DL_LIBS})
else()
  set(Kokkos_LAUNCH_COMPILER OFF)  # it would send every source to nvcc
  find_package(Kokkos CONFIG REQUIRED)
  foreach(part kokkos kokkoscore kokkoscontainers kokkosalgorithms kokkossimd)
    if(TARGET Kokkos::${part})
      get_target_property(folders Kokkos::${part} INTERFACE_INCLUDE_DIRECTORIES)
      if(folders)
        list(APPEND kokkos_includes ${folders})
      endif()
    endif()
  endforeach()
  list(TRANSFORM kokkos_includes REPLACE "^\\$<(BUILD|INSTALL)_INTERFACE:(.*)>$" "\\2")
  target_link_libraries(mlff_kokkos_libraries INTERFACE Kokkos::kokkos)
endif()
list(REMOVE_DUPLICATES kokkos_includes)
foreach(folder IN LISTS kokkos_includes)
  if(IS_DIRECTORY "${folder}")
    target_include_directories(mlff_kokkos_headers SYSTEM INTERFACE "${folder}")
  endif()
endforeach()
mlff_kokkos_configuration(kokkos_defines ${kokkos_includes})
target_compile_definitions(mlff_kokkos_headers INTERFACE KOKKOS_DEPENDENCE)

foreach(space HIP SYCL OPENMPTARGET OPENACC HPX THREADS)
  if("KOKKOS_ENABLE_${space}" IN_LIST kokkos_defines)
    message(FATAL_ERROR "Kokkos was built for ${space}; the device backend knows CUDA, OpenMP, and Serial. "
                        "-DMLFF_KOKKOS=OFF builds without it.")
  endif()
endforeach()

set(MLFF_KOKKOS_CXX_STANDARD 17)
foreach(standard 20 23 26)
  if("KOKKOS_ENABLE_CXX${standard}" IN_LIST kokkos_defines)
    set(MLFF_KOKKOS_CXX_STANDARD ${standard})
  endif()
endforeach()
target_compile_features(mlff_kokkos_headers INTERFACE cxx_std_${MLFF_KOKKOS_CXX_STANDARD})

# ---------------------------------------------------------------------- OpenMP, CUDA

set(kokkos_spaces Serial)
if("KOKKOS_ENABLE_OPENMP" IN_LIST kokkos_defines)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  set(kokkos_spaces OpenMP)
  target_compile_options(mlff_kokkos_headers INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${OpenMP_CXX_FLAGS}>)
  target_link_libraries(mlff_kokkos_headers INTERFACE ${OpenMP_CXX_LIBRARIES})
  target_link_libraries(mlff_kokkos_libraries INTERFACE ${OpenMP_CXX_LIBRARIES})
endif()

if("KOKKOS_ENABLE_CUDA" IN_LIST kokkos_defines)
  set(MLFF_KOKKOS_CUDA ON)
  set(kokkos_spaces CUDA)
  if(CMAKE_CXX_COMPILER MATCHES "nvcc_wrapper")
    message(FATAL_ERROR "Give the host's compiler as CMAKE_CXX_COMPILER, not nvcc_wrapper: CMake calls nvcc "
                        "itself for what needs it.")
  endif()
  string(REGEX MATCH "KOKKOS_ARCH_(KEPLER|MAXWELL|PASCAL|VOLTA|TURING|AMPERE|ADA|HOPPER|BLACKWELL)([0-9]+)"
         architecture "${kokkos_defines}")
  if(NOT CMAKE_CUDA_ARCHITECTURES AND CMAKE_MATCH_2)
    set(CMAKE_CUDA_ARCHITECTURES "${CMAKE_MATCH_2}" CACHE STRING "CUDA architectures, Kokkos's unless given")
  endif()
  if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER)
    set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}" CACHE FILEPATH "host compiler of nvcc")
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit 12.0 REQUIRED)  # its update of a graph says what failed
  set(CMAKE_CUDA_STANDARD ${MLFF_KOKKOS_CXX_STANDARD})
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one that Kokkos uses, kernels being registered with it
  target_compile_options(mlff_kokkos_headers INTERFACE
    "$<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda;--expt-relaxed-constexpr;-Wext-lambda-captures-this>"
    # nvcc's own remarks about the headers of Kokkos and LAMMPS: unknown pragmas, unused declarations
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Xcudafe --diag_suppress=unrecognized_pragma,--diag_suppress=128>")
  if("KOKKOS_ENABLE_CUDA_RELOCATABLE_DEVICE_CODE" IN_LIST kokkos_defines)
    message(FATAL_ERROR "Kokkos was built with relocatable device code, which plugins cannot use.")
  endif()
  target_link_libraries(mlff_kokkos_headers INTERFACE CUDA::cudart CUDA::cuda_driver)
  target_link_libraries(mlff_kokkos_libraries INTERFACE CUDA::cudart CUDA::cuda_driver)
endif()

# mlff_kokkos_sources(FILE...): marks sources that include Kokkos, so that the compiler of Kokkos's
# device compiles them. To be called in the folder of their target.
function(mlff_kokkos_sources)
  if(MLFF_KOKKOS_CUDA)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CUDA)
  endif()
endfunction()

# ---------------------------------------------------------------------- LAMMPS

if(MLFF_KOKKOS_STYLE)
  add_library(mlff_lammps_kokkos INTERFACE)
  target_include_directories(mlff_lammps_kokkos SYSTEM INTERFACE "${LAMMPS_SOURCE_DIR}/src/KOKKOS")
  target_compile_definitions(mlff_lammps_kokkos INTERFACE LMP_KOKKOS)
  # LAMMPS after 10 Sep 2025 chooses the precision and the layout of its arrays.
  mlff_cache_entry(precision "${LAMMPS_BUILD_DIR}" KOKKOS_PREC)
  mlff_cache_entry(layout "${LAMMPS_BUILD_DIR}" KOKKOS_LAYOUT)
  string(TOUPPER "${precision}" precision)
  string(TOUPPER "${layout}" layout)
  set(definition_DOUBLE LMP_KOKKOS_DOUBLE_DOUBLE)
  set(definition_MIXED LMP_KOKKOS_SINGLE_DOUBLE)
  set(definition_SINGLE LMP_KOKKOS_SINGLE_SINGLE)
  if(precision)
    target_compile_definitions(mlff_lammps_kokkos INTERFACE ${definition_${precision}})
  endif()
  if(layout)
    target_compile_definitions(mlff_lammps_kokkos INTERFACE LMP_KOKKOS_LAYOUT_${layout})
  endif()
  target_link_libraries(mlff_lammps_kokkos INTERFACE mlff_lammps mlff_kokkos_headers)
endif()
message(STATUS "Kokkos: ${kokkos_spaces}, C++${MLFF_KOKKOS_CXX_STANDARD}")
