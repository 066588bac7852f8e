// Radial functions times cutoff, with derivatives, for the edges of one atom.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace mlff::MLFF_ISA {

constexpr double kPi = 3.14159265358979323846;

struct ValueAndSlope {
  double value, slope;
};

/// Cutoff function at r < cutoff and its derivative. Cosine: (cos(pi r / rc) + 1) / 2 (Behler
/// 2011); mollifier: exp(1 - 1 / (1 - (r / rc)^2)).
MLFF_INLINE ValueAndSlope cutoff_function(CutoffFunction function, double cutoff, double r) {
  if (!(r < cutoff)) return {0.0, 0.0};
  if (function == CutoffFunction::Cosine) {
    const double a = kPi / cutoff;
    return {0.5 * (__builtin_cos(a * r) + 1.0), -0.5 * a * __builtin_sin(a * r)};
  }
  const double x = r / cutoff, gap = 1.0 - x * x;
  const double f = __builtin_exp(1.0 - 1.0 / gap);
  return {f, f > 0.0 ? -2.0 * x / (gap * gap * cutoff) * f : 0.0};
}

/// exp(-(r - center)^2 / (2 width^2)) fc, a vector of k at a time; lanes behind K are mended by the
/// caller.
template <class Real>
MLFF_INLINE void gaussians(const RadialBasis<Real> &basis, Real r, Real fc, Real dfc, Real *g,
                           Real *dg) {
  for (int k = 0; k < basis.number; k += width<Real>) {
    const Vector<Real> inverse = load(basis.inverse_widths + k);
    const Vector<Real> d = (r - load(basis.centers + k)) * inverse;
    const Vector<Real> e = exp<Real>(Real(-0.5) * d * d);
    store(g + k, e * fc);
    store(dg + k, e * (dfc - fc * d * inverse));
  }
}

/// sin(frequency r) / r fc.
template <class Real>
MLFF_INLINE void bessels(const RadialBasis<Real> &basis, Real r, Real fc, Real dfc, Real *g,
                         Real *dg) {
  for (int k = 0; k < basis.number; ++k) {
    const double f = basis.frequencies[k], x = f * r;
    const Real value = __builtin_sin(x) / r;
    g[k] = value * fc;
    dg[k] = value * (dfc - fc / r) + Real(f * __builtin_cos(x)) / r * fc;
  }
}

template <class Real>
void radial_functions(const RadialBasis<Real> &basis, int edges, const Edge<Real> *edge, int stride,
                      Real *values, Real *derivatives) {
  for (int e = 0; e < edges; ++e) {
    Real *g = values + static_cast<std::size_t>(e) * stride;
    Real *dg = derivatives + static_cast<std::size_t>(e) * stride;
    const ValueAndSlope f = cutoff_function(basis.cutoff_function, basis.cutoff, edge[e].r);
    const Real fc = f.value, dfc = f.slope;
    if (basis.functions == RadialFunctions::Gaussian)
      gaussians(basis, edge[e].r, fc, dfc, g, dg);
    else
      bessels(basis, edge[e].r, fc, dfc, g, dg);
    for (int k = basis.number; k < stride; ++k) g[k] = dg[k] = 0;
    g[basis.number] = fc;
    dg[basis.number] = dfc;
  }
}

}  // namespace mlff::MLFF_ISA
