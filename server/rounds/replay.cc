#include "server/rounds/replay.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/crypto/digest.h"
#include "common/update/update_codec.h"
#include "server/rounds/aggregation.h"

namespace tributary::rounds {
namespace {

// Whose updates are not there any more.
std::vector<std::string> Missing(const std::vector<v1::Contribution>& rows, const storage::BlobStore& blobs) {
  std::vector<std::string> clients;
  for (const v1::Contribution& row : rows) {
    if (row.state() == "accepted" && !blobs.Contains(row.update_sha256())) clients.push_back(row.client());
  }
  return clients;
}

void Fail(v1::ReplayedRound* out, const char* state, const std::string& reason) {
  out->set_state(state);
  out->set_reason(reason);
}

}  // namespace

absl::StatusOr<v1::ReplayedRound> ReplayRound(const RunSpec& spec, const RecordedRound& recorded, bool may_be_gone,
                                              storage::BlobStore* blobs, const std::function<bool()>& cancelled) {
  v1::ReplayedRound out;
  out.set_round(recorded.round.round());
  out.set_model_sha256(recorded.round.model_sha256());
  out.set_updates(recorded.round.accepted());
  const std::vector<std::string> missing = Missing(recorded.contributions, *blobs);
  if (!missing.empty()) {
    Fail(&out, may_be_gone ? "not_replayable" : "failed",
         absl::StrCat(missing.size(), " of its ", out.updates(), " updates ",
                      may_be_gone ? "were deleted, as keep_updates says" : "are missing", " (the first: client ",
                      missing.front(), ")"));
    return out;
  }
  const absl::StatusOr<RoundSum::Model> made =
      RoundSum(spec, blobs).MakeModel(recorded.round.base_model_sha256(), recorded.contributions, cancelled);
  if (absl::IsCancelled(made.status())) return made.status();
  if (!made.ok()) {
    Fail(&out, "failed", std::string(made.status().message()));
    return out;
  }
  out.set_replayed_model_sha256(crypto::Sha256Hex(update::EncodeParameters(made->next)));
  if (out.replayed_model_sha256() == out.model_sha256()) {
    out.set_state("equal");
  } else {
    Fail(&out, "differs", "its updates and weights give another model than the one that was recorded");
  }
  return out;
}

}  // namespace tributary::rounds
