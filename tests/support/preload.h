// What libraries that are preloaded (LD_PRELOAD) to stand before libc's functions have in common.
#ifndef TRIBUTARY_TESTS_SUPPORT_PRELOAD_H_
#define TRIBUTARY_TESTS_SUPPORT_PRELOAD_H_

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace tributary::preload {

// The function that ours of this name hides; the second argument gives its type.
template <class F>
F* Next(const char* name, F*) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

// Of an open file; empty when there is none.
inline std::string PathOf(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : "";
}

}  // namespace tributary::preload

#endif  // TRIBUTARY_TESTS_SUPPORT_PRELOAD_H_
