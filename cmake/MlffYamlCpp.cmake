# Target mlff_yaml_cpp: yaml-cpp as a Python package where that is installed (pip builds), else the system's.
# MLFF_YAML_CPP_BUNDLE: the shared library to install beside the plugin, if it is not the system's.
include_guard()
include(MlffPython)

mlff_python_path(prefix
  "next(f.locate().parents[2] for f in metadata.files('cmeel-yaml-cpp') if f.name == 'libyaml-cpp.so')")
if(prefix)
  # The file lies in PREFIX/lib; parents[2] is the folder that holds PREFIX.
  find_package(yaml-cpp CONFIG QUIET PATHS "${prefix}/cmeel.prefix" NO_DEFAULT_PATH)
endif()
if(NOT yaml-cpp_FOUND)
  find_package(yaml-cpp CONFIG QUIET)
endif()
if(NOT yaml-cpp_FOUND)
  message(FATAL_ERROR
    "yaml-cpp was not found. Install it with\n"
    "  sudo apt-get install libyaml-cpp-dev      (Debian, Ubuntu)\n"
    "  sudo dnf install yaml-cpp-devel           (Fedora)\n"
    "  pip install cmeel-yaml-cpp                (in the virtual environment of this build)\n"
    "or name the folder of its CMake package with -Dyaml-cpp_DIR=...")
endif()

# Before 0.8 the target has no namespace.
if(TARGET yaml-cpp::yaml-cpp)
  set(target yaml-cpp::yaml-cpp)
else()
  set(target yaml-cpp)
endif()
add_library(mlff_yaml_cpp INTERFACE)
target_link_libraries(mlff_yaml_cpp INTERFACE ${target})
message(STATUS "yaml-cpp: ${yaml-cpp_DIR}")

set(MLFF_YAML_CPP_BUNDLE "")
if(prefix AND "${yaml-cpp_DIR}" MATCHES "cmeel.prefix")
  # The name that the plugin asks for; the package holds copies under longer and shorter names.
  file(GLOB MLFF_YAML_CPP_BUNDLE "${prefix}/cmeel.prefix/lib/libyaml-cpp.so.?.?")
endif()
