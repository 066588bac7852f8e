// The table of kernels of one instruction set. Compiled once for each, with MLFF_ISA naming it.
#include "dense_kernels.h"
#include "message_kernels.h"
#include "radial_kernels.h"
#include "update_kernels.h"

namespace mlff::MLFF_ISA {

namespace {

template <class Real>
bool evaluated(const FilterRows<Real> &filter) {
  return filter.values != nullptr;
}

template <class Real>
void any_element_sums(const FilterRows<Real> &radial, int elements, int edges,
                      const Edge<Real> *edge, Real *scalar, Real *vector) {
  (evaluated(radial)
       ? element_sums<Real, ExactRow>
       : element_sums<Real, SplineRow>)(radial, elements, edges, edge, scalar, vector);
}

template <class Real>
void any_element_sums_adjoint(const FilterRows<Real> &radial, int elements, int edges,
                              const Edge<Real> *edge, const Real *scalar_bar,
                              const Real *vector_bar, EdgeGradient<Real> *gradient) {
  (evaluated(radial) ? element_sums_adjoint<Real, ExactRow>
                     : element_sums_adjoint<Real, SplineRow>)(radial, elements, edges, edge,
                                                              scalar_bar, vector_bar, gradient);
}

template <class Real>
void any_message(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                 const Real *senders, Real *s, Real *v) {
  (evaluated(filter) ? message<Real, ExactRow> : message<Real, SplineRow>)(C, filter, edges, edge,
                                                                           senders, s, v);
}

template <class Real>
void any_message_adjoint(int C, const FilterRows<Real> &filter, int edges, const Edge<Real> *edge,
                         const Real *sender, const Real *features_bar, Real *sender_bar,
                         EdgeGradient<Real> *gradient) {
  (evaluated(filter) ? message_adjoint<Real, ExactRow>
                     : message_adjoint<Real, SplineRow>)(C, filter, edges, edge, sender,
                                                         features_bar, sender_bar, gradient);
}

}  // namespace

template <class Real>
constexpr Kernels<Real> table() {
  return {kTileVectors * width<Real>,
          dense<Real>,
          any_element_sums<Real>,
          any_element_sums_adjoint<Real>,
          any_message<Real>,
          any_message_adjoint<Real>,
          make_sender<Real>,
          make_sender_adjoint<Real>,
          norm<Real>,
          update<Real>,
          update_adjoint_gates<Real>,
          update_adjoint_mix<Real>,
          distiller_norm<Real>,
          distiller_update<Real>,
          distiller_update_adjoint_gates<Real>,
          distiller_update_adjoint_vectors<Real>,
          radial_functions<Real>};
}

extern const Kernels<float> single_kernels;
extern const Kernels<double> double_kernels;
const Kernels<float> single_kernels = table<float>();
const Kernels<double> double_kernels = table<double>();

}  // namespace mlff::MLFF_ISA
