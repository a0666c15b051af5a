#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/data/partition.h"
#include "common/learning/model_file.h"
#include "common/learning/simulator.h"
#include "common/nn/engine.h"
#include "server/operator/data_for_model.h"
#include "server/operator/interrupt.h"
#include "server/operator/run_file.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

struct SimulateArguments {
  std::string file, partition = "iid", data, test;
  std::vector<std::string> overrides;
  uint32_t clients = 10;
  uint64_t seed = 0;
  bool has_seed = false;
};

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
    rounds_.push_back(ToDocument(round));
    if (context_.format == Format::kTable) context_.out << TableLine(rounds_.back()) << std::flush;
    if (context_.format != Format::kTable && context_.format != Format::kCsv)
      context_.out << ToJson(rounds_.back()) << "\n" << std::flush;
  }
  absl::Status Finish() const {
    if (context_.format != Format::kCsv || rounds_.empty()) return absl::OkStatus();
    Answer answer{&rounds_[0], {}, ""};
    for (const auto& r : rounds_) answer.rows.push_back(&r);
    return context_.Print(answer);
  }

 private:
  Context& context_;
  std::vector<v1::SimulationRound> rounds_;
};

absl::Status Simulate(const SimulateArguments& a, Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(a.file, 1 << 20));
  TRB_ASSIGN_OR_RETURN(RunFile file, ParseRunFile(text, a.file, a.overrides));
  if (a.has_seed) file.plan.set_seed(a.seed);
  if (!file.plan.warm_start().empty() && file.warm_start_file.empty())
    return absl::InvalidArgumentError(
        "model.from names a run, and simulate has no coordinator: export it and name its file");
  Interrupt interrupt;
  TRB_ASSIGN_OR_RETURN(const data::Dataset train, LoadForModel(file.plan.model(), {a.data, "", false}));
  data::Dataset test;
  if (!a.test.empty()) {
    TRB_ASSIGN_OR_RETURN(test, LoadForModel(file.plan.model(), {a.test, "", true}));
  }
  std::vector<float> initial;
  if (!file.warm_start_file.empty()) {
    TRB_ASSIGN_OR_RETURN(learning::ModelFile model, learning::ReadModelFile(file.warm_start_file));
    initial = std::move(model.parameters);
  }
  TRB_ASSIGN_OR_RETURN(data::Parts parts,
                       data::Partition(train.labels, train.num_classes, a.partition, a.clients, file.plan.seed()));
  const learning::SimulationInput input{file.plan,
                                        train,
                                        std::move(parts),
                                        a.test.empty() ? nullptr : &test,
                                        std::move(initial),
                                        nn::DefaultThreads(),
                                        [&interrupt] { return interrupt.seen(); },
                                        c->clock};
  RoundPrinter printer(c);
  printer.Header();
  TRB_RETURN_IF_ERROR(
      learning::Simulate(input, [&](const learning::SimulatedRound& r) { printer.OnRound(r); }).status());
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
  v->add_option("--test", a->test, "Test data");
  v->add_option("--set", a->overrides, "key.path=value on top of the file; may be repeated")->allow_extra_args(false);
  CLI::Option* seed = v->add_option("--seed", a->seed, "Instead of the run file's");
  v->callback([a, r, seed] {
    a->has_seed = seed->count() > 0;
    r->action = [a, r] { return Simulate(*a, r->context); };
  });
}

}  // namespace tributary::op
