// Trains what the board hands out, one task at a time: base model, local training, signature, outbox. No RPC is open
// while it trains.
// Threads: Run belongs to one thread; it returns after TaskBoard::Stop.
#ifndef TRIBUTARY_CLIENT_SESSION_TRAINER_H_
#define TRIBUTARY_CLIENT_SESSION_TRAINER_H_

#include <functional>
#include <string>

#include "client/session/backoff.h"
#include "client/session/coordinator_link.h"
#include "client/session/data_holder.h"
#include "client/session/model_cache.h"
#include "client/session/outbox.h"
#include "client/session/task_board.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/key.h"
#include "common/crypto/trust_list.h"
#include "common/learning/local_trainer.h"

namespace tributary::session {

// Who signs: the key and certificate that are installed now.
struct Signer {
  crypto::PrivateKey key;
  crypto::Certificate certificate;
};
using SignerSource = std::function<absl::StatusOr<Signer>()>;

// Fills record.certificate_sha256 and the signature.
absl::Status Sign(const SignerSource& source, OutboxEntry* entry);

class Trainer {
 public:
  using TrainFunction = std::function<absl::StatusOr<learning::LocalResult>(const learning::LocalTask&)>;
  // Borrowed; must outlive this.
  struct Parts {
    TaskBoard* board = nullptr;
    CoordinatorLink* link = nullptr;
    ModelCache* cache = nullptr;
    DataHolder* data = nullptr;
    Outbox* outbox = nullptr;
    const crypto::CurrentTrust* trust = nullptr;
    const Clock* clock = nullptr;
    SignerSource signer;
    int threads = 1;
    std::function<void()> announce;  // called when the data are not what the coordinator was told; may be empty
    TrainFunction train = learning::TrainLocally;  // another one in tests
  };
  explicit Trainer(Parts parts) : parts_(std::move(parts)) {}

  void Run();

 private:
  struct Model {
    std::string bytes;
    uint64_t download_ms = 0;
  };
  absl::Status Work(const TrainJob& job);
  absl::StatusOr<Model> FetchModel(const TrainJob& job);
  absl::StatusOr<learning::LocalResult> TrainOn(const TrainJob& job, std::string model_bytes);
  absl::Status OnceThereIsRoom(const TrainJob& job, const std::function<absl::Status()>& write);
  absl::Status Deliver(const TrainJob& job, const learning::LocalResult& result, uint64_t download_ms);
  void End(const TrainJob& job, const absl::Status& status);

  const Parts parts_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_TRAINER_H_
