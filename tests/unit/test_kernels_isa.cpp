// Each instruction set's kernels against plain loops, at sizes that leave every kind of remainder.
#include <gtest/gtest.h>

#include <cmath>

#include "dense_layer.h"
#include "differences.h"
#include "evaluation.h"

namespace mlff::test {
namespace {

template <class Real>
class DenseKernel : public testing::Test {
 protected:
  static constexpr int kSpare = 3;  ///< entries behind each row that must stay as they are

  void check(Isa isa, int inputs, int outputs, int rows, bool bias, Epilogue epilogue) {
    SCOPED_TRACE(testing::Message()
                 << name(isa) << ": " << rows << " rows, " << inputs << " -> " << outputs
                 << ", bias " << bias << ", epilogue " << int(epilogue));
    const Kernels<Real> &k = kernels<Real>(isa);
    DenseWeights dense;
    dense.inputs = inputs;
    dense.outputs = outputs;
    dense.weights = random_numbers(std::size_t(inputs) * outputs, 1);
    if (bias) dense.bias = random_numbers(outputs, 2);
    const PackedLayer<Real> layer(dense, k.panel);
    const int xs = inputs + 1, ys = outputs + kSpare, fs = outputs + 2 * kSpare;
    const std::vector<Real> x = numbers(rows * xs, 3), y0 = numbers(rows * ys, 4),
                            f0 = numbers(rows * fs, 5);
    std::vector<Real> y = y0, f = f0;
    k.dense(layer.view(), rows, {x.data(), xs}, {y.data(), ys}, epilogue, {f.data(), fs});
    const double tolerance = (sizeof(Real) == 4 ? 1e-6 : 1e-14) * (1 + inputs);
    for (int m = 0; m < rows; ++m) {
      for (int o = 0; o < outputs; ++o) {
        double z = bias ? double(Real(dense.bias[o])) : 0.0;
        for (int i = 0; i < inputs; ++i)
          z += double(Real(dense.weights[std::size_t(o) * inputs + i])) * x[m * xs + i];
        const double sigma = 1 / (1 + std::exp(-z));
        double expected = z, factor = f0[m * fs + o];
        if (epilogue == Epilogue::Add) expected += y0[m * ys + o];
        if (epilogue == Epilogue::Multiply) expected *= f0[m * fs + o];
        if (epilogue == Epilogue::Silu) {
          expected = z * sigma;
          factor = sigma * (1 + z * (1 - sigma));
        }
        ASSERT_NEAR(y[m * ys + o], expected, tolerance) << "row " << m << ", output " << o;
        ASSERT_NEAR(f[m * fs + o], factor, tolerance) << "row " << m << ", output " << o;
      }
      for (int o = outputs; o < ys; ++o) ASSERT_EQ(y[m * ys + o], y0[m * ys + o]);
      for (int o = outputs; o < fs; ++o) ASSERT_EQ(f[m * fs + o], f0[m * fs + o]);
    }
  }

  static std::vector<Real> numbers(std::size_t n, unsigned seed) {
    const Numbers x = random_numbers(n, seed);
    return std::vector<Real>(x.begin(), x.end());
  }
};

using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(DenseKernel, Reals);

TYPED_TEST(DenseKernel, IsMatrixTimesVector) {
  for (const Isa isa : available_isas())
    for (const int outputs : {16, 32, 48, 80})
      for (const int inputs : {1, 5, 16, 37})
        for (int rows = 0; rows <= 26; ++rows)
          for (const Epilogue epilogue :
               {Epilogue::Store, Epilogue::Add, Epilogue::Silu, Epilogue::Multiply})
            this->check(isa, inputs, outputs, rows, (rows + inputs) % 2 == 0, epilogue);
}

TYPED_TEST(DenseKernel, ARowDoesNotDependOnTheRowsBesideIt) {
  using Real = TypeParam;
  for (const Isa isa : available_isas()) {
    const Kernels<Real> &k = kernels<Real>(isa);
    DenseWeights dense;
    dense.inputs = 37;
    dense.outputs = 48;
    dense.weights = random_numbers(37 * 48, 1);
    const PackedLayer<Real> layer(dense, k.panel);
    const std::vector<Real> x = this->numbers(26 * 37, 2);
    std::vector<Real> all(26 * 48), one(48);
    k.dense(layer.view(), 26, {x.data(), 37}, {all.data(), 48}, Epilogue::Store, {});
    for (int m = 0; m < 26; ++m) {
      k.dense(layer.view(), 1, {x.data() + 37 * m, 37}, {one.data(), 48}, Epilogue::Store, {});
      for (int o = 0; o < 48; ++o) ASSERT_EQ(one[o], all[48 * m + o]) << name(isa) << ", row " << m;
    }
  }
}

TYPED_TEST(DenseKernel, SiluHoldsOverTheWholeRange) {
  using Real = TypeParam;
  DenseWeights dense;
  dense.inputs = 1;
  dense.outputs = 16;
  dense.weights.assign(16, 1.0);
  for (const Isa isa : available_isas()) {
    const Kernels<Real> &k = kernels<Real>(isa);
    const PackedLayer<Real> layer(dense, k.panel);
    for (const double z :
         {0.0, 1e-8, 0.3, -0.3, 5.0, -5.0, 40.0, -40.0, 90.0, -90.0, 1000.0, -1000.0}) {
      const Real x = static_cast<Real>(z);
      Real y[16], slope[16];
      k.dense(layer.view(), 1, {&x, 1}, {y, 16}, Epilogue::Silu, {slope, 16});
      const double sigma = 1 / (1 + std::exp(-double(x))),
                   tolerance = sizeof(Real) == 4 ? 1e-6 : 1e-14;
      EXPECT_NEAR(y[0], x * sigma, tolerance * (1 + std::fabs(x))) << name(isa) << " at " << z;
      EXPECT_NEAR(slope[0], sigma * (1 + x * (1 - sigma)), tolerance * 10)
          << name(isa) << " at " << z;
    }
    const Real nan = static_cast<Real>(NAN);
    Real y[16], slope[16];
    k.dense(layer.view(), 1, {&nan, 1}, {y, 16}, Epilogue::Silu, {slope, 16});
    EXPECT_TRUE(std::isnan(y[0])) << "trouble must stay visible";
  }
}

TEST(Kernels, TablesDifferByInstructionSet) {
  std::vector<const void *> seen;
  for (const Isa isa : available_isas()) {
    for (const void *table : seen) EXPECT_NE(table, &kernels<float>(isa));
    seen.push_back(&kernels<float>(isa));
  }
}

}  // namespace
}  // namespace mlff::test
