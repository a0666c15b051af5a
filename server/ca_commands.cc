#include "server/ca_commands.h"

#include <cstdio>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/clock.h"
#include "common/base/error_report.h"
#include "common/base/proto_json.h"
#include "common/crypto/secure_random.h"
#include "common/rpc/peer_check.h"
#include "server/identity/authority_files.h"
#include "server/identity/federation.h"
#include "server/identity/rotation.h"
#include "server/ledger/authority_ledger.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/ledger_store.h"
#include "tributary/v1/operator.pb.h"

namespace tributary {
namespace {

using State = crypto::AuthorityNews::State;

constexpr size_t kMostNames = 20;  // in a message; the document has all

// The directory as it is, and what the ledger remembers.
struct View {
  identity::AuthoritySet set;
  std::vector<identity::Member> members;
  std::map<std::pair<std::string, std::string>, int64_t> steps;
  std::vector<std::string> invited_before;
  absl::Time now;

  int64_t Since(const crypto::AuthorityNews& one) const {
    const auto it = steps.find({one.certificate.sha256(), std::string(ledger::AuthorityStateName(one.state))});
    return it == steps.end() ? 0 : it->second;
  }
};

absl::StatusOr<View> Look(const std::string& dir) {
  TRB_RETURN_IF_ERROR(identity::LoadFederation(dir).status());
  const absl::Time now = Clock::System().Now();
  TRB_ASSIGN_OR_RETURN(identity::AuthoritySet set, identity::PeekAuthorities(dir));
  TRB_ASSIGN_OR_RETURN(const auto database, ledger::OpenLedgerReadOnly(dir));
  const auto store = ledger::MakeIdentityLedger(*database);
  View view{std::move(set), {}, {}, {}, now};
  TRB_ASSIGN_OR_RETURN(view.members, store->ListMembers());
  TRB_ASSIGN_OR_RETURN(view.steps, ledger::ReadAuthoritySteps(*database));
  if (view.set.Find(State::kRetiring) == nullptr) return view;
  // Not taken in yet: whatever was invited so far names the one before.
  const int64_t since = view.Since(view.set.all.front());
  TRB_ASSIGN_OR_RETURN(view.invited_before,
                       store->InvitedBefore(since > 0 ? since : absl::ToUnixMillis(now), absl::ToUnixMillis(now)));
  return view;
}

std::string Ca(const char* verb, const std::string& dir) {
  return absl::StrCat("tributary-coordinator ca ", verb, " --dir ", dir);
}

constexpr char kReload[] = "send the coordinator SIGHUP (systemctl reload tributary-coordinator), or start it";

std::string Next(const View& view, const v1::AuthorityStatus& document, const std::string& dir) {
  for (const crypto::AuthorityNews& one : view.set.all)
    if (view.Since(one) == 0) return absl::StrCat(kReload, ", so that it takes this in");
  if (view.set.Find(State::kStaged) != nullptr)
    return document.not_yet_trusting_size() > 0
               ? absl::StrCat("wait until all clients have confirmed the new authority, then: ", Ca("activate", dir))
               : Ca("activate", dir);
  if (view.set.Find(State::kRetiring) != nullptr)
    return document.still_holding_size() > 0
               ? absl::StrCat("wait until all have renewed their certificates, then: ", Ca("retire", dir))
               : Ca("retire", dir);
  return absl::StrCat("nothing; to replace the authority: ", Ca("stage", dir));
}

v1::AuthorityStatus Describe(const View& view, const std::string& dir) {
  v1::AuthorityStatus out;
  out.set_schema_version(1);
  out.set_members(view.members.size());
  for (const identity::AuthorityStanding& standing : identity::Standings(view.set, view.members, view.now)) {
    v1::AuthorityRow& row = *out.add_authorities();
    row.set_sha256(standing.certificate.sha256());
    row.set_state(std::string(ledger::AuthorityStateName(standing.state)));
    row.set_not_after_unix_ms(absl::ToUnixMillis(standing.certificate.not_after()));
    row.set_since_unix_ms(view.Since({standing.certificate, standing.state, {}}));
    row.set_trusted_by(standing.trusted_by);
    row.set_certificates(standing.certificates);
  }
  const auto add = [](std::vector<std::string> names, auto* field) {
    for (std::string& name : names) *field->Add() = std::move(name);
  };
  if (const auto* staged = view.set.Find(State::kStaged); staged != nullptr)
    add(identity::NotYetTrusting(staged->certificate.sha256(), view.members, view.now), out.mutable_not_yet_trusting());
  if (const auto* retiring = view.set.Find(State::kRetiring); retiring != nullptr)
    add(identity::StillHolding(retiring->certificate, view.members, view.now), out.mutable_still_holding());
  add(view.invited_before, out.mutable_invited_before());
  out.set_next(Next(view, out, dir));
  return out;
}

template <class Names>
std::string List(const Names& names) {
  const size_t shown = std::min<size_t>(kMostNames, names.size());
  const std::string text = absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", ");
  const size_t more = static_cast<size_t>(names.size()) - shown;
  return more == 0 ? text : absl::StrCat(text, " and ", more, " more");
}

std::string Table(const v1::AuthorityStatus& s) {
  std::string out = absl::StrFormat("%-9s %-21s %-21s %11s %12s  %s\n", "STATE", "SINCE", "UNTIL", "TRUSTED BY",
                                    "CERTIFICATES", "SHA-256");
  for (const v1::AuthorityRow& row : s.authorities()) {
    const std::string since =
        row.since_unix_ms() == 0 ? "not taken in yet" : rpc::DateText(absl::FromUnixMillis(row.since_unix_ms()));
    absl::StrAppend(
        &out, absl::StrFormat("%-9s %-21s %-21s %11s %12d  %s\n", row.state(), since,
                              rpc::DateText(absl::FromUnixMillis(row.not_after_unix_ms())),
                              absl::StrCat(row.trusted_by(), " of ", s.members()), row.certificates(), row.sha256()));
  }
  const auto names = [&out](const char* what, const auto& field) {
    if (!field.empty()) absl::StrAppend(&out, what, ": ", List(field), "\n");
  };
  names("not confirmed by", s.not_yet_trusting());
  names("certificates still with", s.still_holding());
  names("invitations that end with it", s.invited_before());
  absl::StrAppend(&out, "next: ", s.next(), "\n");
  return out;
}

// After each step: where it has got to.
absl::Status PrintStatus(const CaArguments& a) {
  TRB_ASSIGN_OR_RETURN(const View view, Look(a.dir));
  const v1::AuthorityStatus document = Describe(view, a.dir);
  std::fputs((a.json ? ProtoToJson(document) + "\n" : Table(document)).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status Refuse(const std::string& why, const std::string& fix, const std::string& dir, const char* verb) {
  return WithFix(absl::FailedPreconditionError(why),
                 absl::StrCat(fix, ", or leave them behind: ", Ca(verb, dir), " --leave-behind"));
}

}  // namespace

absl::Status CaStage(const CaArguments& a) {
  TRB_ASSIGN_OR_RETURN(const identity::Federation federation, identity::LoadFederation(a.dir));
  TRB_RETURN_IF_ERROR(identity::StageAuthority(a.dir, federation.id, Clock::System(), crypto::SecureRandom::System()));
  return PrintStatus(a);
}

absl::Status CaActivate(const CaArguments& a) {
  TRB_ASSIGN_OR_RETURN(const View view, Look(a.dir));
  const v1::AuthorityStatus now = Describe(view, a.dir);
  if (!a.leave_behind && now.not_yet_trusting_size() > 0)
    return Refuse(
        absl::StrCat("these have not confirmed that they trust the new authority: ", List(now.not_yet_trusting())),
        "start them, and see `ca status`; revoke those who will not come back", a.dir, "activate");
  TRB_RETURN_IF_ERROR(identity::ActivateAuthority(a.dir));
  return PrintStatus(a);
}

absl::Status CaRetire(const CaArguments& a) {
  TRB_ASSIGN_OR_RETURN(const View view, Look(a.dir));
  const v1::AuthorityStatus now = Describe(view, a.dir);
  const bool under_way = view.set.Find(State::kRetiring) != nullptr;
  if (under_way && view.Since(view.set.all.front()) == 0)
    return WithFix(absl::FailedPreconditionError("the coordinator does not know yet that the new authority issues"),
                   absl::StrCat(kReload, ", and let everybody renew"));
  if (!a.leave_behind && now.still_holding_size() > 0)
    return Refuse(absl::StrCat("these still hold certificates of the old authority: ", List(now.still_holding())),
                  "start them so that they renew, and see `ca status`; revoke those who will not come back", a.dir,
                  "retire");
  TRB_RETURN_IF_ERROR(identity::RetireAuthority(a.dir));
  return PrintStatus(a);
}

absl::Status CaStatus(const CaArguments& a) { return PrintStatus(a); }

}  // namespace tributary
