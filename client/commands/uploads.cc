#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "client/commands/commands.h"
#include "client/session/client_ledger.h"
#include "common/base/bytes.h"
#include "common/base/error_report.h"
#include "common/base/text.h"
#include "tributary/v1/update.pb.h"

namespace tributary::commands {
namespace {

using session::SentRow;
using Json = nlohmann::ordered_json;

// One row, in the order of the columns; the names are a contract (docs/reference/cli.md).
Json ToJson(const SentRow& row) {
  Json out = {{"kind", row.kind},
              {"run", row.run_id},
              {"run_name", row.run_name},
              {"round", row.round},
              {"detail", row.detail},
              {"bytes", row.bytes},
              {"sha256", row.sha256},
              {"outcome", row.outcome},
              {"times", row.times},
              {"first_unix_ms", row.first_unix_ms},
              {"last_unix_ms", row.last_unix_ms},
              {"task_id", row.task_id}};
  v1::Receipt receipt;
  if (!row.receipt.empty() && receipt.ParseFromString(row.receipt)) {
    out["receipt"] = {{"accepted_unix_ms", receipt.accepted_unix_ms()},
                      {"previous_record_sha256", receipt.previous_record_sha256()},
                      {"certificate_sha256", receipt.record().certificate_sha256()},
                      {"signature", HexEncode(receipt.signature())},
                      {"message", HexEncode(row.receipt)}};
  }
  return out;
}

std::string CsvCell(const std::string& raw) {
  const std::string text = EscapeLinesForTerminal(raw);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string Csv(const std::vector<SentRow>& rows) {
  std::string out = "kind,run,run_name,round,detail,bytes,sha256,outcome,times,first_unix_ms,last_unix_ms,receipt\n";
  for (const SentRow& row : rows) {
    const Json json = ToJson(row);
    const std::string receipt = json.contains("receipt") ? json["receipt"]["signature"].get<std::string>() : "";
    absl::StrAppend(&out, row.kind, ",", row.run_id, ",", CsvCell(row.run_name), ",", row.round, ",",
                    CsvCell(row.detail), ",", row.bytes, ",", row.sha256, ",");
    absl::StrAppend(&out, CsvCell(row.outcome), ",", row.times, ",", row.first_unix_ms, ",", row.last_unix_ms, ",",
                    receipt, "\n");
  }
  return out;
}

std::string Padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::string TableText(const std::vector<SentRow>& rows) {
  std::string out = absl::StrCat(Padded("WHEN", 21), Padded("KIND", 15), Padded("RUN", 22), Padded("ROUND", 7),
                                 Padded("BYTES", 11), Padded("SHA256", 14), Padded("OUTCOME", 14), "DETAIL\n");
  for (const SentRow& row : rows) {
    const absl::Time when = absl::FromUnixMillis(row.first_unix_ms);
    absl::StrAppend(&out, Padded(absl::FormatTime("%Y-%m-%d %H:%M:%S", when, absl::UTCTimeZone()), 21),
                    Padded(row.kind, 15), Padded(row.run_id.empty() ? "-" : EscapeForLog(row.run_name, 20), 22),
                    Padded(row.run_id.empty() ? "-" : absl::StrCat(row.round), 7));
    absl::StrAppend(&out, Padded(absl::StrCat(row.bytes), 11), Padded(row.sha256.substr(0, 12), 14),
                    Padded(EscapeForLog(row.outcome, 40), 14), EscapeForLog(row.detail), "\n");
  }
  return out;
}

std::string Render(const std::vector<SentRow>& rows, const std::string& format) {
  if (format == "table") return TableText(rows);
  if (format == "csv") return Csv(rows);
  Json document = {{"schema_version", 1}, {"uploads", Json::array()}};
  std::string lines;
  for (const SentRow& row : rows) {
    Json json = ToJson(row);
    if (format == "jsonl") absl::StrAppend(&lines, json.dump(-1, ' ', false, Json::error_handler_t::replace), "\n");
    document["uploads"].push_back(std::move(json));
  }
  return format == "jsonl" ? lines : document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::Status Uploads(const std::string& directory, const std::string& format, Console* console) {
  const auto opened = session::ClientLedger::OpenReadOnly(directory);
  if (absl::IsNotFound(opened.status()))
    return WithFix(opened.status(), "is this a client's directory? A daemon that never ran has sent nothing");
  TRB_RETURN_IF_ERROR(opened.status());
  session::ClientLedger* const ledger = opened->get();
  std::vector<SentRow> rows;
  TRB_RETURN_IF_ERROR(ledger->ListSent([&rows](const SentRow& row) {
    rows.push_back(row);
    return absl::OkStatus();
  }));
  console->out << Render(rows, format) << std::flush;
  return absl::OkStatus();
}

}  // namespace

void AddUploads(CLI::App* app, Console* console, Verb* chosen) {
  CLI::App* verb = app->add_subcommand("uploads", "List everything that left this machine");
  auto directory = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("table");
  verb->add_option("--dir", *directory, "this client's directory")->required();
  verb->add_option("-o,--output", *format, "table|json|jsonl|csv")
      ->check(CLI::IsMember({"table", "json", "jsonl", "csv"}))
      ->capture_default_str();
  verb->footer(
      "dataset_facts: counts, shape and class names, told when connecting. metrics: losses, counts and times of\n"
      "one training. delta: the change of the model's weights.\n\n"
      "Example:\n  tributary-client uploads --dir ~/tributary -o csv");
  verb->callback([=] { *chosen = [=] { return Uploads(*directory, *format, console); }; });
}

}  // namespace tributary::commands
