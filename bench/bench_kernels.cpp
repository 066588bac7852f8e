// The kernels alone, on one core: dense layers against Eigen, messages, and the core's peak.
//   bench_kernels_ISA --systems=FOLDER [Google Benchmark's options]
// Names are peak/PRECISION, {ours,eigen}/PRECISION/INPUTS/OUTPUTS/ROWS and message kernels as
// NAME/SYSTEM/PRECISION. Counters: flop/s, and ns/atom (of one layer) for what acts on edges.
#define EIGEN_DONT_PARALLELIZE
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <iostream>
#include <random>

#include "edges.h"
#include "filters.h"
#include "neighbour_search.h"
#include "simd.h"
#include "systems.h"

namespace {

using namespace mlff;
using namespace mlff::MLFF_ISA;  // simd.h
using bench::System;

constexpr int kChannels = 128;

/// The instruction set that this program was compiled for.
Isa compiled_for() {
  for (const Isa isa : {Isa::Baseline, Isa::Avx2})
    if (std::string(BENCH_ISA) == name(isa)) return isa;
  return Isa::Avx512;
}

template <class Real>
constexpr const char *kPrecision = sizeof(Real) == 4 ? "single" : "double";

/// Random numbers of size 1, and their memory.
template <class Real>
AlignedArray<Real> random_numbers(std::size_t size) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<Real> distribution(-1, 1);
  AlignedArray<Real> x;
  x.resize(size);
  for (std::size_t k = 0; k < size; ++k) x[k] = distribution(generator);
  return x;
}

void count_flop(benchmark::State &state, double flop) {
  state.counters["flop/s"] =
      benchmark::Counter(flop * state.iterations(), benchmark::Counter::kIsRate);
}

void per_atom(benchmark::State &state, double atoms) {
  state.counters["ns/atom"] = benchmark::Counter(
      1e-9 * atoms * state.iterations(), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Multiply-adds on registers alone, in more chains than latency times ports asks for: 8 with fused
/// multiply-add, 12 without. One constant suffices: x = x / 2 + 1 / 2.
template <class Real>
void peak(benchmark::State &state) {
  constexpr int kChains = 14, kSteps = 1000;
  Vector<Real> x[kChains] = {};
  Vector<Real> half = fill<Real>(Real(0.5));
  for (auto _ : state) {
    asm volatile("" : "+x"(half));
    for (int step = 0; step < kSteps; ++step)
#pragma GCC unroll 14
      for (int k = 0; k < kChains; ++k) x[k] = x[k] * half + half;
#pragma GCC unroll 14
    for (int k = 0; k < kChains; ++k) asm volatile("" : "+x"(x[k]));
  }
  count_flop(state, 2.0 * kSteps * kChains * width<Real>);
}

/// Inputs, outputs and rows as the network calls the layers: blocks of 48 atoms, 3 rows an atom in
/// `mix`.
struct Shape {
  int inputs, outputs, rows;
};
constexpr Shape kShapes[] = {{128, 128, 48},    // phi.0 and its adjoint
                             {128, 384, 48},    // phi.1, upd.1
                             {256, 128, 48},    // upd.0
                             {384, 128, 48},    // adjoints of phi.1, upd.1
                             {128, 256, 144},   // mix; the adjoint of upd.0 has a third of the rows
                             {256, 128, 144}};  // adjoint of mix

double flop(const Shape &shape) { return 2.0 * shape.inputs * shape.outputs * shape.rows; }

template <class Real>
void dense_ours(benchmark::State &state, Shape shape) {
  const Kernels<Real> &table = kernels<Real>(compiled_for());
  const auto weights = random_numbers<double>(std::size_t(shape.inputs) * shape.outputs);
  DenseWeights dense;
  dense.inputs = shape.inputs;
  dense.outputs = shape.outputs;
  dense.weights.assign(weights.data(), weights.data() + shape.inputs * shape.outputs);
  const PackedLayer<Real> layer(dense, table.panel);
  const auto x = random_numbers<Real>(std::size_t(shape.rows) * shape.inputs);
  auto y = random_numbers<Real>(std::size_t(shape.rows) * shape.outputs);
  for (auto _ : state) {
    table.dense(layer.view(), shape.rows, {x.data(), shape.inputs}, {y.data(), shape.outputs},
                Epilogue::Store, {nullptr, 0});
    benchmark::ClobberMemory();
  }
  count_flop(state, flop(shape));
}

template <class Real>
void dense_eigen(benchmark::State &state, Shape shape) {
  using Rows = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Rows x = Rows::Random(shape.rows, shape.inputs),
             w = Rows::Random(shape.outputs, shape.inputs);
  Rows y(shape.rows, shape.outputs);
  for (auto _ : state) {
    y.noalias() = x * w.transpose();
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  count_flop(state, flop(shape));
}

/// Everything that a message kernel reads and writes, for one system.
template <class Real>
struct Messages {
  const Kernels<Real> &table = kernels<Real>(compiled_for());
  const SplineGrid grid;
  const Structure structure;
  EdgeList<Real> edges;
  const SplineTable<Real> filters, radial;
  AlignedArray<Real> rows, own = random_numbers<Real>(16 * kChannels);
  AlignedArray<EdgeGradient<Real>> gradient;
  double cutoff;

  Messages(const Potential &potential, const System &system)
      : grid(spline_grid(potential)),
        structure(system.positions, system.elements, system.cell, potential.cutoff),
        filters(filter_table<Real>(potential, 1, grid)),
        radial(radial_table<Real>(potential, grid)),
        cutoff(potential.cutoff) {
    build();
    rows = random_numbers<Real>(std::size_t(edges.rows()) * 5 * kChannels);
    gradient.resize(edges.size());
    for (std::size_t e = 0; e < edges.size(); ++e) gradient[e] = {};
  }
  void build() { edges.build(structure.atoms(), structure.list(), cutoff, 1.0, 0.0, grid); }
  double neighbours() const { return double(edges.size()) / edges.local_rows(); }
};

template <class Real>
using Pass = void (*)(Messages<Real> &, int row);

template <class Real>
void message(Messages<Real> &m, int row) {
  m.table.message(kChannels, m.filters.rows(), m.edges.count(row), m.edges.edge(row), m.rows.data(),
                  m.own.data(), m.own.data() + kChannels);
}

template <class Real>
void message_adjoint(Messages<Real> &m, int row) {
  m.table.message_adjoint(kChannels, m.filters.rows(), m.edges.count(row), m.edges.edge(row),
                          m.rows.data() + std::size_t(row) * 5 * kChannels, m.rows.data(),
                          m.own.data(), m.gradient.data() + m.edges.begin(row));
}

/// Both sums of the first layer; `own` has room for four elements.
template <class Real>
void element_sums(Messages<Real> &m, int row) {
  m.table.element_sums(m.radial.rows(), 4, m.edges.count(row), m.edges.edge(row), m.own.data(),
                       m.own.data() + 4 * m.radial.rows().stride);
}

template <class Real>
void element_sums_adjoint(Messages<Real> &m, int row) {
  m.table.element_sums_adjoint(m.radial.rows(), 4, m.edges.count(row), m.edges.edge(row),
                               m.own.data(), m.own.data() + 4 * m.radial.rows().stride,
                               m.gradient.data() + m.edges.begin(row));
}

/// Calls a kernel for all atoms; flop: of one edge and channel (or padded radial function).
template <class Real>
void each_atom(benchmark::State &state, const Potential &potential, const System &system,
               Pass<Real> pass, double flop) {
  Messages<Real> m(potential, system);
  for (auto _ : state) {
    for (int row = 0; row < m.edges.local_rows(); ++row) pass(m, row);
    benchmark::ClobberMemory();
  }
  per_atom(state, system.size());
  count_flop(state, flop * double(m.edges.size()));
  state.counters["neighbours"] = m.neighbours();
}

template <class Real>
void build_edges(benchmark::State &state, const Potential &potential, const System &system) {
  Messages<Real> m(potential, system);
  for (auto _ : state) m.build();
  per_atom(state, system.size());
  state.counters["neighbours"] = m.neighbours();
}

// Floating-point operations of an edge and channel, counted in algebra.h and message_kernels.h:
// three splines of 7, and the algebra; in the adjoint also the contraction with four rows of the
// table. That it is done with differences of rows takes some more, which are not counted.
constexpr double kMessageFlop = 3 * 7 + 15, kAdjointFlop = 3 * 7 + 29 + 24;
constexpr double kSumsFlop = 7 + 7, kSumsAdjointFlop = 7 + 7 + 14;

template <class Real>
void register_dense() {
  const std::string precision = kPrecision<Real>;
  benchmark::RegisterBenchmark(("peak/" + precision).c_str(), peak<Real>);
  for (const Shape &shape : kShapes) {
    const std::string title = "/" + precision + "/" + std::to_string(shape.inputs) + "/" +
                              std::to_string(shape.outputs) + "/" + std::to_string(shape.rows);
    benchmark::RegisterBenchmark(("ours" + title).c_str(), dense_ours<Real>, shape);
    benchmark::RegisterBenchmark(("eigen" + title).c_str(), dense_eigen<Real>, shape);
  }
}

template <class Real>
void register_messages(const Potential &potential, const System &system) {
  const std::string title = "/" + system.name + "/" + kPrecision<Real>;
  const double C = kChannels, K = padded(potential.number_of_radial_functions + 1);
  const auto add = [&](const char *name, Pass<Real> pass, double flop) {
    benchmark::RegisterBenchmark((name + title).c_str(),
                                 [&potential, &system, pass, flop](auto &state) {
                                   each_atom<Real>(state, potential, system, pass, flop);
                                 });
  };
  add("element_sums", element_sums<Real>, kSumsFlop * K);
  add("message", message<Real>, kMessageFlop * C);
  add("message_adjoint", message_adjoint<Real>, kAdjointFlop * C);
  add("element_sums_adjoint", element_sums_adjoint<Real>, kSumsAdjointFlop * K);
  benchmark::RegisterBenchmark(("edges" + title).c_str(), [&potential, &system](auto &state) {
    build_edges<Real>(state, potential, system);
  });
}

}  // namespace

int main(int argc, char **argv) try {
  const std::string folder = bench::take_argument(argc, argv, "systems", "systems");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (compiled_for() > best_isa())
    throw std::runtime_error("this processor has no " BENCH_ISA
                             ", which this program was compiled for");
  const std::vector<System> systems = bench::read_systems(folder);
  const Potential potential = Potential::load(folder + "/painn.yaml");
  register_dense<float>();
  register_dense<double>();
  for (const System &system : systems) {
    if (!system.cell) continue;
    register_messages<float>(potential, system);
    register_messages<double>(potential, system);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
} catch (const std::exception &error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
