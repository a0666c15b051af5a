#include "server/operator/documents.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/operator/output.h"

namespace tributary::op {
namespace {

// "-" for what was not measured.
std::string Maybe(bool has, double value, int decimals) { return has ? Number(value, decimals) : "-"; }
std::string MaybePercent(bool has, double value) { return has ? Percent(value) : "-"; }

// name: value lines with the values in one column.
std::string Pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  size_t width = 0;
  for (const auto& [name, value] : pairs) width = std::max(width, name.size());
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!value.empty()) absl::StrAppend(&out, name, std::string(width - name.size() + 2, ' '), value, "\n");
  }
  return out;
}

std::string Labels(const google::protobuf::Map<std::string, std::string>& labels) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : labels) parts.push_back(absl::StrCat(key, "=", value));
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "-" : absl::StrJoin(parts, ",");
}

std::string ContributionsTable(const v1::RunDocument& d) {
  Table t({"round", "client", "state", "examples", "weight", "loss", "val acc", "norm", "up", "queue", "download",
           "train", "upload", "update", "reason"});
  for (const v1::Contribution& c : d.contributions()) {
    t.Add({absl::StrCat(c.round()), c.client(), c.state(), absl::StrCat(c.examples()), absl::StrCat(c.weight()),
           Maybe(c.has_train_loss(), c.train_loss(), 4),
           MaybePercent(c.has_validation_accuracy(), c.validation_accuracy()),
           Maybe(c.has_update_norm(), c.update_norm(), 4), Bytes(c.bytes_up()), Millis(c.queue_ms()),
           Millis(c.download_ms()), Millis(c.train_ms()), Millis(c.upload_ms()), Short(c.update_sha256()), c.reason()});
  }
  return t.ToString();
}

}  // namespace

std::string StatusTable(const v1::Status& s) {
  return Pairs({{"version", s.version()},
                {"federation", s.federation()},
                {"main", s.main_endpoint()},
                {"enrolment", s.enrol_endpoint()},
                {"clients", absl::StrCat(s.clients(), " enrolled, ", s.clients_online(), " online")},
                {"active runs", absl::StrCat(s.runs_active())},
                {"started", When(s.started_unix_ms())},
                {"certificate until", When(s.server_certificate_not_after_unix_ms())}});
}

std::string RunListTable(const v1::RunList& list) {
  Table t({"id", "name", "state", "rounds", "best", "created", "reason"});
  for (const v1::Run& r : list.runs()) {
    t.Add({r.id(), r.name(), r.state(), absl::StrCat(r.rounds_done(), "/", r.rounds_total()),
           r.has_best_round() ? absl::StrCat(r.best_round()) : "-", When(r.created_unix_ms()), r.reason()});
  }
  return t.ToString();
}

std::string RoundsTable(const v1::RunDocument& d) {
  Table t({"round", "state", "accepted", "examples", "train loss", "val acc", "test loss", "test acc", "test f1", "up",
           "select", "train", "aggregate", "evaluate", "overhead", "model", "reason"});
  for (const v1::Round& r : d.rounds()) {
    t.Add({absl::StrCat(r.round()), r.state(), absl::StrCat(r.accepted(), "/", r.invited()), absl::StrCat(r.examples()),
           Maybe(r.has_train_loss(), r.train_loss(), 4),
           MaybePercent(r.has_validation_accuracy(), r.validation_accuracy()),
           Maybe(r.has_test_loss(), r.test_loss(), 4), MaybePercent(r.has_test_accuracy(), r.test_accuracy()),
           Maybe(r.has_test_f1(), r.test_f1(), 4), Bytes(r.bytes_up()), Millis(r.select_ms()), Millis(r.train_ms()),
           Millis(r.aggregate_ms()), Millis(r.evaluate_ms()), r.has_overhead_ms() ? Millis(r.overhead_ms()) : "-",
           Short(r.model_sha256()), r.reason()});
  }
  return t.ToString();
}

std::string RunTable(const v1::RunDocument& d) {
  const v1::Run& r = d.run();
  std::string out = Pairs({{"run", r.id()},
                           {"name", r.name()},
                           {"state", r.state()},
                           {"reason", r.reason()},
                           {"rounds", absl::StrCat(r.rounds_done(), " of ", r.rounds_total())},
                           {"best round", r.has_best_round() ? absl::StrCat(r.best_round()) : ""},
                           {"seed", absl::StrCat(r.seed())},
                           {"engines", absl::StrJoin(r.engines(), ", ")},
                           {"created", When(r.created_unix_ms())},
                           {"ended", r.ended_unix_ms() == 0 ? "" : When(r.ended_unix_ms())},
                           {"model", r.model_sha256()},
                           {"head", r.head_sha256()}});
  if (d.rounds_size() > 0) absl::StrAppend(&out, "\n", RoundsTable(d));
  if (d.contributions_size() > 0) absl::StrAppend(&out, "\n", ContributionsTable(d));
  return out;
}

std::string ClientListTable(const v1::ClientList& list) {
  Table t({"name", "state", "examples", "last seen", "certificate until", "version", "labels"});
  for (const v1::Client& c : list.clients()) {
    t.Add({c.name(), c.state(), absl::StrCat(c.examples()), When(c.last_seen_unix_ms()),
           When(c.certificate_not_after_unix_ms()), c.version().empty() ? "-" : c.version(), Labels(c.labels())});
  }
  return t.ToString();
}

std::string ClientTable(const v1::ClientDocument& d) {
  const v1::Client& c = d.client();
  return Pairs(
      {{"name", c.name()},
       {"id", c.id()},
       {"state", c.state()},
       {"examples", absl::StrCat(c.examples())},
       {"shape", c.shape().empty() && c.examples() > 0 ? "images of any size" : absl::StrJoin(c.shape(), " x ")},
       {"classes", absl::StrJoin(c.classes(), ", ")},
       {"last seen", When(c.last_seen_unix_ms())},
       {"certificate until", When(c.certificate_not_after_unix_ms())},
       {"version", c.version()},
       {"engine", c.engine()},
       {"labels", Labels(c.labels())}});
}

std::string VerificationTable(const v1::HistoryVerification& v) {
  const std::string counts = absl::StrCat(v.rounds_checked(), " rounds, ", v.blobs_checked(), " blobs checked, ",
                                          v.blobs_missing(), " deleted by plan\n");
  if (v.ok()) return absl::StrCat("ok: ", counts, "head ", v.head_sha256(), "\n");
  return absl::StrCat("FAULT in run ", v.first_fault().run(), ", round ", v.first_fault().round(), ": ",
                      v.first_fault().what(), "\n", counts);
}

std::string ReplayTable(const v1::HistoryReplay& r) {
  std::string out = absl::StrCat(r.ok() ? "ok: " : "NOT OK: ", r.rounds_equal(), " rounds made once more to the bit, ",
                                 r.rounds_not_replayable(), " not replayable\n");
  Table t({"round", "state", "updates", "took", "model", "reason"});
  for (const v1::ReplayedRound& round : r.rounds()) {
    t.Add({absl::StrCat(round.round()), round.state(), absl::StrCat(round.updates()), Millis(round.replay_ms()),
           Short(round.model_sha256()), round.reason()});
  }
  return absl::StrCat(t.ToString(), out);
}

std::string AuditTable(const v1::AuditList& list) {
  Table t({"#", "time", "actor", "action", "subject", "outcome"});
  for (const v1::AuditEntry& e : list.entries())
    t.Add({absl::StrCat(e.sequence()), When(e.time_unix_ms()), e.actor(), e.action(), e.subject(), e.outcome()});
  return list.head_sha256().empty() ? t.ToString() : absl::StrCat(t.ToString(), "head ", list.head_sha256(), "\n");
}

std::string EvaluationTable(const v1::EvaluationDocument& e) {
  std::string out =
      Pairs({{"examples", absl::StrCat(e.examples())},
             {"loss", Number(e.loss(), 4)},
             {"accuracy", e.has_accuracy() ? Percent(e.accuracy()) : ""},
             {"precision", e.has_precision() ? absl::StrCat(Number(e.precision(), 4), " (macro)") : ""},
             {"recall", e.has_recall() ? absl::StrCat(Number(e.recall(), 4), " (macro)") : ""},
             {"f1", e.has_f1() ? absl::StrCat(Number(e.f1(), 4), " (macro)") : ""},
             {"mean absolute error", e.has_mean_absolute_error() ? Number(e.mean_absolute_error(), 4) : ""}});
  if (e.per_class_size() == 0) return out;
  Table classes({"class", "examples", "precision", "recall", "f1"});
  std::vector<std::string> header = {"true \\ predicted"};
  for (const v1::ClassMetrics& c : e.per_class()) {
    classes.Add(
        {c.class_(), absl::StrCat(c.examples()), Number(c.precision(), 4), Number(c.recall(), 4), Number(c.f1(), 4)});
    header.push_back(c.class_());
  }
  Table confusion(header);
  for (int i = 0; i < e.confusion_size(); ++i) {
    std::vector<std::string> row = {e.per_class(i).class_()};
    for (const auto& cell : e.confusion(i).values())
      row.push_back(absl::StrCat(static_cast<uint64_t>(cell.number_value())));
    confusion.Add(std::move(row));
  }
  return absl::StrCat(out, "\n", classes.ToString(), "\n", confusion.ToString());
}

std::string PredictionTable(const v1::PredictionDocument& d) {
  Table t({"file", "class", "probability"});
  for (const v1::Prediction& p : d.predictions()) {
    const bool has_class = !p.class_().empty() && static_cast<int>(p.index()) < p.probabilities_size();
    t.Add(
        {p.file(), has_class ? p.class_() : "-",
         has_class ? Number(p.probabilities(static_cast<int>(p.index())), 4) : absl::StrJoin(p.probabilities(), " ")});
  }
  return t.ToString();
}

}  // namespace tributary::op
