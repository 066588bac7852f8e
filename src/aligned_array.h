// A grow-only array aligned for the widest vectors.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace mlff {

/// Numbers without initial values; resize() keeps the memory when it suffices and else drops the
/// content.
template <class T>
class AlignedArray {
 public:
  void resize(std::size_t size) {
    if (size > capacity_) {
      data_.reset();
      data_.reset(static_cast<T *>(::operator new(size * sizeof(T), kAlignment)));
      capacity_ = size;
    }
  }
  T *data() { return data_.get(); }
  const T *data() const { return data_.get(); }
  T &operator[](std::size_t k) { return data_.get()[k]; }
  const T &operator[](std::size_t k) const { return data_.get()[k]; }
  std::size_t bytes() const { return capacity_ * sizeof(T); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T *p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t capacity_ = 0;
};

}  // namespace mlff
