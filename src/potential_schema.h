// Which tensors a network has, and of which shapes.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "potential.h"

namespace mlff {

using Shape = std::vector<std::size_t>;
using Shapes = std::map<std::string, Shape>;

/// Names and shapes of the tensors that a potential with this header must hold, no more and no less
/// (doc/potential_format.md). The read-out's depth and hidden sizes are free: they follow
/// `declared`. `header` needs its architecture, options, sizes and elements.
Shapes required_shapes(const Potential &header, const Shapes &declared);

/// "[3, 128]"
std::string to_string(const Shape &shape);

}  // namespace mlff
