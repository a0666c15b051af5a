// Every streaming call under way, by who makes it: what a revocation or an expired certificate cuts, and a peer that
// does not take what it asked for. Threads: every method is safe from any thread. A `cut` runs under the registry's
// lock: it must not block and must not call back; once Remove has returned it will not run any more.
#ifndef TRIBUTARY_SERVER_SERVICE_LIVE_CALLS_H_
#define TRIBUTARY_SERVER_SERVICE_LIVE_CALLS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace tributary::service {

class LiveCalls {
 public:
  // Ends the call with this status where it still can. `again`: it was told before and is still there, so its peer does
  // not even take the end; cut the connection.
  using Cut = std::function<void(const absl::Status& why, bool again)>;

  uint64_t Add(const std::string& identity, int64_t certificate_not_after_unix_ms, Cut cut) TRB_EXCLUDES(mu_);
  void Remove(uint64_t token) TRB_EXCLUDES(mu_);

  // A message of this call goes out, and has gone out. Unknown tokens are fine.
  void Writing(uint64_t token) TRB_EXCLUDES(mu_);
  void Written(uint64_t token) TRB_EXCLUDES(mu_);

  // How many were cut.
  int CutIdentity(const std::string& identity, const absl::Status& why) TRB_EXCLUDES(mu_);
  int CutExpired(int64_t now_unix_ms) TRB_EXCLUDES(mu_);
  // Those with a message that has not gone out for longer than `limit`; `now` is monotonic. Called now and then: what
  // was begun between two calls counts from the earlier one.
  int CutStuck(absl::Duration now, absl::Duration limit) TRB_EXCLUDES(mu_);
  int CutAll(const absl::Status& why) TRB_EXCLUDES(mu_);
  // Those that were cut before and are still there.
  int CutAgain() TRB_EXCLUDES(mu_);
  int Count() TRB_EXCLUDES(mu_);

 private:
  struct Call {
    std::string identity;
    int64_t not_after_unix_ms;
    Cut cut;
    absl::Status told;  // not OK: it was cut
    absl::Duration writing_since = absl::InfiniteDuration();
  };
  static void CutLocked(Call* call, const absl::Status& why);
  Mutex mu_;
  uint64_t next_ TRB_GUARDED_BY(mu_) = 1;
  absl::Duration now_ TRB_GUARDED_BY(mu_) = absl::ZeroDuration();  // of the last CutStuck
  std::map<uint64_t, Call> calls_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_LIVE_CALLS_H_
