// PaiNN on NVIDIA GPUs in single precision: all dense layers between two message steps are one
// kernel on the tensor cores.
#pragma once

#include <memory>

#include "device_network.h"

namespace mlff::device {

/// Null where the kernels do not fit: an old GPU, or a network that is too wide. Sum: as in
/// MessagePassing.
template <class Sum>
std::unique_ptr<DeviceNetwork> create_painn_cuda(const Potential &potential,
                                                 const NetworkOptions &options);

}  // namespace mlff::device
