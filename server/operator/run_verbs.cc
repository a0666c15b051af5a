#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/learning/model_file.h"
#include "server/operator/documents.h"
#include "server/operator/interrupt.h"
#include "server/operator/request_id.h"
#include "server/operator/run_file.h"
#include "server/operator/verbs.h"
#include "server/operator/watching.h"

namespace tributary::op {
namespace {

constexpr uint64_t kMaxRunFileBytes = 1 << 20;

Answer RunAnswer(const v1::RunDocument& d) {
  Answer answer{&d, {}, RunTable(d)};
  // The most detailed rows that the document has.
  for (const auto& c : d.contributions()) answer.rows.push_back(&c);
  if (answer.rows.empty()) {
    for (const auto& r : d.rounds()) answer.rows.push_back(&r);
  }
  if (answer.rows.empty()) answer.rows.push_back(&d.run());
  return answer;
}

struct StartArguments {
  std::string file;
  std::vector<std::string> overrides;
  bool watch = false, dry_run = false;
};

// Sends the weights of a model file to the coordinator, so that the plan can name them by digest.
absl::Status PutWarmStart(const std::string& file, v1::RunPlan* plan, OperatorApi* api) {
  TRB_ASSIGN_OR_RETURN(const learning::ModelFile model, learning::ReadModelFile(file));
  v1::ModelHeader header;
  *header.mutable_model() = plan->model();
  std::string bytes(reinterpret_cast<const char*>(model.parameters.data()), model.parameters.size() * sizeof(float));
  header.set_total_bytes(bytes.size());
  header.set_model_sha256(crypto::Sha256Hex(bytes));
  TRB_ASSIGN_OR_RETURN(const std::string digest, api->PutModel(header, bytes));
  plan->set_initial_model_sha256(digest);
  return absl::OkStatus();
}

absl::Status Watch(const std::string& run, Context* c, OperatorApi* api, Interrupt* interrupt) {
  // A document on stdout must stand alone: with -o json the progress goes to stderr and the run, once ended, to stdout.
  const bool table = c->format == Format::kTable;
  WatchTarget target{table ? c->out : c->err, table && c->out_is_terminal};
  TRB_ASSIGN_OR_RETURN(const v1::RunDocument end, WatchToEnd(run, api, interrupt, &target));
  if (!table) TRB_RETURN_IF_ERROR(c->Print(RunAnswer(end)));
  if (end.run().state() == "completed") return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("run ", end.run().id(), " ", end.run().state(), ": ", end.run().reason()));
}

absl::Status Start(const StartArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(a.file, kMaxRunFileBytes));
  absl::StatusOr<RunFile> file = ParseRunFile(text, a.file, a.overrides);
  if (!file.ok()) return WithFix(file.status(), "mend the lines named above; nothing was started");
  std::unique_ptr<Interrupt> interrupt = a.watch ? std::make_unique<Interrupt>() : nullptr;
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  if (!file->warm_start_file.empty()) TRB_RETURN_IF_ERROR(PutWarmStart(file->warm_start_file, &file->plan, api.get()));
  v1::StartRunRequest request;
  request.set_request_id(NewRequestId());
  *request.mutable_plan() = file->plan;
  request.set_dry_run(a.dry_run);
  TRB_ASSIGN_OR_RETURN(const v1::RunDocument started, api->StartRun(request));
  if (a.dry_run) {
    Answer answer = RunAnswer(started);
    answer.table = absl::StrCat(a.file, ": the plan is good; nothing was started\n");
    return c->Print(answer);
  }
  if (!a.watch) return c->Print(RunAnswer(started));
  c->err << "run " << EscapeForTerminal(started.run().id()) << " started; Ctrl-C leaves it running\n" << std::flush;
  return Watch(started.run().id(), c, api.get(), interrupt.get());
}

absl::Status List(Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const v1::RunList list, api->ListRuns());
  Answer answer{&list, {}, RunListTable(list)};
  for (const auto& run : list.runs()) answer.rows.push_back(&run);
  return c->Print(answer);
}

struct ShowArguments {
  std::string run;
  uint64_t round = 0;
};

absl::Status Show(const ShowArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  v1::GetRunRequest request;
  request.set_run(a.run);
  if (a.round > 0) request.set_round(a.round);
  TRB_ASSIGN_OR_RETURN(const v1::RunDocument document, api->GetRun(request));
  return c->Print(RunAnswer(document));
}

absl::Status Metrics(const std::string& run, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  v1::GetRunRequest request;
  request.set_run(run);
  TRB_ASSIGN_OR_RETURN(const v1::RunDocument document, api->GetRun(request));
  Answer answer{&document, {}, RoundsTable(document)};
  for (const auto& round : document.rounds()) answer.rows.push_back(&round);
  return c->Print(answer);
}

absl::Status WatchVerb(const std::string& run, Context* c) {
  Interrupt interrupt;
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  return Watch(run, c, api.get(), &interrupt);
}

absl::Status Stop(const std::string& run, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  v1::StopRunRequest request;
  request.set_run(run);
  request.set_request_id(NewRequestId());
  TRB_ASSIGN_OR_RETURN(const v1::RunDocument document, api->StopRun(request));
  return c->Print(RunAnswer(document));
}

void AddStart(CLI::App* noun, Registry* r) {
  auto a = std::make_shared<StartArguments>();
  CLI::App* v = r->Verb(noun, "start", "Start a run from a run file", "tributary run start digits.toml --watch");
  v->add_option("FILE", a->file, "Run file (TOML)")->required();
  v->add_option("--set", a->overrides, "key.path=value on top of the file; may be repeated")->allow_extra_args(false);
  v->add_flag("--watch", a->watch, "Follow it until it ends");
  v->add_flag("--dry-run", a->dry_run, "Check the plan here and at the coordinator; start nothing");
  v->callback([a, r] { r->action = [a, r] { return Start(*a, r->context); }; });
}

// A verb whose one argument is a run.
void AddOnRun(CLI::App* noun, Registry* r, const char* name, const char* description, const char* example,
              absl::Status (*verb)(const std::string&, Context*)) {
  auto run = std::make_shared<std::string>();
  CLI::App* v = r->Verb(noun, name, description, example);
  v->add_option("ID", *run, "Run id, a unique prefix of it, or the run's name when unique")->required();
  v->callback([run, r, verb] { r->action = [run, r, verb] { return verb(*run, r->context); }; });
}

void AddShow(CLI::App* noun, Registry* r) {
  auto a = std::make_shared<ShowArguments>();
  CLI::App* v = r->Verb(noun, "show", "A run and its rounds; with --round, what each client did in it",
                        "tributary run show digits --round 3 -o json");
  v->add_option("ID", a->run, "Run id, a unique prefix of it, or the run's name when unique")->required();
  v->add_option("--round", a->round, "Only this round, with its contributions")->check(AtLeastOne());
  v->callback([a, r] { r->action = [a, r] { return Show(*a, r->context); }; });
}

}  // namespace

void AddRunVerbs(CLI::App* app, Registry* r) {
  CLI::App* noun = r->Verb(app, "run", "Training runs", "tributary run list");
  noun->require_subcommand(1);
  AddStart(noun, r);
  CLI::App* list = r->Verb(noun, "list", "All runs, newest first", "tributary run list -o json");
  list->callback([r] { r->action = [r] { return List(r->context); }; });
  AddShow(noun, r);
  AddOnRun(noun, r, "watch", "Follow a run until it ends; Ctrl-C leaves it running", "tributary run watch digits",
           WatchVerb);
  AddOnRun(noun, r, "stop", "End a run; its committed rounds stay", "tributary run stop digits", Stop);
  AddOnRun(noun, r, "metrics", "One row a round", "tributary run metrics digits -o csv", Metrics);
}

}  // namespace tributary::op
