// The device's network behind the host's interface.
#include <mutex>
#include <vector>

#include "device_array.h"
#include "device_network.h"

namespace mlff {

namespace {

using Space = Kokkos::DefaultExecutionSpace;

/// Copies between the host and an array of the device.
template <class T>
class Mirror {
 public:
  std::vector<T> host;
  void to_device() { device_.assign(host); }
  void to_host() {
    if (host.empty()) return;
    const auto part = Kokkos::subview(device_.view(), std::make_pair(std::size_t(0), host.size()));
    const auto mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), part);
    for (std::size_t k = 0; k < host.size(); ++k) host[k] = mirror(k);
  }
  T *data() const { return device_.data(); }

 private:
  device::Array<T, Space> device_{"mlff::mirror"};
};

/// Threads share the device's default instance, one at a time.
std::mutex device_in_use;

/// A halo whose rows are on the host. Gives the device to other threads while it waits for them.
class CopyingHalo : public DeviceHalo {
 public:
  CopyingHalo(Halo &halo, int total, std::unique_lock<std::mutex> &lock)
      : halo_(halo), lock_(lock), row_of_atom_(total) {}

  void exchange(void *rows, std::size_t row_bytes, const int *row_of_atom) override {
    int most = -1;
    if (!row_of_atom_.empty()) copy(row_of_atom_.data(), row_of_atom, row_of_atom_.size());
    for (const int row : row_of_atom_) most = std::max(most, row);
    const std::size_t words = (most + 1) * row_bytes / sizeof(double);
    rows_.resize(words);
    if (words > 0) copy(rows_.data(), static_cast<double *>(rows), words);
    lock_.unlock();
    halo_.exchange(rows_.data(), row_bytes, row_of_atom_.data());
    lock_.lock();
    if (words > 0) copy_back(static_cast<double *>(rows), rows_.data(), words);
  }

 private:
  template <class T, class MemorySpace>
  using Unmanaged = Kokkos::View<T *, MemorySpace, Kokkos::MemoryUnmanaged>;

  template <class T>
  static void copy(T *host, const T *device, std::size_t n) {
    Kokkos::deep_copy(Unmanaged<T, Kokkos::HostSpace>(host, n),
                      Unmanaged<const T, Space::memory_space>(device, n));
  }
  template <class T>
  static void copy_back(T *device, const T *host, std::size_t n) {
    Kokkos::deep_copy(Unmanaged<T, Space::memory_space>(device, n),
                      Unmanaged<const T, Kokkos::HostSpace>(host, n));
  }

  Halo &halo_;
  std::unique_lock<std::mutex> &lock_;
  std::vector<int> row_of_atom_;
  std::vector<double> rows_;
};

class KokkosNetwork : public Network {
 public:
  KokkosNetwork(const Potential &potential, const NetworkOptions &options, DeviceKernels kernels) {
    const std::lock_guard<std::mutex> lock(device_in_use);
    network_ = create_device_network<Space>(potential, options, kernels);
    const std::size_t elements =
        options.elements.empty() ? potential.elements.size() : options.elements.size();
    for (std::size_t k = 0; k <= elements; ++k) element_of_type_.host.push_back(int(k) - 1);
    element_of_type_.to_device();
  }
  ~KokkosNetwork() override {
    const std::lock_guard<std::mutex> lock(device_in_use);
    network_.reset();
    for (Mirror<int> *ints :
         {&element_of_type_, &types_, &owner_, &tags_, &centre_, &count_, &neighbours_})
      *ints = {};
    for (Mirror<double> *numbers : {&positions_, &forces_, &energies_, &virial_}) *numbers = {};
  }

  void compute(const Atoms &atoms, const NeighbourList &list, Halo *halo,
               Results &results) override {
    std::unique_lock<std::mutex> lock(device_in_use);
    copy_in(atoms, list, results);
    DeviceAtoms device_atoms{atoms.local,
                             atoms.total,
                             positions_.data(),
                             types_.data(),
                             element_of_type_.data(),
                             atoms.owner ? owner_.data() : nullptr,
                             tags_.data(),
                             changed_};
    DeviceNeighbourList device_list{
        list.centres, centre_.data(), count_.data(), neighbours_.data(), stride_, 1, list.mask};
    DeviceResults device_results;
    device_results.want_energy = true;
    device_results.want_virial = results.want_virial;
    if (results.forces) device_results.forces = forces_.data();
    if (results.atomic_energies) device_results.atomic_energies = energies_.data();
    if (results.atomic_virial) device_results.atomic_virial = virial_.data();
    if (halo) {
      CopyingHalo device_halo(*halo, atoms.total, lock);
      network_->compute(device_atoms, device_list, &device_halo, device_results);
    } else {
      network_->compute(device_atoms, device_list, nullptr, device_results);
    }
    results.energy = device_results.energy;
    std::copy_n(device_results.virial, 6, results.virial);
    copy_out(atoms.total, results);
  }
  double cutoff() const override { return network_->cutoff(); }
  std::size_t halo_bytes() const override { return network_->halo_bytes(); }
  std::size_t workspace_bytes() const override { return network_->workspace_bytes(); }

 private:
  void copy_in(const Atoms &atoms, const NeighbourList &list, const Results &results) {
    const std::size_t total = atoms.total;
    positions_.host.clear();
    for (std::size_t i = 0; i < total; ++i)
      positions_.host.insert(positions_.host.end(), atoms.positions[i], atoms.positions[i] + 3);
    std::vector<int> types(atoms.elements, atoms.elements + total), owner, count(atoms.local, 0);
    for (int &type : types) ++type;  // type 0: not ours
    if (atoms.owner) owner.assign(atoms.owner, atoms.owner + total);
    std::vector<int> tags(total);
    for (std::size_t i = 0; i < total; ++i) tags[i] = atoms.owner && owner[i] >= 0 ? owner[i] : i;
    const std::vector<int> centre(list.centre, list.centre + list.centres);
    stride_ = 1;
    for (const int i : centre) {
      count[i] = list.count[i];
      stride_ = std::max(stride_, std::size_t(list.count[i]));
    }
    std::vector<int> neighbours(stride_ * atoms.local, 0);
    for (const int i : centre)
      std::copy_n(list.neighbours[i], list.count[i], neighbours.begin() + stride_ * i);
    changed_ = local_ != atoms.local || mask_ != list.mask;
    local_ = atoms.local;
    mask_ = list.mask;
    replace(types_, types);
    replace(owner_, owner);
    replace(tags_, tags);
    replace(centre_, centre);
    replace(count_, count);
    replace(neighbours_, neighbours);
    forces_.host.assign(results.forces ? 3 * total : 0, 0.0);
    energies_.host.assign(results.atomic_energies ? total : 0, 0.0);
    virial_.host.assign(results.atomic_virial ? 9 * total : 0, 0.0);
    for (Mirror<double> *numbers : {&positions_, &forces_, &energies_, &virial_})
      numbers->to_device();
  }
  void replace(Mirror<int> &mirror, const std::vector<int> &values) {
    if (mirror.host == values) return;
    mirror.host = values;
    mirror.to_device();
    changed_ = true;
  }
  void copy_out(std::size_t total, Results &results) {
    for (Mirror<double> *numbers : {&forces_, &energies_, &virial_}) numbers->to_host();
    for (std::size_t i = 0; i < total; ++i) {
      for (int c = 0; results.forces && c < 3; ++c) results.forces[i][c] += forces_.host[3 * i + c];
      if (results.atomic_energies) results.atomic_energies[i] += energies_.host[i];
      for (int k = 0; results.atomic_virial && k < 9; ++k)
        results.atomic_virial[i][k] += virial_.host[9 * i + k];
    }
  }

  std::unique_ptr<DeviceNetwork> network_;
  Mirror<int> element_of_type_, types_, owner_, tags_, centre_, count_, neighbours_;
  Mirror<double> positions_, forces_, energies_, virial_;
  std::size_t stride_ = 1;
  int local_ = -1, mask_ = ~0;
  bool changed_ = true;  ///< anything but positions, since the last call
};

}  // namespace

std::unique_ptr<Network> create_kokkos_network(const Potential &potential,
                                               const NetworkOptions &options,
                                               DeviceKernels kernels) {
  return std::make_unique<KokkosNetwork>(potential, options, kernels);
}

}  // namespace mlff
