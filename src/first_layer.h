// What the caller's elements and painn's first layer need of a potential, for host and device.
#pragma once

#include <vector>

#include "dense_layer.h"
#include "network.h"

namespace mlff {

/// The caller's elements as rows of the embedding. Throws PotentialError for an element that is not
/// in the potential.
std::vector<int> element_rows(const Potential &potential, const NetworkOptions &options);

/// Embeddings [elements, C] of the caller's elements, C padded to `multiple`.
std::vector<double> embedding_rows(const Potential &potential, const std::vector<int> &element_rows,
                                   int multiple = kChannelBlock);

/// painn's first layer, where x depends on the element and v = 0: s_i += sum_z xa_z (A_a H_z), v_i
/// += sum_z xb_z (A_b H_z) with the element sums H of the radial functions. xa_z A_a and xb_z A_b
/// together are one dense layer each.
struct FirstLayer {
  DenseWeights scalar, vector;    ///< inputs: [elements][radial_stride], outputs: [C]
  std::vector<double> embedding;  ///< [elements, C]
  /// C is padded to `multiple`, and `inputs` (0: elements radial_stride) are counted in all.
  FirstLayer(const Potential &potential, const std::vector<int> &element_rows, int multiple,
             int radial_stride, int inputs = 0);
};

}  // namespace mlff
