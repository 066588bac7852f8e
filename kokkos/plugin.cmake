# mlff/student/kk, in the same plugin as mlff/student. Kokkos's symbols stay undefined, as LAMMPS's do.
set(sources ${CMAKE_CURRENT_LIST_DIR}/halo_kokkos.cpp ${CMAKE_CURRENT_LIST_DIR}/pair_mlff_student_kokkos.cpp)
add_library(mlff_kokkos_style OBJECT ${sources})
mlff_kokkos_sources(${sources})
target_link_libraries(mlff_kokkos_style PRIVATE mlff_lammps_kokkos mlff_kokkos)
target_compile_definitions(mlffstudentplugin PRIVATE MLFF_KOKKOS_STYLE)
target_link_libraries(mlffstudentplugin PRIVATE mlff_kokkos_style mlff_kokkos)
