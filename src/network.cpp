#include "network.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "distiller.h"
#include "kernels.h"
#include "painn.h"

namespace mlff {

#define MLFF_DECLARE_KERNELS(isa)              \
  namespace isa {                              \
  extern const Kernels<float> single_kernels;  \
  extern const Kernels<double> double_kernels; \
  }
MLFF_DECLARE_KERNELS(baseline)
#if defined(MLFF_X86)
MLFF_DECLARE_KERNELS(avx2)
MLFF_DECLARE_KERNELS(avx512)
#endif
#undef MLFF_DECLARE_KERNELS

template <>
const Kernels<float> &kernels<float>(Isa isa) {
#if defined(MLFF_X86)
  if (isa == Isa::Avx512) return avx512::single_kernels;
  if (isa == Isa::Avx2) return avx2::single_kernels;
#endif
  (void)isa;
  return baseline::single_kernels;
}

template <>
const Kernels<double> &kernels<double>(Isa isa) {
#if defined(MLFF_X86)
  if (isa == Isa::Avx512) return avx512::double_kernels;
  if (isa == Isa::Avx2) return avx2::double_kernels;
#endif
  (void)isa;
  return baseline::double_kernels;
}

const char *name(Isa isa) {
  switch (isa) {
    case Isa::Avx512:
      return "avx512";
    case Isa::Avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

Isa best_isa() {
  const char *limit = std::getenv("MLFF_ISA");
  const auto given = [&](Isa isa) { return !limit || std::strcmp(limit, name(isa)) == 0; };
  if (!given(Isa::Baseline) && !given(Isa::Avx2) && !given(Isa::Avx512))
    throw std::invalid_argument("the environment variable MLFF_ISA is '" + std::string(limit) +
                                "'; known are: baseline, avx2, avx512");
#if defined(MLFF_X86)
  const auto allowed = [&](Isa isa) {
    return given(isa) || (isa == Isa::Avx2 && given(Isa::Avx512));
  };
  if (allowed(Isa::Avx512) && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return Isa::Avx512;
  if (allowed(Isa::Avx2) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return Isa::Avx2;
#endif
  return Isa::Baseline;
}

namespace {

template <class Real, class Sum>
std::unique_ptr<Network> make(const Potential &potential, const NetworkOptions &options) {
  if (potential.architecture == Architecture::PaiNN)
    return std::make_unique<PaiNN<Real, Sum>>(potential, options);
  return std::make_unique<MlffDistiller<Real, Sum>>(potential, options);
}

}  // namespace

std::unique_ptr<Network> Network::create(const Potential &potential,
                                         const NetworkOptions &options) {
  switch (options.precision) {
    case Precision::Single:
      return make<float, float>(potential, options);
    case Precision::Mixed:
      return make<float, double>(potential, options);
    default:
      return make<double, double>(potential, options);
  }
}

}  // namespace mlff
