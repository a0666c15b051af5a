#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/data/partition.h"
#include "common/learning/model_file.h"
#include "common/learning/simulation_trace.h"
#include "common/learning/simulator.h"
#include "common/nn/engine.h"
#include "server/operator/data_for_model.h"
#include "server/operator/interrupt.h"
#include "server/operator/run_file.h"
#include "server/operator/simulation_checkpoint.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

struct SimulateArguments {
  std::string file, partition = "iid", data, test, trace, checkpoint;
  std::vector<std::string> overrides;
  uint32_t clients = 10;
  uint64_t seed = 0;
  bool has_seed = false;
};

// As a TOML string.
std::string TomlText(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

v1::SimulationRound ToDocument(const learning::SimulatedRound& r) {
  v1::SimulationRound d;
  d.set_schema_version(1);
  d.set_round(r.round);
  d.set_clients(r.clients.size());
  d.set_examples(r.examples);
  if (r.train_loss) d.set_train_loss(*r.train_loss);
  if (r.test_loss) d.set_test_loss(*r.test_loss);
  if (r.test_accuracy) d.set_test_accuracy(*r.test_accuracy);
  d.set_seconds(r.seconds);
  d.set_model_sha256(r.model_sha256);
  return d;
}

std::string TableLine(const v1::SimulationRound& r) {
  return absl::StrFormat(
      "%5d  %7d  %8d  %10s  %9s  %8s  %7s  %s\n", r.round(), r.clients(), r.examples(),
      r.has_train_loss() ? Number(r.train_loss(), 4) : "-", r.has_test_loss() ? Number(r.test_loss(), 4) : "-",
      r.has_test_accuracy() ? Percent(r.test_accuracy()) : "-", Number(r.seconds(), 2), Short(r.model_sha256()));
}

// Rounds are printed as they end: a simulation may take long. JSON and CSV documents wait for the last one.
class RoundPrinter {
 public:
  explicit RoundPrinter(Context* c) : context_(*c) {}

  void Header() const {
    if (context_.format == Format::kTable)
      context_.out << "round  clients  examples  train loss  test loss  test acc  seconds  model\n" << std::flush;
  }
  void OnRound(const learning::SimulatedRound& round) {
    for (const auto& [client, why] : round.failed)
      context_.err << "round " << round.round << ": " << client << " did not train: " << why << std::endl;
    if (round.abandoned) {
      context_.err << "round " << round.round << " was abandoned: too few updates" << std::endl;
      return;
    }
    const v1::SimulationRound document = ToDocument(round);
    if (context_.format == Format::kTable) {
      context_.out << TableLine(document) << std::flush;
    } else if (context_.format != Format::kCsv) {
      context_.out << ToJson(document) << "\n" << std::flush;
    } else {
      rows_.push_back(document);
    }
  }
  absl::Status Finish() const {
    if (rows_.empty()) return absl::OkStatus();
    Answer answer{&rows_[0], {}, ""};
    for (const auto& r : rows_) answer.rows.push_back(&r);
    return context_.Print(answer);
  }

 private:
  Context& context_;
  std::vector<v1::SimulationRound> rows_;  // of CSV
};

// The plan that a coordinator would be given, with what the command line changes in it.
absl::StatusOr<RunFile> ReadPlan(const SimulateArguments& a) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(a.file, 1 << 20));
  std::vector<std::string> overrides = a.overrides;
  // Not only where to look: a stop rule on test_accuracy is fine only if there are test data.
  if (!a.test.empty()) {
    overrides.push_back(absl::StrCat("evaluate.data=", TomlText(a.test)));
    overrides.emplace_back("evaluate.format=\"\"");
  }
  TRB_ASSIGN_OR_RETURN(RunFile file, ParseRunFile(text, a.file, overrides));
  if (a.has_seed) file.plan.set_seed(a.seed);
  if (!file.plan.warm_start().empty() && file.warm_start_file.empty())
    return absl::InvalidArgumentError(
        "model.from names a run, and simulate has no coordinator: export it and name its file");
  return file;
}

// Everything that a simulation is made of; Input() points into it.
struct Loaded {
  v1::RunPlan plan;
  data::Dataset train, test;
  data::Parts parts;
  std::vector<float> initial;
  std::unique_ptr<learning::SimulationTrace> trace;

  bool has_test() const { return plan.evaluate().every() > 0 && !plan.evaluate().data().empty(); }
  learning::SimulationInput Input() {
    learning::SimulationInput input{.plan = plan, .train = train, .parts = std::move(parts)};
    input.test = has_test() ? &test : nullptr;
    input.initial_parameters = std::move(initial);
    input.threads = nn::DefaultThreads();
    input.trace = trace.get();
    return input;
  }
};

absl::Status Load(const SimulateArguments& a, Loaded* out) {
  TRB_ASSIGN_OR_RETURN(const RunFile file, ReadPlan(a));
  out->plan = file.plan;
  TRB_ASSIGN_OR_RETURN(out->train, LoadForModel(file.plan.model(), {a.data, "", false}));
  if (out->has_test()) {
    const v1::EvaluatePlan& test = file.plan.evaluate();
    TRB_ASSIGN_OR_RETURN(out->test, LoadForModel(file.plan.model(), {test.data(), test.format(), true}));
  }
  if (!file.warm_start_file.empty()) {
    TRB_ASSIGN_OR_RETURN(learning::ModelFile model, learning::ReadModelFile(file.warm_start_file));
    out->initial = std::move(model.parameters);
  }
  TRB_ASSIGN_OR_RETURN(out->parts, data::Partition(out->train, a.partition, a.clients, file.plan.seed()));
  if (!a.trace.empty()) {
    TRB_ASSIGN_OR_RETURN(out->trace, learning::SimulationTrace::Create(a.trace, out->plan));
  }
  return absl::OkStatus();
}

absl::Status Simulate(const SimulateArguments& a, Context* c) {
  Interrupt interrupt;
  Loaded loaded;
  TRB_RETURN_IF_ERROR(Load(a, &loaded));
  learning::SimulationInput input = loaded.Input();
  input.stop = [&interrupt] { return interrupt.seen(); };
  input.clock = c->clock;
  std::unique_ptr<SimulationCheckpoint> checkpoint;
  if (!a.checkpoint.empty()) {
    const std::string of = SimulationCheckpoint::Fingerprint(
        loaded.plan, absl::StrCat(a.partition, " ", a.clients, " ", loaded.train.count));
    TRB_ASSIGN_OR_RETURN(checkpoint, SimulationCheckpoint::Open(a.checkpoint, loaded.plan, of));
    if (checkpoint->ended()) return absl::OkStatus();
    checkpoint->Resume(&input);
  }
  RoundPrinter printer(c);
  printer.Header();
  const auto on_round = [&](const learning::SimulatedRound& round, std::span<const float> parameters) {
    printer.OnRound(round);
    // Printed first: who is killed in between sees this round again, the same, but misses none.
    return checkpoint == nullptr || round.abandoned ? absl::OkStatus() : checkpoint->Save(round, parameters);
  };
  TRB_RETURN_IF_ERROR(learning::Simulate(input, on_round).status());
  return printer.Finish();
}

}  // namespace

void AddSimulateVerb(CLI::App* app, Registry* r) {
  auto a = std::make_shared<SimulateArguments>();
  CLI::App* v =
      r->Verb(app, "simulate", "Run a plan with virtual clients in this process",
              "tributary simulate digits.toml --clients 10 --partition iid --data synthetic --test synthetic");
  v->add_option("FILE", a->file, "Run file (TOML)")->required();
  v->add_option("--clients", a->clients, "Virtual clients")->check(CLI::Range(1, 1000000));
  v->add_option("--partition", a->partition, "iid, shards:S (S shards a client) or dirichlet:A");
  v->add_option("--data", a->data, "Training data, as a client would name it")->required();
  v->add_option("--test", a->test, "Test data; instead of the run file's evaluate.data");
  v->add_option("--trace", a->trace, "A directory for the weights, batches and losses of every step, for a replay");
  v->add_option("--checkpoint", a->checkpoint,
                "A file that keeps the model after each round; when it is there, the run goes on from it");
  v->add_option("--set", a->overrides, "key.path=value on top of the file; may be repeated")->allow_extra_args(false);
  CLI::Option* seed = v->add_option("--seed", a->seed, "Instead of the run file's");
  v->callback([a, r, seed] {
    a->has_seed = seed->count() > 0;
    r->action = [a, r] { return Simulate(*a, r->context); };
  });
}

}  // namespace tributary::op
