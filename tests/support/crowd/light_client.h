// One light client: a real certificate, a real session, real signed uploads, and a delta that is made up in no time.
// What it sends for a task depends on its name and the round alone, so a round of such clients can be repeated to the
// bit.
//
// Threads: Connect, Beat, Upload and Stop from any thread, one at a time a client; gRPC's threads call the Listener.
// Ownership: the Listener is borrowed and outlives the client; a session lives until its OnEnded has been called.
#ifndef TRIBUTARY_TESTS_SUPPORT_CROWD_LIGHT_CLIENT_H_
#define TRIBUTARY_TESTS_SUPPORT_CROWD_LIGHT_CLIENT_H_

#include <grpc/grpc_security.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "tests/support/crowd/members.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::crowd {

class LightClient {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // `resumed`: on a connection that took up an earlier one's TLS session.
    virtual void OnWelcome(LightClient* client, const v1::Welcome& welcome, bool resumed) = 0;
    virtual void OnTask(LightClient* client, const v1::TrainTask& task) = 0;
    virtual void OnCancel(LightClient* client, const v1::CancelTask& cancel) = 0;
    virtual void OnEnded(LightClient* client, const grpc::Status& status) = 0;
  };
  // What the client says of its data.
  struct Data {
    uint64_t examples = 100;
    std::vector<uint32_t> shape = {28, 28, 1};
    uint32_t classes = 10;
  };

  LightClient(const Members& all, const Member& member, std::string endpoint, Data data, Listener* listener);
  ~LightClient();

  const std::string& name() const { return member_.name; }
  // Opens a session on a channel of its own, false where one is open; `fresh` makes a new connection. Each session ends
  // with one OnEnded, the last that it does.
  bool Connect(bool fresh);
  void Beat();
  void Answer(const v1::TrainTask& task, bool accepted, const std::string& code);
  // Hangs up; OnEnded follows if a session was open.
  void Stop();

  // What an upload ended with.
  struct Uploaded {
    enum class Kind { kReceipt, kNotNeeded, kRejected, kRetry } kind = Kind::kRetry;
    std::string detail;   // code of a refusal, or the transport error
    std::string receipt;  // serialised
    std::string update_sha256;
    uint64_t retry_after_ms = 0;
  };
  // Announces and sends the update of `task`: `parameters` floats. Stops after `cut_after` bytes, as a client that
  // dies.
  Uploaded Upload(const v1::TrainTask& task, uint64_t parameters, uint64_t cut_after = ~uint64_t{0});
  absl::Status Download(const v1::TrainTask& task, uint64_t* bytes);

 private:
  class Session;
  v1::BeginUploadRequest Announce(const v1::TrainTask& task, const class Delta& delta) const;
  std::shared_ptr<v1::FederationService::Stub> stub() const;

  const Member& member_;
  const std::string federation_, endpoint_;
  const Data data_;
  Listener* const listener_;
  struct FreeSessions {
    void operator()(grpc_ssl_session_cache* cache) const { grpc_ssl_session_cache_destroy(cache); }
  };
  std::unique_ptr<grpc_ssl_session_cache, FreeSessions> sessions_;  // its own: a TLS session is of one certificate
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::string certificate_sha256_;
  mutable Mutex mu_;
  std::shared_ptr<v1::FederationService::Stub> stub_ TRB_GUARDED_BY(mu_);
  Session* session_ TRB_GUARDED_BY(mu_) = nullptr;  // owns itself, tells us when it ends
  uint64_t beats_ TRB_GUARDED_BY(mu_) = 0;
};

}  // namespace tributary::crowd

#endif  // TRIBUTARY_TESTS_SUPPORT_CROWD_LIGHT_CLIENT_H_
