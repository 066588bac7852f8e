// The device: Kokkos alone, and the kernels written for the device where there are any.
#include "backends.h"
#include "device_network.h"

namespace mlff::test {

const std::vector<Backend> &backends() {
  static const std::vector<Backend> all = {
    {"portable",
     [](const Potential &potential, const NetworkOptions &options) {
       return create_kokkos_network(potential, options, DeviceKernels::Portable);
     }},
#if defined(MLFF_CUDA)
    {"cuda",
     [](const Potential &potential, const NetworkOptions &options) {
       return create_kokkos_network(potential, options, DeviceKernels::Best);
     }},
#endif
  };
  return all;
}

}  // namespace mlff::test
