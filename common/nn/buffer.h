// Memory that a network works in: zeroed, on a cache line's boundary, of a size fixed at construction. All that a
// network asks for goes through here, so that it can be counted before it is asked for. Inside common/nn only.
#ifndef TRIBUTARY_COMMON_NN_BUFFER_H_
#define TRIBUTARY_COMMON_NN_BUFFER_H_

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace tributary::nn {

// While one lives, buffers made on this thread hold no memory (data() is null) and are only counted. One at a time.
class MemoryMeter {
 public:
  MemoryMeter();
  ~MemoryMeter();
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;
  double bytes() const { return bytes_; }
  static MemoryMeter* current();  // null: buffers are real
  void Add(double bytes) { bytes_ += bytes; }

 private:
  double bytes_ = 0;  // in double: what is asked for may be absurd
};

template <class T>
class Buffer {
 public:
  Buffer() = default;
  // Throws bad_alloc (caught in Network::Create).
  explicit Buffer(size_t n) : size_(n) {
    if (n == 0) return;
    if (MemoryMeter::current() != nullptr) {
      MemoryMeter::current()->Add(static_cast<double>(n) * sizeof(T));
      return;
    }
    const size_t bytes = (n * sizeof(T) + 63) / 64 * 64;
    data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(static_cast<void*>(data_.get()), 0, bytes);
  }
  T* data() const { return data_.get(); }  // what a const owner points at may change, as with unique_ptr
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

using Floats = Buffer<float>;

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_BUFFER_H_
