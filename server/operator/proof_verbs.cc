// history export, check and replay.
#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/durable_file.h"
#include "common/base/error_report.h"
#include "common/crypto/certificate.h"
#include "common/history/proof.h"
#include "common/history/record_rows.h"
#include "server/operator/documents.h"
#include "server/operator/interrupt.h"
#include "server/operator/proof_check_document.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

constexpr const char* kRunHelp = "Run id, a unique prefix of it, or the run's name when unique";

// Empty when the record cannot be read: `history check` says what is wrong with it.
std::string RunOf(const history::Record& genesis) {
  const auto rows = history::ReadRows(genesis.body, "", 0);
  return rows.ok() ? rows->genesis->id : "";
}

// What came is a whole proof: its end fits. Whether it holds is for `history check`.
absl::StatusOr<v1::HistoryExport> DescribeProof(const std::string& path) {
  v1::HistoryExport out;
  out.set_schema_version(1);
  TRB_ASSIGN_OR_RETURN(const auto reader, history::ProofReader::Open(path));
  out.set_bytes(reader->file_bytes());
  for (;;) {
    TRB_ASSIGN_OR_RETURN(const history::ProofReader::Entry entry, reader->Next());
    if (entry.kind == 'e') return out;
    if (entry.kind == 'r') {
      out.set_records(out.records() + 1);
      if (entry.round == 0) out.set_run(RunOf(entry.record));
      out.set_head_sha256(entry.record.record_sha256);
    } else if (entry.kind == 'a') {
      TRB_ASSIGN_OR_RETURN(const auto authority, crypto::Certificate::FromDer(entry.certificate_der));
      out.set_authority_sha256(authority.sha256());
    }
  }
}

struct ExportArguments {
  std::string run, to;
};

absl::Status Export(const ExportArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const auto file, DurableFile::Create(a.to));
  v1::ExportHistoryRequest request;
  request.set_run(a.run);
  TRB_RETURN_IF_ERROR(api->ExportHistory(request, [&](std::string_view bytes) { return file->Write(bytes); }));
  absl::StatusOr<v1::HistoryExport> document = DescribeProof(file->temporary());
  if (!document.ok()) return Annotate(document.status(), "the proof that arrived");
  TRB_RETURN_IF_ERROR(file->Commit());
  document->set_file(a.to);
  const std::string line =
      absl::StrCat(a.to, ": ", document->records(), " records, ", document->bytes(), " bytes\nhead            ",
                   document->head_sha256(), "\nCA certificate  ", document->authority_sha256(),
                   "\nAnyone can check it: tributary history check ", a.to, "\n");
  return c->Print(Answer{&*document, {&*document}, line});
}

absl::Status Check(const ProofQuestion& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const v1::HistoryCheck check, CheckProofFile(a));
  Answer answer{&check, {}, HistoryCheckTable(check)};
  for (const v1::ReceiptCheck& receipt : check.receipts()) answer.rows.push_back(&receipt);
  TRB_RETURN_IF_ERROR(c->Print(answer));
  if (check.ok()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the proof does not hold: run ", EscapeForLog(check.run(), 64), ", round ",
                                          check.first_fault().round(), ": ", check.first_fault().what()));
}

struct ReplayArguments {
  std::string run;
  uint64_t round = 0;  // 0: all
};

// Adds a round to the document, and says so to a person who waits.
void Take(const v1::ReplayPart& part, Context* c, v1::HistoryReplay* out) {
  if (part.has_fault()) *out->mutable_first_fault() = part.fault();
  if (!part.has_round()) return;
  const v1::ReplayedRound& round = *out->add_rounds() = part.round();
  if (round.state() == "equal") out->set_rounds_equal(out->rounds_equal() + 1);
  if (round.state() == "not_replayable") out->set_rounds_not_replayable(out->rounds_not_replayable() + 1);
  if ((round.state() == "differs" || round.state() == "failed") && !out->has_first_fault()) {
    out->mutable_first_fault()->set_round(round.round());
    out->mutable_first_fault()->set_what(round.reason());
  }
  if (c->format != Format::kTable) return;
  c->err << "round " << round.round() << " (" << out->rounds_size() << " of " << part.rounds_total()
         << "): " << round.state() << ", " << Millis(round.replay_ms()) << "\n"
         << std::flush;
}

absl::Status Outcome(const v1::HistoryReplay& replay) {
  if (replay.has_first_fault())
    return absl::DataLossError(absl::StrCat("the history does not hold: round ", replay.first_fault().round(), ": ",
                                            replay.first_fault().what()));
  if (replay.ok()) return absl::OkStatus();
  return WithFix(
      absl::NotFoundError(replay.rounds_size() == 0 ? "the run has no committed round"
                                                    : "no round could be replayed: the updates were deleted"),
      "a run that should be replayed later keeps them: keep_updates = \"forever\" in its file");
}

absl::Status Replay(const ReplayArguments& a, Context* c) {
  Interrupt interrupt;  // before the connection's threads
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  interrupt.OnSignal([&api] { api->Cancel(); });
  v1::ReplayHistoryRequest request;
  request.set_run(a.run);
  if (a.round > 0) request.set_round(a.round);
  v1::HistoryReplay replay;
  replay.set_schema_version(1);
  replay.set_run(a.run);
  const absl::Status done = api->ReplayHistory(request, [&](const v1::ReplayPart& part) { Take(part, c, &replay); });
  interrupt.OnSignal(nullptr);
  TRB_RETURN_IF_ERROR(done);
  replay.set_ok(!replay.has_first_fault() && replay.rounds_equal() > 0);
  Answer answer{&replay, {}, ReplayTable(replay)};
  for (const v1::ReplayedRound& round : replay.rounds()) answer.rows.push_back(&round);
  TRB_RETURN_IF_ERROR(c->Print(answer));
  return Outcome(replay);
}

}  // namespace

void AddProofVerbs(CLI::App* history, Registry* r) {
  auto e = std::make_shared<ExportArguments>();
  CLI::App* out = r->Verb(history, "export", "Write the history as a proof that can be checked anywhere",
                          "tributary history export digits --to digits.proof");
  out->add_option("ID", e->run, kRunHelp)->required();
  out->add_option("--to", e->to, "The file")->required();
  out->callback([e, r] { r->action = [e, r] { return Export(*e, r->context); }; });

  auto q = std::make_shared<ProofQuestion>();
  CLI::App* check = r->Verb(history, "check", "Check a proof offline, and find one's own updates in it",
                            "tributary history check digits.proof --uploads ~/tributary");
  check->add_option("FILE", q->file, "What history export wrote")->required();
  check->add_option("--uploads", q->uploads,
                    "Your receipts: your client's directory, or what `tributary-client uploads -o json` printed");
  check->add_option("--ca", q->ca, "The federation's CA certificate (PEM) that the proof has to hang on");
  check->callback([q, r] { r->action = [q, r] { return Check(*q, r->context); }; });

  auto a = std::make_shared<ReplayArguments>();
  CLI::App* replay = r->Verb(history, "replay", "Make the models once more from the kept updates; compare digests",
                             "tributary history replay digits");
  replay->add_option("ID", a->run, kRunHelp)->required();
  replay->add_option("--round", a->round, "Only this round, from its base model")->check(AtLeastOne());
  replay->callback([a, r] { r->action = [a, r] { return Replay(*a, r->context); }; });
}

}  // namespace tributary::op
