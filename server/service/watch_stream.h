// A run's events down a server stream: the run as it is now, then every change, until it ends. A watcher that reads
// slowly gets the newest state of each round, not every step on the way.
// Life: keeps itself alive until gRPC is done. Threads: events come from the run's controller, under its rules (no
// blocking, no calling back).
#ifndef TRIBUTARY_SERVER_SERVICE_WATCH_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_WATCH_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/mutex.h"
#include "server/rounds/run_manager.h"
#include "server/rounds/store.h"
#include "server/service/gate.h"
#include "server/service/outgoing_stream.h"

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
                            const v1::WatchRunRequest& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Outgoing = OutgoingStream<grpc::ServerWriteReactor<v1::RunEvent>, v1::RunEvent>;
  static constexpr size_t kMaxQueued = 64, kMaxQueuedBytes = 4 << 20;
  WatchStream(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
              v1::WatchRunRequest request)
      : parts_(parts),
        method_(method),
        request_(std::move(request)),
        out_(this, context, {kMaxQueued, kMaxQueuedBytes, false}) {}
  absl::Status Begin(const rpc::Peer& peer);
  void Cancel() TRB_EXCLUDES(mu_);
  bool Take(const v1::RunEvent& event) TRB_EXCLUDES(mu_);
  void End(const absl::Status& status) TRB_EXCLUDES(mu_);

  const Parts parts_;
  const std::string_view method_;
  const v1::WatchRunRequest request_;
  std::shared_ptr<WatchStream> self_;  // until OnDone

  Mutex mu_;
  Outgoing out_ TRB_GUARDED_BY(mu_);
  StreamPass pass_ TRB_GUARDED_BY(mu_);
  uint64_t watch_ TRB_GUARDED_BY(mu_) = 0;  // the manager's token
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_WATCH_STREAM_H_
