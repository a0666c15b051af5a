// Updates from announcement to receipt: all checks, in order, and what is recorded when one fails. Free of gRPC.
// Threads: every method is safe from any thread; all wait for the disk. What Options borrows outlives the intake.
#ifndef TRIBUTARY_SERVER_SERVICE_UPDATE_INTAKE_H_
#define TRIBUTARY_SERVER_SERVICE_UPDATE_INTAKE_H_

#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/storage/blob_store.h"
#include "server/identity/identity_service.h"
#include "server/rounds/run_manager.h"
#include "server/rounds/store.h"
#include "server/service/upload_store.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::service {

class UpdateIntake {
 public:
  struct Options {
    identity::IdentityService* identities = nullptr;
    rounds::RunManager* runs = nullptr;
    rounds::RunStore* store = nullptr;
    storage::BlobStore* blobs = nullptr;
    UploadStore* uploads = nullptr;
    const Clock* clock = &Clock::System();
    std::string federation;  // id
  };
  explicit UpdateIntake(Options options) : options_(std::move(options)) {}

  // What BeginUpload answers. An update that is there already (receipted, or complete on disk) is answered at once.
  absl::StatusOr<v1::BeginUploadResponse> Announce(const identity::Principal& caller,
                                                   const v1::BeginUploadRequest& sent);
  // NOT_FOUND: announce it first.
  absl::StatusOr<std::shared_ptr<Upload>> Find(const identity::Principal& caller, const std::string& upload_id);
  // All bytes of `stream` are there: digest, content, blob, acceptance.
  absl::StatusOr<v1::UploadUpdateResponse> Complete(const identity::Principal& caller, Upload* upload, uint64_t stream,
                                                    uint64_t upload_ms);
  // Turns a rejection into the answer and records it. `fault` carries a code (common/update/rejection.h).
  v1::Rejected Refuse(const identity::Principal& caller, const v1::UpdateRecord& record, const absl::Status& fault,
                      uint64_t bytes);

 private:
  absl::StatusOr<rounds::RunManager::TaskTerms> FindTask(const identity::Principal& caller, const std::string& task_id);
  absl::Status CheckAll(const identity::Principal& caller, const v1::BeginUploadRequest& request,
                        const rounds::RunManager::TaskTerms& terms);
  absl::StatusOr<v1::BeginUploadResponse> Ticket(const identity::Principal& caller, AnnouncedUpdate update);
  absl::StatusOr<v1::UploadUpdateResponse> Accept(const identity::Principal& caller, Upload* upload,
                                                  uint64_t upload_ms);
  v1::NotNeeded WhyNotNeeded(const identity::Principal& caller, const std::string& task_id);

  const Options options_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPDATE_INTAKE_H_
