// A run's events down a server stream: the run as it is now, then every change, until it ends. A watcher that reads
// slowly gets the newest state of each round, not every step on the way.
// Life: keeps itself alive until gRPC is done. Threads: events come from the run's controller, under its rules (no
// blocking, no calling back).
#ifndef TRIBUTARY_SERVER_SERVICE_WATCH_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_WATCH_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/mutex.h"
#include "server/rounds/run_manager.h"
#include "server/rounds/store.h"
#include "server/service/gate.h"

namespace tributary::service {

class WatchStream : public grpc::ServerWriteReactor<v1::RunEvent>, public std::enable_shared_from_this<WatchStream> {
 public:
  // Borrowed; they outlive the stream.
  struct Parts {
    Gate* gate = nullptr;
    rounds::RunManager* runs = nullptr;
    rounds::RunStore* store = nullptr;
  };
  static WatchStream* Start(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
                            const std::string& run);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchStream(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method, std::string run)
      : parts_(parts), method_(method), run_(std::move(run)), context_(context) {}
  absl::Status Begin(const std::string& peer_pem);
  void Cancel() TRB_EXCLUDES(mu_);
  bool Take(const v1::RunEvent& event) TRB_EXCLUDES(mu_);
  void End(const absl::Status& status) TRB_EXCLUDES(mu_);
  void PumpLocked() TRB_REQUIRES(mu_);

  const Parts parts_;
  const std::string_view method_;
  const std::string run_;
  std::shared_ptr<WatchStream> self_;  // until OnDone

  Mutex mu_;
  grpc::CallbackServerContext* context_ TRB_GUARDED_BY(mu_);  // gRPC's; null once the stream is over
  StreamPass pass_ TRB_GUARDED_BY(mu_);
  uint64_t watch_ TRB_GUARDED_BY(mu_) = 0;  // the manager's token
  std::deque<v1::RunEvent> queue_ TRB_GUARDED_BY(mu_);
  v1::RunEvent outgoing_ TRB_GUARDED_BY(mu_);
  bool writing_ TRB_GUARDED_BY(mu_) = false;
  bool ending_ TRB_GUARDED_BY(mu_) = false;
  bool finished_ TRB_GUARDED_BY(mu_) = false;
  bool done_ TRB_GUARDED_BY(mu_) = false;
  absl::Status final_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_WATCH_STREAM_H_
