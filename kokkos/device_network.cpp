#include "device_network.h"

#include "device_distiller.h"
#include "device_painn.h"
#include "instantiate.h"
#if defined(MLFF_CUDA)
#include "cuda/device_painn_cuda.h"
#endif

namespace mlff {

namespace {

template <class Real, class Sum, class Space>
std::unique_ptr<DeviceNetwork> make(const Potential &potential, const NetworkOptions &options,
                                    DeviceKernels kernels) {
  if (potential.architecture != Architecture::PaiNN)
    return std::make_unique<device::MlffDistiller<Real, Sum, Space>>(potential, options, kernels);
#if defined(MLFF_CUDA)
  if constexpr (std::is_same_v<Space, Kokkos::Cuda> && std::is_same_v<Real, float>)
    if (kernels == DeviceKernels::Best)
      if (auto network = device::create_painn_cuda<Sum>(potential, options)) return network;
#endif
  return std::make_unique<device::PaiNN<Real, Sum, Space>>(potential, options, kernels);
}

}  // namespace

template <class Space>
std::unique_ptr<DeviceNetwork> create_device_network(const Potential &potential,
                                                     const NetworkOptions &options,
                                                     DeviceKernels kernels) {
  switch (options.precision) {
    case Precision::Single:
      return make<float, float, Space>(potential, options, kernels);
    case Precision::Mixed:
      return make<float, double, Space>(potential, options, kernels);
    default:
      return make<double, double, Space>(potential, options, kernels);
  }
}

#define MLFF_CREATE(Space)                                              \
  template std::unique_ptr<DeviceNetwork> create_device_network<Space>( \
      const Potential &, const NetworkOptions &, DeviceKernels);
MLFF_ON_EACH_SPACE(MLFF_CREATE)

}  // namespace mlff
