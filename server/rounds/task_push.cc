#include "server/rounds/task_push.h"

#include <utility>

namespace tributary::rounds {

absl::StatusOr<bool> TaskPush::Push(const RunSpec& spec, const OpenTraining& training, const Invitee& invitee,
                                    LinkCache* cache) const {
  const LinkRange range = LinksFor(dispatcher_.KnownHead(invitee.client_id, spec.id), spec.id, training.round);
  auto links = cache->find(range.from);
  if (range.from <= range.to && links == cache->end()) {
    TRB_ASSIGN_OR_RETURN(std::vector<RunStore::Link> read, store_.ListLinks(spec.id, range.from, range.to));
    links = cache->emplace(range.from, std::move(read)).first;
  }
  static const std::vector<RunStore::Link> kNone;
  const auto& known = range.from <= range.to ? links->second : kNone;
  return dispatcher_.PushTask(invitee.client_id, BuildTask(spec, training, invitee, known, clock_.Monotonic()));
}

void TaskPush::Cancel(const std::string& client_id, const std::string& task_id, std::string_view code,
                      std::string_view reason) const {
  v1::CancelTask cancel;
  cancel.set_task_id(task_id);
  cancel.set_code(std::string(code));
  cancel.set_reason(std::string(reason));
  dispatcher_.PushCancel(client_id, cancel);
}

}  // namespace tributary::rounds
