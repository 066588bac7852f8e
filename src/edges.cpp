#include "edges.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mlff {

namespace {

/// One of two opposite vectors, always the same.
bool is_forward(const double *d) {
  if (d[2] != 0.0) return d[2] > 0.0;
  if (d[1] != 0.0) return d[1] > 0.0;
  return d[0] > 0.0;
}

}  // namespace

template <class Real>
void EdgeList<Real>::number_rows(const Atoms &atoms, const NeighbourList &list) {
  row_of_atom_.assign(atoms.total, -1);
  atom_.clear();
  element_.clear();
  const auto append = [&](int atom) {
    row_of_atom_[atom] = static_cast<int>(atom_.size());
    atom_.push_back(atom);
    element_.push_back(atoms.elements[atom]);
  };
  for (int k = 0; k < list.centres; ++k)
    if (atoms.elements[list.centre[k]] >= 0) append(list.centre[k]);
  local_rows_ = static_cast<int>(atom_.size());
  for (int i = atoms.local; i < atoms.total; ++i) {
    if (atoms.elements[i] < 0) continue;
    if (atoms.owner[i] < 0)
      append(i);
    else
      row_of_atom_[i] = row_of_atom_[atoms.owner[i]];
  }
}

template <class Real>
void EdgeList<Real>::check_positions(const Atoms &atoms) const {
  for (int row = 0; row < local_rows_; ++row) {
    const double *x = atoms.positions[atom_[row]];
    if (!std::isfinite(x[0] + x[1] + x[2]))
      throw NonFiniteError("the position of an atom is not a number", atom_[row]);
  }
}

template <class Real>
template <class Visit>
void EdgeList<Real>::each_pair(const Atoms &atoms, const NeighbourList &list, double cutoff,
                               double length_scale, Visit visit) const {
  const double limit = cutoff / length_scale, limit2 = limit * limit;
  for (int row = 0; row < local_rows_; ++row) {
    const int i = atom_[row];
    const double *xi = atoms.positions[i];
    for (int k = 0; k < list.count[i]; ++k) {
      const int j = list.neighbours[i][k] & list.mask, neighbour = row_of_atom_[j];
      if (neighbour < row) continue;  // also -1; the pair is visited from the neighbour's side
      const double *xj = atoms.positions[j];
      double d[3] = {xj[0] - xi[0], xj[1] - xi[1], xj[2] - xi[2]};
      const double r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
      if (!(r2 < limit2)) continue;
      if (neighbour == row && !is_forward(d)) continue;
      if (!(r2 > 0.0)) throw NonFiniteError("two atoms are on the same spot", i);
      for (double &x : d) x *= length_scale;
      visit(row, neighbour, d, std::sqrt(r2) * length_scale);
    }
  }
}

/// `length` divides the vector: r + softening, negative for the opposite direction.
template <class Real>
void EdgeList<Real>::place(int at, int neighbour, const double *d, double r, double length,
                           const SplineGrid &grid) {
  Edge<Real> &edge = edge_[at];
  edge.neighbour = neighbour;
  edge.element = element_[neighbour];
  edge.r = static_cast<Real>(r);
  for (int c = 0; c < 3; ++c) edge.u[c] = static_cast<Real>(d[c] / length);
  if (grid.intervals == 0) return;
  const double x = r / grid.spacing;
  edge.interval = std::min(static_cast<int>(x), grid.intervals - 1);
  edge.t = static_cast<Real>(x - edge.interval);
}

template <class Real>
void EdgeList<Real>::build(const Atoms &atoms, const NeighbourList &list, double cutoff,
                           double length_scale, double softening, const SplineGrid &grid) {
  number_rows(atoms, list);
  check_positions(atoms);
  offset_.assign(local_rows_ + 1, 0);
  each_pair(atoms, list, cutoff, length_scale, [&](int row, int neighbour, const double *, double) {
    ++offset_[row + 1];
    if (neighbour < local_rows_) ++offset_[neighbour + 1];
  });
  largest_count_ = *std::max_element(offset_.begin(), offset_.end());
  for (int row = 0; row < local_rows_; ++row) offset_[row + 1] += offset_[row];

  edge_.resize(size());
  reverse_.resize(size());
  cursor_.assign(offset_.begin(), offset_.end() - 1);
  each_pair(atoms, list, cutoff, length_scale,
            [&](int row, int neighbour, const double *d, double r) {
              const int there = cursor_[row]++;
              place(there, neighbour, d, r, r + softening, grid);
              reverse_[there] = -1;
              if (neighbour >= local_rows_) return;
              const int back = cursor_[neighbour]++;
              place(back, row, d, r, -(r + softening), grid);
              reverse_[there] = back;
              reverse_[back] = there;
            });
}

template <class Real>
std::size_t EdgeList<Real>::bytes() const {
  const std::size_t integers = atom_.capacity() + element_.capacity() + row_of_atom_.capacity() +
                               offset_.capacity() + cursor_.capacity();
  return edge_.bytes() + reverse_.bytes() + integers * sizeof(int);
}

template class EdgeList<float>;
template class EdgeList<double>;

}  // namespace mlff
