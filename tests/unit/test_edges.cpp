// The edge list against a search over all pairs of images.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "differences.h"
#include "edges.h"
#include "evaluation.h"
#include "neighbour_search.h"

namespace mlff::test {
namespace {

constexpr double kCutoff = 4.0;

System triclinic_box(int n, double edge, unsigned seed) {
  System system;
  const std::vector<double> cell = {edge, 0,           0,          0.3 * edge, 0.9 * edge,
                                    0,    -0.2 * edge, 0.1 * edge, edge};
  const Numbers fractions = random_numbers(3 * n, seed);
  for (int i = 0; i < n; ++i) {
    for (int c = 0; c < 3; ++c) {
      double x = 0.0;
      for (int k = 0; k < 3; ++k) x += fractions[3 * i + k] * cell[3 * k + c];
      system.positions.push_back(x);
    }
    system.elements.push_back(i % 3);
  }
  system.cell = cell;
  return system;
}

template <class Real>
EdgeList<Real> edges_of(const Structure &structure, double softening = 0.0,
                        const SplineGrid &grid = {}, double length_scale = 1.0) {
  EdgeList<Real> edges;
  edges.build(structure.atoms(), structure.list(), kCutoff * length_scale, length_scale, softening,
              grid);
  return edges;
}

EdgeList<double> edges_of(const System &system) {
  return edges_of<double>(Structure(system.positions, system.elements, system.cell, kCutoff));
}

/// Neighbour, and vector to it: an edge without its place in the list.
using Entry = std::array<double, 4>;

std::vector<Entry> found_entries(const EdgeList<double> &edges, int row) {
  std::vector<Entry> entries;
  for (int e = 0; e < edges.count(row); ++e) {
    const Edge<double> &edge = edges.edge(row)[e];
    entries.push_back({double(edges.atom(edge.neighbour)), edge.r * edge.u[0], edge.r * edge.u[1],
                       edge.r * edge.u[2]});
  }
  return entries;
}

/// All images within the cutoff, by trying every one of many cells.
std::vector<Entry> expected_entries(const System &system, int i, int reach) {
  std::vector<Entry> entries;
  for (int a = -reach; a <= reach; ++a)
    for (int b = -reach; b <= reach; ++b)
      for (int c = -reach; c <= reach; ++c)
        for (int j = 0; j < system.size(); ++j) {
          if (i == j && a == 0 && b == 0 && c == 0) continue;
          Entry entry = {double(j)};
          double r2 = 0.0;
          for (int k = 0; k < 3; ++k) {
            const std::vector<double> &cell = *system.cell;
            entry[1 + k] = system.positions[3 * j + k] - system.positions[3 * i + k] + a * cell[k] +
                           b * cell[3 + k] + c * cell[6 + k];
            r2 += entry[1 + k] * entry[1 + k];
          }
          if (r2 < kCutoff * kCutoff) entries.push_back(entry);
        }
  return entries;
}

/// Each expected entry is there once, and nothing else.
void expect_same(std::vector<Entry> found, const std::vector<Entry> &expected) {
  EXPECT_EQ(found.size(), expected.size());
  for (const Entry &entry : expected) {
    const auto same = std::find_if(found.begin(), found.end(), [&](const Entry &other) {
      double difference = 0.0;
      for (int k = 0; k < 4; ++k) difference += std::fabs(other[k] - entry[k]);
      return difference < 1e-9;
    });
    ASSERT_NE(same, found.end());
    found.erase(same);
  }
  EXPECT_TRUE(found.empty());
}

TEST(Edges, AreAllPairsOfImagesWithinTheCutoff) {
  const struct {
    int atoms;
    double edge;
    int reach;
  } boxes[] = {{40, 11.0, 4}, {6, 5.0, 4}, {3, 2.5, 5}, {1, 1.9, 6}};
  for (const auto &box : boxes) {
    SCOPED_TRACE(box.edge);
    const System system = triclinic_box(box.atoms, box.edge, 1);
    const EdgeList<double> edges = edges_of(system);
    ASSERT_EQ(edges.local_rows(), box.atoms);
    ASSERT_EQ(edges.rows(), box.atoms);
    int most = 0;
    for (int i = 0; i < box.atoms; ++i) {
      ASSERT_EQ(edges.atom(i), i);
      EXPECT_EQ(edges.element(i), system.elements[i]);
      expect_same(found_entries(edges, i), expected_entries(system, i, box.reach));
      most = std::max(most, edges.count(i));
    }
    EXPECT_EQ(edges.largest_count(), most);
    EXPECT_GT(most, 3);
  }
}

TEST(Edges, HaveAnExactReverse) {
  for (const double edge : {1.9, 3.0, 9.0}) {
    const System system = triclinic_box(5, edge, 2);
    const Structure structure(system.positions, system.elements, system.cell, kCutoff);
    const EdgeList<float> edges = edges_of<float>(structure);
    const Edge<float> *all = edges.edge(0);
    for (int row = 0; row < edges.local_rows(); ++row)
      for (int e = edges.begin(row); e < edges.begin(row) + edges.count(row); ++e) {
        const int back = edges.reverse(e);
        ASSERT_GE(back, 0);
        ASSERT_NE(back, e);
        EXPECT_EQ(edges.reverse(back), e);
        EXPECT_EQ(all[back].neighbour, row);
        EXPECT_GE(back, edges.begin(all[e].neighbour));
        EXPECT_LT(back, edges.begin(all[e].neighbour) + edges.count(all[e].neighbour));
        EXPECT_EQ(all[back].r, all[e].r);
        for (int c = 0; c < 3; ++c) EXPECT_EQ(all[back].u[c], -all[e].u[c]);
        EXPECT_EQ(all[e].element, edges.element(all[e].neighbour));
      }
  }
}

TEST(Edges, ANeighbourExactlyAtTheCutoffIsNone) {
  System system;
  system.elements = {0, 0};
  system.positions = {0, 0, 0, 0, kCutoff, 0};
  EXPECT_EQ(edges_of(system).size(), 0u);
  system.positions[4] = std::nextafter(kCutoff, 0.0);
  EXPECT_EQ(edges_of(system).size(), 2u);
  system.positions[4] = std::nextafter(kCutoff, 10.0);
  EXPECT_EQ(edges_of(system).size(), 0u);
}

TEST(Edges, AreInTheFilesUnit) {
  const System system = triclinic_box(4, 5.0, 3);
  const Structure structure(system.positions, system.elements, system.cell, kCutoff);
  const EdgeList<double> own = edges_of<double>(structure),
                         scaled = edges_of<double>(structure, 0, {}, 10);
  ASSERT_EQ(scaled.size(), own.size());
  for (std::size_t e = 0; e < own.size(); ++e) {
    EXPECT_NEAR(scaled.edge(0)[e].r, 10 * own.edge(0)[e].r, 1e-12);
    for (int c = 0; c < 3; ++c) EXPECT_NEAR(scaled.edge(0)[e].u[c], own.edge(0)[e].u[c], 1e-14);
  }
}

TEST(Edges, SofteningShortensTheDirection) {
  System system;
  system.elements = {0, 1};
  system.positions = {1, 1, 1, 1, 1, 3};
  const Structure structure(system.positions, system.elements, system.cell, kCutoff);
  const EdgeList<double> edges = edges_of<double>(structure, 0.5);
  EXPECT_EQ(edges.edge(0)->r, 2.0);
  EXPECT_EQ(edges.edge(0)->u[2], 2.0 / 2.5);
  EXPECT_EQ(edges.edge(1)->u[2], -2.0 / 2.5);
}

TEST(Edges, KnowTheirIntervalOfTheTable) {
  const System system = triclinic_box(6, 5.0, 4);
  const Structure structure(system.positions, system.elements, system.cell, kCutoff);
  const SplineGrid grid = {100, kCutoff / 100};
  const EdgeList<double> edges = edges_of<double>(structure, 0.0, grid);
  for (std::size_t e = 0; e < edges.size(); ++e) {
    const Edge<double> &edge = edges.edge(0)[e];
    EXPECT_GE(edge.interval, 0);
    EXPECT_LT(edge.interval, grid.intervals);
    EXPECT_GE(edge.t, 0.0);
    EXPECT_LE(edge.t, 1.0);
    EXPECT_NEAR((edge.interval + edge.t) * grid.spacing, edge.r, 1e-13);
  }
  System pair;
  pair.elements = {0, 0};
  pair.positions = {0, 0, 0, std::nextafter(kCutoff, 0.0), 0, 0};
  const Structure apart(pair.positions, pair.elements, pair.cell, kCutoff);
  const EdgeList<float> last = edges_of<float>(apart, 0.0, grid);
  EXPECT_EQ(last.edge(0)->interval, grid.intervals - 1);
  EXPECT_NEAR(last.edge(0)->t, 1.0, 1e-6);
}

TEST(Edges, LeaveOutStrangersAndUnlistedAtoms) {
  System system = triclinic_box(9, 6.0, 5);
  for (int i = 0; i < 9; i += 3) system.elements[i] = -1;
  const Structure structure(system.positions, system.elements, system.cell, kCutoff);
  NeighbourList list = structure.list();
  const std::vector<int> centres = {8, 3, 2, 5, 4};  // 1 and 7 act no more than the strangers
  list.centre = centres.data();
  list.centres = static_cast<int>(centres.size());
  EdgeList<double> edges;
  edges.build(structure.atoms(), list, kCutoff, 1.0, 0.0, {});
  ASSERT_EQ(edges.rows(), 4);
  const int rows[] = {8, 2, 5, 4};
  for (int row = 0; row < 4; ++row) {
    EXPECT_EQ(edges.atom(row), rows[row]);
    EXPECT_EQ(edges.row_of_atom()[rows[row]], row);
    std::vector<Entry> expected;
    for (const Entry &entry : expected_entries(system, rows[row], 4))
      if (std::count(rows, rows + 4, int(entry[0]))) expected.push_back(entry);
    expect_same(found_entries(edges, row), expected);
  }
  for (const int atom : {0, 1, 3, 6, 7}) EXPECT_EQ(edges.row_of_atom()[atom], -1);
}

TEST(Edges, AListBuiltAgainForgetsTheFormer) {
  const System large = triclinic_box(30, 9.0, 6), small = triclinic_box(3, 2.5, 7);
  const Structure first(large.positions, large.elements, large.cell, kCutoff);
  const Structure second(small.positions, small.elements, small.cell, kCutoff);
  EdgeList<double> edges = edges_of<double>(first);
  edges.build(second.atoms(), second.list(), kCutoff, 1.0, 0.0, {});
  for (int i = 0; i < 3; ++i) expect_same(found_entries(edges, i), expected_entries(small, i, 5));
  edges.build({}, {}, kCutoff, 1.0, 0.0, {});
  EXPECT_EQ(edges.size(), 0u);
  EXPECT_EQ(edges.rows(), 0);
  EXPECT_EQ(edges.largest_count(), 0);
}

}  // namespace
}  // namespace mlff::test
