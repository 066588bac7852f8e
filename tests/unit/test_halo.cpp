// Several processes in one: each "rank" is a thread with its own network and its share of a
// periodic box, joined by a halo in memory. Everything must add up to what one process computes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "backends.h"
#include "neighbour_search.h"

namespace mlff::test {
namespace {

/// Where ranks wait for each other; gives up rather than hang when one is missing.
class Barrier {
 public:
  explicit Barrier(int ranks) : ranks_(ranks) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const long round = round_;
    if (++waiting_ == ranks_) {
      waiting_ = 0;
      ++round_;
      all_here_.notify_all();
    } else if (!all_here_.wait_for(lock, std::chrono::seconds(20),
                                   [&] { return round_ != round; })) {
      throw std::runtime_error("a rank did not come to the exchange");
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  const int ranks_;
  int waiting_ = 0;
  long round_ = 0;
};

/// One rank's atoms: owned ones, then all images that its neighbour lists hold.
struct Domain {
  int local = 0;
  std::vector<int> origin;  ///< [total] atom of the whole system
  std::vector<double> positions;
  std::vector<int> elements, owner, centres, counts;
  std::vector<std::vector<int>> neighbours;
  std::vector<const int *> rows;

  int total() const { return static_cast<int>(origin.size()); }
  Atoms atoms() const {
    Atoms atoms;
    atoms.local = local;
    atoms.total = total();
    atoms.positions = reinterpret_cast<const double(*)[3]>(positions.data());
    atoms.elements = elements.data();
    atoms.owner = owner.data();
    return atoms;
  }
  NeighbourList list() const {
    NeighbourList list;
    list.centres = local;
    list.centre = centres.data();
    list.count = counts.data();
    list.neighbours = rows.data();
    return list;
  }
};

/// The share of one rank, given each atom's rank.
Domain domain_of(const Structure &structure, const std::vector<int> &rank_of, int rank) {
  const Atoms all = structure.atoms();
  const NeighbourList list = structure.list();
  Domain domain;
  std::map<int, int> index;  // atom or image of the structure -> atom of the rank
  const auto add = [&](int atom) {
    const auto [found, added] = index.emplace(atom, domain.total());
    if (!added) return found->second;
    domain.origin.push_back(all.owner[atom]);
    domain.positions.insert(domain.positions.end(), all.positions[atom], all.positions[atom] + 3);
    domain.elements.push_back(all.elements[atom]);
    const bool here = rank_of[all.owner[atom]] == rank;
    domain.owner.push_back(here ? index.at(all.owner[atom]) : -1);
    return found->second;
  };
  for (int i = 0; i < structure.size(); ++i)
    if (rank_of[i] == rank) domain.centres.push_back(add(i));
  domain.local = domain.total();
  for (int i = 0; i < domain.local; ++i) {
    const int atom = domain.origin[i];
    domain.neighbours.emplace_back();
    for (int k = 0; k < list.count[atom]; ++k)
      domain.neighbours.back().push_back(add(list.neighbours[atom][k]));
    domain.counts.push_back(list.count[atom]);
  }
  for (const std::vector<int> &row : domain.neighbours) domain.rows.push_back(row.data());
  return domain;
}

/// All ranks' rows during one exchange.
struct Board {
  struct Posted {
    char *rows;
    std::size_t row_bytes;
    const int *row_of_atom;
  };
  explicit Board(int ranks) : posted(ranks), barrier(ranks) {}
  std::vector<Posted> posted;
  Barrier barrier;
  std::vector<std::pair<int, int>> home;  ///< [atoms of the system] rank and local index
};

class HaloInMemory : public Halo {
 public:
  HaloInMemory(Board &board, const Domain &domain, int rank, std::size_t most_bytes)
      : board_(board), domain_(domain), rank_(rank), most_bytes_(most_bytes) {}

  void exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) override {
    ++calls;
    if (row_bytes % sizeof(double) != 0 || row_bytes > most_bytes_)
      throw std::logic_error("row_bytes");
    board_.posted[rank_] = {static_cast<char *>(rows), row_bytes, row_of_atom};
    board_.barrier.wait();
    for (int i = domain_.local; i < domain_.total(); ++i) {
      if (domain_.owner[i] >= 0 || row_of_atom[i] < 0) continue;
      const auto [rank, atom] = board_.home[domain_.origin[i]];
      const Board::Posted &from = board_.posted[rank];
      if (from.row_bytes != row_bytes) throw std::logic_error("ranks exchange different rows");
      std::memcpy(static_cast<char *>(rows) + row_of_atom[i] * row_bytes,
                  from.rows + from.row_of_atom[atom] * row_bytes, row_bytes);
    }
    board_.barrier.wait();
  }
  int calls = 0;

 private:
  Board &board_;
  const Domain &domain_;
  const int rank_;
  const std::size_t most_bytes_;
};

class Ranks : public testing::TestWithParam<Case>, protected NetworkTest {
 protected:
  Ranks() : NetworkTest(GetParam()) {}

  /// The system evaluated by several ranks, what ghosts received returned to their owners.
  Evaluation evaluate_split(const System &system, const std::vector<int> &rank_of, int ranks,
                            const NetworkOptions &options) const {
    std::vector<std::unique_ptr<Network>> networks;
    for (int rank = 0; rank < ranks; ++rank) networks.push_back(backend.create(potential, options));
    const Structure structure(system.positions, system.elements, system.cell,
                              networks[0]->cutoff());
    std::vector<Domain> domains;
    Board board(ranks);
    board.home.resize(system.size());
    for (int rank = 0; rank < ranks; ++rank) {
      domains.push_back(domain_of(structure, rank_of, rank));
      for (int i = 0; i < domains[rank].local; ++i) board.home[domains[rank].origin[i]] = {rank, i};
    }
    std::vector<Evaluation> parts(ranks);
    std::vector<int> calls(ranks);
    std::vector<std::string> trouble(ranks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank)
      threads.emplace_back([&, rank] {
        try {
          HaloInMemory halo(board, domains[rank], rank, networks[rank]->halo_bytes());
          parts[rank] = evaluate_rank(*networks[rank], domains[rank], halo);
          calls[rank] = halo.calls;
        } catch (const std::exception &error) {
          trouble[rank] = error.what();
        }
      });
    for (std::thread &thread : threads) thread.join();
    Evaluation sum;
    sum.atomic_energies.assign(system.size(), 0.0);
    sum.forces.assign(3 * system.size(), 0.0);
    sum.atomic_virial.assign(9 * system.size(), 0.0);
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(trouble[rank], "");
      EXPECT_EQ(calls[rank], calls[0]);
      if (trouble[rank].empty()) add(domains[rank], parts[rank], sum);
    }
    return sum;
  }

 private:
  static Evaluation evaluate_rank(Network &network, const Domain &domain, Halo &halo) {
    Evaluation part;
    part.atomic_energies.assign(domain.total() + 1, 0.0);
    part.forces.assign(3 * (domain.total() + 1), 0.0);
    part.atomic_virial.assign(9 * (domain.total() + 1), 0.0);
    Results results;
    results.want_virial = true;
    results.forces = reinterpret_cast<double(*)[3]>(part.forces.data());
    results.atomic_energies = part.atomic_energies.data();
    results.atomic_virial = reinterpret_cast<double(*)[9]>(part.atomic_virial.data());
    network.compute(domain.atoms(), domain.list(), &halo, results);
    part.energy = results.energy;
    std::copy_n(results.virial, 6, part.virial.begin());
    return part;
  }

  static void add(const Domain &domain, const Evaluation &part, Evaluation &sum) {
    sum.energy += part.energy;
    for (int k = 0; k < 6; ++k) sum.virial[k] += part.virial[k];
    for (int i = 0; i < domain.total(); ++i) {
      const int atom = domain.origin[i];
      sum.atomic_energies[atom] += part.atomic_energies[i];
      if (i >= domain.local) {
        EXPECT_EQ(part.atomic_energies[i], 0.0);
      }
      for (int c = 0; c < 3; ++c) sum.forces[3 * atom + c] += part.forces[3 * i + c];
      for (int c = 0; c < 9; ++c) sum.atomic_virial[9 * atom + c] += part.atomic_virial[9 * i + c];
      if (i >= domain.local && domain.owner[i] >= 0) {
        for (int c = 0; c < 3; ++c)
          EXPECT_EQ(part.forces[3 * i + c], 0.0) << "an image of an own atom";
      }
    }
  }

 protected:
  void expect_adds_up(const System &system, const std::vector<int> &rank_of, int ranks,
                      Precision precision, Filters filters) const {
    const NetworkOptions options = options_for(potential, precision, filters);
    const Evaluation one = evaluate(*backend.create(potential, options), system);
    const Evaluation many = evaluate_split(system, rank_of, ranks, options);
    const double relative = tolerances(precision).forces, force = 1 + largest(one.forces);
    const double energy = 1 + largest(one.atomic_energies), virial = 1 + largest(one.atomic_virial);
    EXPECT_NEAR(many.energy, one.energy, relative * energy * system.size());
    EXPECT_LT(largest_difference(many.atomic_energies, one.atomic_energies), relative * energy);
    EXPECT_LT(largest_difference(many.forces, one.forces), relative * force);
    EXPECT_LT(largest_difference(many.atomic_virial, one.atomic_virial), relative * virial);
    for (int k = 0; k < 6; ++k)
      EXPECT_NEAR(many.virial[k], one.virial[k], relative * virial * system.size());
  }

  System triclinic() const { return load_references(GetParam().fixture, potential).at(5).system; }
};

INSTANTIATE_TEST_SUITE_P(Backends, Ranks, testing::ValuesIn(cases()),
                         [](const auto &info) { return case_name(info.param); });

/// Atoms by their height above the face opposite to the first cell vector, in equal slabs.
std::vector<int> slabs(const System &system, int ranks) {
  const std::vector<double> &a = *system.cell;
  const double normal[3] = {a[4] * a[8] - a[5] * a[7], a[5] * a[6] - a[3] * a[8],
                            a[3] * a[7] - a[4] * a[6]};
  const double volume = a[0] * normal[0] + a[1] * normal[1] + a[2] * normal[2];
  std::vector<int> rank_of;
  for (int i = 0; i < system.size(); ++i) {
    double x = 0.0;
    for (int c = 0; c < 3; ++c) x += normal[c] * system.positions[3 * i + c] / volume;
    rank_of.push_back(static_cast<int>((x - std::floor(x)) * ranks) % ranks);
  }
  return rank_of;
}

TEST_P(Ranks, SlabsOfALiquidAddUp) {
  const System system = random_liquid(potential, 64, 1);
  for (const int ranks : {1, 2, 4}) {
    SCOPED_TRACE(testing::Message() << ranks << " ranks");
    expect_adds_up(system, slabs(system, ranks), ranks, Precision::Double, Filters::Spline);
  }
  expect_adds_up(system, slabs(system, 2), 2, Precision::Double, Filters::Exact);
  expect_adds_up(system, slabs(system, 2), 2, Precision::Mixed, Filters::Spline);
}

TEST_P(Ranks, AnySharingOfATriclinicBoxAddsUp) {
  const System system = triclinic();
  std::vector<int> rank_of(system.size());
  for (int i = 0; i < system.size(); ++i) rank_of[i] = (5 * i + i / 3) % 3;
  expect_adds_up(system, rank_of, 3, Precision::Double, Filters::Exact);
}

TEST_P(Ranks, ARankMayOwnNothing) {
  const System system = triclinic();
  std::vector<int> rank_of(system.size());
  for (int i = 0; i < system.size(); ++i) rank_of[i] = i % 2 ? 0 : 2;  // none for rank 1
  expect_adds_up(system, rank_of, 3, Precision::Double, Filters::Spline);
}

TEST_P(Ranks, AMoleculeInVacuumMayCrossABorder) {
  const System system = load_references(GetParam().fixture, potential).at(4).system;
  ASSERT_FALSE(system.cell);
  std::vector<int> rank_of(system.size());
  for (int i = 0; i < system.size(); ++i) rank_of[i] = i < 5;
  expect_adds_up(system, rank_of, 2, Precision::Double, Filters::Exact);
}

TEST_P(Ranks, ACellBelowTheCutoffMayBeShared) {
  const System system = load_references(GetParam().fixture, potential).at(6).system;
  std::vector<int> rank_of(system.size());
  for (int i = 0; i < system.size(); ++i) rank_of[i] = i % 2;
  expect_adds_up(system, rank_of, 2, Precision::Double, Filters::Exact);
}

}  // namespace
}  // namespace mlff::test
