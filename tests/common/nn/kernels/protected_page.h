// Memory whose bounds the machine itself guards: a page before it and a page after it that nobody may touch.
#ifndef TRIBUTARY_TESTS_COMMON_NN_KERNELS_PROTECTED_PAGE_H_
#define TRIBUTARY_TESTS_COMMON_NN_KERNELS_PROTECTED_PAGE_H_

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace tributary::nn {

// `bytes` bytes that begin right after a protected page, or end right before one. A read or write outside is a
// segmentation fault; on the other side it is one from the page's border on.
class FencedBytes {
 public:
  enum class Side { kBegin, kEnd };

  FencedBytes(size_t bytes, Side side) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t inside = (bytes + page - 1) / page * page;
    size_ = inside + 2 * page;
    void* all = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(MAP_FAILED, all);
    all_ = static_cast<uint8_t*>(all);
    if (inside > 0) {
      EXPECT_EQ(0, mprotect(all_ + page, inside, PROT_READ | PROT_WRITE));
    }
    data_ = all_ + page + (side == Side::kEnd ? inside - bytes : 0);
  }
  ~FencedBytes() { munmap(all_, size_); }
  FencedBytes(const FencedBytes&) = delete;
  FencedBytes& operator=(const FencedBytes&) = delete;

  uint8_t* data() const { return data_; }

 private:
  uint8_t* all_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_KERNELS_PROTECTED_PAGE_H_
