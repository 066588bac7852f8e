# mlff/student/kk, in the same plugin as mlff/student. Kokkos's symbols stay undefined, as LAMMPS's do.
add_library(mlff_kokkos_style OBJECT halo_kokkos.cpp pair_mlff_student_kokkos.cpp)
mlff_kokkos_sources(halo_kokkos.cpp pair_mlff_student_kokkos.cpp)
target_link_libraries(mlff_kokkos_style PRIVATE mlff_lammps_kokkos mlff)
target_include_directories(mlff_kokkos_style PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(mlffstudentplugin PRIVATE MLFF_KOKKOS_STYLE)
target_link_libraries(mlffstudentplugin PRIVATE mlff_kokkos_style mlff_kokkos)
