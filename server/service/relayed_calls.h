// The enrolment service of the process that faces strangers: passes each call on to the coordinator, and its answer
// back. Threads: every method is safe from any thread.
#ifndef TRIBUTARY_SERVER_SERVICE_RELAYED_CALLS_H_
#define TRIBUTARY_SERVER_SERVICE_RELAYED_CALLS_H_

#include <cstdint>
#include <map>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/token_buckets.h"
#include "server/service/connections.h"
#include "server/service/enrolment_relay.h"
#include "tributary/v1/enrolment.grpc.pb.h"

namespace tributary::service {

class RelayedCalls final : public v1::EnrolmentService::CallbackService {
 public:
  struct Options {
    int relay_fd = -1;
    Connections* connections = nullptr;
    const Clock* clock = &Clock::System();
    TokenBuckets::Rate each_site = {.burst = 100, .one_each = absl::Milliseconds(20)};
  };
  explicit RelayedCalls(const Options& options)
      : relay_fd_(options.relay_fd), connections_(*options.connections), rate_(options.each_site, options.clock) {}

  grpc::ServerUnaryReactor* Enrol(grpc::CallbackServerContext* context, const v1::EnrolRequest* request,
                                  v1::EnrolResponse* response) override;
  // What the coordinator says to a call under way; others are passed over.
  void Answer(const RelayedAnswer& answer) TRB_EXCLUDES(mu_);
  // The coordinator is gone: all calls end.
  void EndAll() TRB_EXCLUDES(mu_);

 private:
  struct Call {
    grpc::ServerUnaryReactor* reactor;
    v1::EnrolResponse* response;
    std::string peer;
  };
  absl::Status Begin(const Call& call, const v1::EnrolRequest& request) TRB_EXCLUDES(mu_);

  const int relay_fd_;
  Connections& connections_;
  TokenBuckets rate_;
  Mutex mu_;
  uint64_t next_ TRB_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, Call> calls_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_RELAYED_CALLS_H_
