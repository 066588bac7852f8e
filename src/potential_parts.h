// The two large parts of a potential file; potential.cpp reads the rest.
#pragma once

#include "potential.h"
#include "sha256.h"
#include "yaml_document.h"

namespace mlff {

/// Reads the list of tensors into `potential`, whose header must be complete. Names and shapes are
/// compared with what the header implies, and sizes with the data that is there, before anything is
/// allocated for them. Appends the tensors to `hash` in the file's order.
void read_tensors(const yaml::Field &list, Potential &potential, Sha256 &hash);

/// Reads the check structure into `potential`, whose elements and cutoff must be there.
void read_check_structure(const yaml::Field &check, Potential &potential);

}  // namespace mlff
