#include "halo_kokkos.h"

#include "instantiate.h"

namespace mlff {

namespace {

template <class Space>
using Range = Kokkos::RangePolicy<Space, Kokkos::IndexType<int>>;

// buffer [n, words] = rows of atoms; 0 for what is not an atom of the network
struct PackRows {
  const int *atoms;
  const int *row_of_atom;
  const double *rows;
  int words;
  double *buffer;

  KOKKOS_FUNCTION void operator()(const int k) const {
    const int row = row_of_atom[atoms[k / words]];
    buffer[k] = row >= 0 ? rows[static_cast<std::size_t>(row) * words + k % words] : 0.0;
  }
};

// Rows of ghosts from `first` on. An image of an own atom shares that one's row, which is left
// alone.
struct UnpackRows {
  int first;
  const int *row_of_atom;
  const int *owner;
  const double *buffer;
  int words;
  double *rows;

  KOKKOS_FUNCTION void operator()(const int k) const {
    const int atom = first + k / words, row = row_of_atom[atom];
    if (row >= 0 && owner[atom] < 0)
      rows[static_cast<std::size_t>(row) * words + k % words] = buffer[k];
  }
};

// buffer [n, width] = forces and virial of atoms from `first` on
struct PackSums {
  int first;
  const double *forces;
  const double *virial;
  int force_width, width;
  double *buffer;

  KOKKOS_FUNCTION void operator()(const int k) const {
    const std::size_t atom = first + k / width;
    const int part = k % width;
    buffer[k] = part < force_width ? forces[atom * force_width + part]
                                   : virial[atom * (width - force_width) + part - force_width];
  }
};

struct UnpackSums {
  const int *atoms;  // distinct
  const double *buffer;
  int force_width, width;
  double *forces;
  double *virial;

  KOKKOS_FUNCTION void operator()(const int k) const {
    const std::size_t atom = atoms[k / width];
    const int part = k % width;
    if (part < force_width)
      forces[atom * force_width + part] += buffer[k];
    else
      virial[atom * (width - force_width) + part - force_width] += buffer[k];
  }
};

}  // namespace

template <class Space>
void HaloKokkos<Space>::reserve(std::size_t row_bytes, bool reverse_on_host,
                                LAMMPS_NS::Pair &buffers) {
  reserve_buffers(pair_, buffers, static_cast<int>(row_bytes / sizeof(double)),
                  reverse_on_host ? force_width + virial_width : 0);
}

template <class Space>
void HaloKokkos<Space>::exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) {
  rows_ = static_cast<double *>(rows);
  row_words_ = static_cast<int>(row_bytes / sizeof(double));
  row_of_atom_ = row_of_atom;
  send_to_ghosts(*comm_, pair_, row_words_);
}

template <class Space>
void HaloKokkos<Space>::return_to_owners(double *forces, double *virial) {
  forces_ = forces;
  virial_ = virial;
  send_to_owners(*comm_, pair_, reverse_width());
}

// ---------------------------------------------------------------------- on the device

template <class Space>
int HaloKokkos<Space>::pack_forward(int n, const int *atoms, double *buffer) {
  const int words = n * row_words_;
  Kokkos::parallel_for("mlff::pack_rows", Range<Space>(0, words),
                       PackRows{atoms, row_of_atom_, rows_, row_words_, buffer});
  return words;
}

template <class Space>
void HaloKokkos<Space>::unpack_forward(int n, int first, const double *buffer) {
  Kokkos::parallel_for("mlff::unpack_rows", Range<Space>(0, n * row_words_),
                       UnpackRows{first, row_of_atom_, owner_, buffer, row_words_, rows_});
}

template <class Space>
int HaloKokkos<Space>::pack_reverse(int n, int first, double *buffer) {
  const int words = n * reverse_width();
  Kokkos::parallel_for("mlff::pack_sums", Range<Space>(0, words),
                       PackSums{first, forces_, virial_, force_width, reverse_width(), buffer});
  return words;
}

template <class Space>
void HaloKokkos<Space>::unpack_reverse(int n, const int *atoms, const double *buffer) {
  Kokkos::parallel_for("mlff::unpack_sums", Range<Space>(0, n * reverse_width()),
                       UnpackSums{atoms, buffer, force_width, reverse_width(), forces_, virial_});
}

// ---------------------------------------------------------------------- on the host

template <class Space>
int HaloKokkos<Space>::pack_forward_on_host(int n, const int *atoms, double *buffer) {
  const int words = n * row_words_;
  pack_forward(n, list_on_device(n, atoms), buffer_on_device(words, buffer));
  copy_to_host(words, buffer);
  return words;
}

template <class Space>
void HaloKokkos<Space>::unpack_forward_on_host(int n, int first, const double *buffer) {
  unpack_forward(n, first, copy_to_device(n * row_words_, buffer));
  Space().fence();  // LAMMPS uses the buffer again
}

template <class Space>
int HaloKokkos<Space>::pack_reverse_on_host(int n, int first, double *buffer) {
  const int words = n * reverse_width();
  pack_reverse(n, first, buffer_on_device(words, buffer));
  copy_to_host(words, buffer);
  return words;
}

template <class Space>
void HaloKokkos<Space>::unpack_reverse_on_host(int n, const int *atoms, const double *buffer) {
  const int *list = list_on_device(n, atoms);
  unpack_reverse(n, list, copy_to_device(n * reverse_width(), buffer));
  Space().fence();
}

template <class T>
using OnHost = Kokkos::View<T *, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>;

template <class Space>
const int *HaloKokkos<Space>::list_on_device(int n, const int *atoms) {
  if constexpr (device::is_host<Space>) return atoms;
  list_.reserve(n);
  Kokkos::deep_copy(Kokkos::subview(list_.view(), std::make_pair(0, n)),
                    OnHost<const int>(atoms, n));
  return list_.data();
}

template <class Space>
double *HaloKokkos<Space>::buffer_on_device(int words, double *buffer) {
  if constexpr (device::is_host<Space>) return buffer;
  buffer_.reserve(words);
  return buffer_.data();
}

template <class Space>
void HaloKokkos<Space>::copy_to_host(int words, double *buffer) {
  if constexpr (device::is_host<Space>)
    Space().fence();
  else
    Kokkos::deep_copy(OnHost<double>(buffer, words),
                      Kokkos::subview(buffer_.view(), std::make_pair(0, words)));
}

template <class Space>
const double *HaloKokkos<Space>::copy_to_device(int words, const double *buffer) {
  if constexpr (device::is_host<Space>) return buffer;
  buffer_.reserve(words);
  Kokkos::deep_copy(Kokkos::subview(buffer_.view(), std::make_pair(0, words)),
                    OnHost<const double>(buffer, words));
  return buffer_.data();
}

#define MLFF_INSTANTIATE(Space) template class HaloKokkos<Space>;
MLFF_ON_EACH_SPACE(MLFF_INSTANTIATE)

}  // namespace mlff
