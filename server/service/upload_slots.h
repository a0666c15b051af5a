// How many uploads are read at once, in all and for one client: the others wait unread, held back by HTTP/2's flow
// control, or are told to come back.
// Threads: every method is safe from any thread. An upload's functions run outside the lock: `go` on the thread that
// made room, `check` on the one that calls CheckAll.
#ifndef TRIBUTARY_SERVER_SERVICE_UPLOAD_SLOTS_H_
#define TRIBUTARY_SERVER_SERVICE_UPLOAD_SLOTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace tributary::service {

class UploadSlots {
 public:
  struct Limits {
    size_t reading = 8;
    size_t waiting = 256;
    // Reading and waiting together: one for the upload, one for its retry while the broken one is not noticed yet.
    size_t each_client = 2;
  };
  struct Upload {
    uint64_t ticket = 0;  // names it; the caller's, unique
    std::string client;   // id
    // Called once, when there is room.
    std::function<void()> go;
    // Called now and then while it holds a slot: ends itself when its peer has been silent for too long, or has had it
    // for too long while others wait.
    std::function<void(bool others_wait)> check;
  };

  explicit UploadSlots(const Limits& limits) : limits_(limits) {}

  // OK: `go` is called now or when there is room, and Leave ends it, also while it waits. RESOURCE_EXHAUSTED: come back
  // later.
  absl::Status Enter(Upload upload) TRB_EXCLUDES(mu_);
  // Unknown tickets are fine.
  void Leave(uint64_t ticket) TRB_EXCLUDES(mu_);
  void CheckAll() TRB_EXCLUDES(mu_);
  // 0: no limit. From now on; what has entered stays.
  void SetEachClient(int uploads) TRB_EXCLUDES(mu_);
  // An upload of this client would be told to come back.
  bool FullFor(const std::string& client) TRB_EXCLUDES(mu_);

 private:
  absl::Status RoomLocked(const std::string& client) const TRB_REQUIRES(mu_);
  // Out of the readers or the waiting; null when it is in neither.
  std::optional<Upload> TakeLocked(uint64_t ticket) TRB_REQUIRES(mu_);

  Mutex mu_;
  Limits limits_ TRB_GUARDED_BY(mu_);
  std::map<uint64_t, Upload> reading_ TRB_GUARDED_BY(mu_);       // by ticket
  std::deque<Upload> waiting_ TRB_GUARDED_BY(mu_);               // oldest first
  std::map<std::string, size_t> of_client_ TRB_GUARDED_BY(mu_);  // reading and waiting; none is 0
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPLOAD_SLOTS_H_
