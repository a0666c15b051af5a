// What strangers' sites (connections.h, SiteOf) owe for connections that came to nothing by their fault: a handshake
// that failed, a call that was refused. Each costs us a handshake, so a site that has many of them may try fewer at
// once, until time has made up for it. Who gets in owes nothing, so thousands of clients behind one address never pay.
// A debt is kept as the time that pays it off, so that it is paid faster when `one_each`, what one bad ending takes to
// be forgiven, becomes shorter. Pure: the time is an argument (monotonic). Threads: those of the owner. Memory: one
// entry a site that owes, until it owes no more; beyond kMostSites the entries are given up.
#ifndef TRIBUTARY_SERVER_SERVICE_BAD_ENDINGS_H_
#define TRIBUTARY_SERVER_SERVICE_BAD_ENDINGS_H_

#include <cstddef>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"

namespace tributary::service {

class BadEndings {
 public:
  static constexpr size_t kMostSites = 1 << 16;

  // `count` more; no site ever owes more than `most`.
  void Add(const std::string& site, size_t count, size_t most, absl::Duration one_each, absl::Duration now);
  // How many are not forgiven yet.
  size_t Of(const std::string& site, absl::Duration one_each, absl::Duration now) const;
  // Lets go of what is forgiven.
  void Sweep(absl::Duration now);
  size_t sites() const { return until_.size(); }

 private:
  std::unordered_map<std::string, absl::Duration> until_;  // when all of a site's are forgiven
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_BAD_ENDINGS_H_
