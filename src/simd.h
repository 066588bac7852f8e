// Vectors of channels in the compiler's own vector types: one text for SSE2, AVX2 and AVX-512.
// Included only by files that are compiled once per instruction set; everything is forced inline,
// so that no function of one instruction set can be linked into another.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef MLFF_ISA
#error "compile with -DMLFF_ISA=baseline|avx2|avx512"
#endif

#define MLFF_INLINE __attribute__((always_inline)) inline

namespace mlff::MLFF_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class Real>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t bits __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t bits __attribute__((vector_size(kVectorBytes)));
};
template <class Real>
using Vector = typename VectorOf<Real>::type;

/// Channels in a vector.
template <class Real>
constexpr int width = kVectorBytes / static_cast<int>(sizeof(Real));

template <class Real>
MLFF_INLINE Vector<Real> load(const Real *p) {
  Vector<Real> x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

template <class Real>
MLFF_INLINE void store(Real *p, const Vector<Real> &x) {
  __builtin_memcpy(p, &x, sizeof x);
}

/// The same number in all lanes. (Subtracting 0 changes nothing, adding it would turn -0 into 0:
/// only the former is left out by the compiler, and the number broadcast from memory.)
template <class Real>
MLFF_INLINE Vector<Real> fill(Real x) {
  return x - Vector<Real>{};
}

/// Halves of a vector of n numbers, added.
template <class Real, int n>
struct Folded {
  typedef Real Half __attribute__((vector_size(n / 2 * sizeof(Real))));
  template <class Whole>
  MLFF_INLINE static Half fold(const Whole &x) {
    Half part[2];
    __builtin_memcpy(part, &x, sizeof x);
    return part[0] + part[1];
  }
};

/// Sums over the lanes of four vectors at once, in a fixed order.
template <class Real, int n = width<Real>, class Whole>
MLFF_INLINE void sum_each(const Whole (&x)[4], Real *sums) {
  if constexpr (n > 2) {
    using Half = typename Folded<Real, n>::Half;
    const Half halves[4] = {Folded<Real, n>::fold(x[0]), Folded<Real, n>::fold(x[1]),
                            Folded<Real, n>::fold(x[2]), Folded<Real, n>::fold(x[3])};
    sum_each<Real, n / 2>(halves, sums);
  } else {
    for (int k = 0; k < 4; ++k) sums[k] = x[k][0] + x[k][1];
  }
}

MLFF_INLINE float root(float x) { return __builtin_sqrtf(x); }
MLFF_INLINE double root(double x) { return __builtin_sqrt(x); }

/// Square root of each lane (the compiler joins the lanes into one instruction).
template <class Real>
MLFF_INLINE Vector<Real> square_root(const Vector<Real> &x) {
  Vector<Real> y;
  for (int k = 0; k < width<Real>; ++k) y[k] = root(x[k]);
  return y;
}

/// Constants of exp(): ln 2 in two parts, the shift that rounds to an integer, the range, the
/// degree.
template <class Real>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float round = 12582912.0f, lowest = -87.0f, highest = 88.0f;
  static constexpr int mantissa = 23, degree = 7;
};
template <>
struct ExpConstants<double> {
  static constexpr double log2e = 1.4426950408889634, ln2_high = 0.693145751953125,
                          ln2_low = 1.42860682030941723e-6;
  static constexpr double round = 6755399441055744.0, lowest = -708.0, highest = 709.0;
  static constexpr int mantissa = 52, degree = 13;
};

/// 1 / k! for the polynomial of exp().
template <class Real>
struct InverseFactorials {
  Real at[ExpConstants<Real>::degree + 1];
  constexpr InverseFactorials() : at{} {
    double f = 1.0;
    for (int k = 0; k <= ExpConstants<Real>::degree; ++k, f /= k) at[k] = static_cast<Real>(f);
  }
};
template <class Real>
constexpr InverseFactorials<Real> kInverseFactorials;

/// e^x of each lane, x held within the range of normal numbers; about two units in the last place.
/// exp(x) = 2^n exp(f) with |f| <= ln(2)/2, the latter by its Taylor polynomial.
template <class Real>
MLFF_INLINE Vector<Real> exp(Vector<Real> x) {
  using C = ExpConstants<Real>;
  using Bits = typename VectorOf<Real>::bits;
  x = x < C::lowest ? fill<Real>(C::lowest) : x;
  x = x > C::highest ? fill<Real>(C::highest) : x;
  const Vector<Real> shifted = x * C::log2e + C::round;
  const Vector<Real> n = shifted - C::round;
  const Vector<Real> f = (x - n * C::ln2_high) - n * C::ln2_low;
  Vector<Real> y = fill<Real>(kInverseFactorials<Real>.at[C::degree]);
#pragma GCC unroll 16
  for (int k = C::degree - 1; k >= 0; --k) y = y * f + kInverseFactorials<Real>.at[k];
  Bits power;
  __builtin_memcpy(&power, &shifted, sizeof power);
  power <<= C::mantissa;
  Bits bits;
  __builtin_memcpy(&bits, &y, sizeof bits);
  bits += power;
  __builtin_memcpy(&y, &bits, sizeof bits);
  return y;
}

/// SiLU x / (1 + e^-x); its derivative goes to `derivative`.
template <class Real>
MLFF_INLINE Vector<Real> silu(const Vector<Real> &x, Vector<Real> &derivative) {
  const Vector<Real> sigma = Real(1) / (Real(1) + exp<Real>(-x));
  const Vector<Real> y = x * sigma;
  derivative = sigma + y * (Real(1) - sigma);
  return y;
}

}  // namespace mlff::MLFF_ISA
