// Fields whose rule is "checked by ...": that this function does refuse what they may not hold.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "common/learning/plan_check.h"
#include "common/update/signed_record.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wire_samples.h"
#include "tributary/v1/plan.pb.h"
#include "tributary/v1/update.pb.h"

namespace tributary::wire {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using testing::IsOk;

constexpr char kPlan[] = R"pb(
  name: "digits"
  rounds: 3
  seed: 1
  model {
    input: [ 8, 8, 1 ]
    layers {
      conv2d {
        filters: 4
        kernel_height: 3
        kernel_width: 3
        stride_height: 1
        stride_width: 1
        padding: PADDING_SAME
        activation: ACTIVATION_RELU
      }
    }
    layers { max_pool2d { pool_height: 2 pool_width: 2 stride_height: 2 stride_width: 2 padding: PADDING_VALID } }
    layers { avg_pool2d { pool_height: 2 pool_width: 2 stride_height: 2 stride_width: 2 padding: PADDING_VALID } }
    layers { dropout { rate: 0.5 } }
    layers { flatten {} }
    layers { activation { activation: ACTIVATION_TANH } }
    layers { dense { units: 2 activation: ACTIVATION_SOFTMAX } }
    loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY
    classes: [ "cat", "dog" ]
    input_mean: 0.5
    input_std: 0.25
    preset: "mine"
  }
  train {
    epochs: 1
    batch_size: 32
    optimizer: OPTIMIZER_MOMENTUM
    learning_rate: 0.1
    learning_rate_decay: 0.9
    validation_split: 0.1
    weight_decay: 0.1
    clip_norm: 1
    precision: "float32"
    momentum: 0.9
  }
  round {
    clients: 2
    min_clients: 1
    over_select: 1
    deadline_ms: 1000
    select_wait_ms: 10
    stall_timeout_ms: 1000
    max_failed_rounds: 3
    where { key: "region" value: "eu" }
  }
  aggregate { strategy: "fedavg" server_learning_rate: 1 max_weight: 1024 }
  evaluate { every: 1 data: "synthetic" format: "synthetic" }
  stop { metric: "test_accuracy" target: 0.9 }
  keep_updates: "run"
  warm_start: "r-0123@best"
  initial_model_sha256: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)pb";

const v1::RunPlan& Plan() {
  static const auto* plan = [] {
    auto* p = new v1::RunPlan;
    TRB_CHECK(google::protobuf::TextFormat::ParseFromString(kPlan, p));
    return p;
  }();
  return *plan;
}

// Values that hardly any field may hold, by its type. Each is tried; one of them has to be refused.
std::vector<std::function<void(Message*)>> WildValues(const FieldDescriptor* f) {
  std::vector<std::function<void(Message*)>> out;
  const auto add = [&out](auto set) { out.push_back(set); };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const bool many = f->is_repeated();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      for (const std::string& v : {std::string("\x1b[2J\0", 5), std::string(5000, 'x')}) {
        add([=](Message* m) {
          many ? m->GetReflection()->SetRepeatedString(m, f, 0, v) : m->GetReflection()->SetString(m, f, v);
        });
      }
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      for (const uint32_t v : {0u, std::numeric_limits<uint32_t>::max()}) {
        add([=](Message* m) {
          many ? m->GetReflection()->SetRepeatedUInt32(m, f, 0, v) : m->GetReflection()->SetUInt32(m, f, v);
        });
      }
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      for (const uint64_t v : {uint64_t{0}, std::numeric_limits<uint64_t>::max()}) {
        add([=](Message* m) { m->GetReflection()->SetUInt64(m, f, v); });
      }
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      add([=](Message* m) { m->GetReflection()->SetDouble(m, f, kNan); });
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      add([=](Message* m) {
        many ? m->GetReflection()->SetRepeatedFloat(m, f, 0, static_cast<float>(kNan))
             : m->GetReflection()->SetFloat(m, f, static_cast<float>(kNan));
      });
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      add([=](Message* m) { m->GetReflection()->SetEnumValue(m, f, 99); });
      break;
    default:
      break;
  }
  return out;
}

// Calls `visit` for `message` and every message in it.
void ForEachMessage(Message* message, const std::function<void(Message*)>& visit) {
  visit(message);
  const Reflection& r = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r.ListFields(*message, &fields);
  for (const FieldDescriptor* f : fields) {
    if (f->message_type() == nullptr || f->is_map()) continue;
    if (!f->is_repeated()) ForEachMessage(r.MutableMessage(message, f), visit);
    for (int i = 0; f->is_repeated() && i < r.FieldSize(*message, f); ++i) {
      ForEachMessage(r.MutableRepeatedMessage(message, f, i), visit);
    }
  }
}

// How many wild values of `field` (in any message of its type within `root`) `refused` refuses.
int Refusals(const Message& root, const FieldDescriptor* field, const std::function<bool(const Message&)>& refused) {
  int count = 0;
  for (const auto& apply : WildValues(field)) {
    const std::unique_ptr<Message> spoilt(root.New());
    spoilt->CopyFrom(root);
    bool applied = false;
    ForEachMessage(spoilt.get(), [&](Message* m) {
      const bool has = field->is_repeated() ? m->GetDescriptor() == field->containing_type() &&
                                                  m->GetReflection()->FieldSize(*m, field) > 0
                                            : m->GetDescriptor() == field->containing_type();
      if (!has || applied) return;
      apply(m);
      applied = true;
    });
    EXPECT_TRUE(applied) << field->full_name() << " is not in the sample";
    count += refused(*spoilt);
  }
  return count;
}

// Every scalar field with a rule "checked by `by`" within `root`.
void ExpectChecked(const Message& root, const std::vector<std::string>& by,
                   const std::function<bool(const Message&)>& refused) {
  for (const MessageRules& rules : AllRules()) {
    for (const FieldRule& f : rules.fields) {
      const FieldDescriptor* field = rules.type()->FindFieldByName(std::string(f.field));
      const bool mine = std::find(by.begin(), by.end(), f.rule.by) != by.end();
      if (!mine || field->message_type() != nullptr || rules.type()->name() == "ModelHeader") continue;
      EXPECT_GT(Refusals(root, field, refused), 0) << field->full_name() << ": nothing is refused";
    }
  }
}

TEST(ElsewhereTest, EveryFieldOfAPlanIsChecked) {
  ASSERT_THAT(learning::ValidatePlan(Plan()), IsOk());
  ExpectChecked(Plan(), {"learning::CheckPlan", "nn::ModelDescription::FromProto"},
                [](const Message& m) { return !learning::ValidatePlan(static_cast<const v1::RunPlan&>(m)).ok(); });
}

TEST(ElsewhereTest, EveryFieldOfAnUpdatesRecordIsChecked) {
  v1::UpdateRecord r;
  r.set_federation("f-1");
  r.set_run_id("r-1");
  r.set_round(1);
  r.set_client_id("c-1");
  r.set_encoding("float32");
  r.set_length(4);
  r.set_examples(1);
  for (const char* digest :
       {"task_id", "certificate_sha256", "base_model_sha256", "plan_sha256", "update_sha256", "metrics_sha256"}) {
    r.GetReflection()->SetString(&r, r.GetDescriptor()->FindFieldByName(digest), std::string(64, 'a'));
  }
  ASSERT_THAT(update::CheckWellFormed(r), IsOk());
  ExpectChecked(r, {"update::CheckWellFormed"}, [](const Message& m) {
    return !update::CheckWellFormed(static_cast<const v1::UpdateRecord&>(m)).ok();
  });
}

TEST(ElsewhereTest, EveryFieldOfTheMetricsIsChecked) {
  v1::UpdateMetrics metrics;
  metrics.set_train_loss(1);
  ASSERT_THAT(update::ParseMetrics(metrics.SerializeAsString()), IsOk());
  ExpectChecked(metrics, {"update::ParseMetrics"},
                [](const Message& m) { return !update::ParseMetrics(m.SerializeAsString()).ok(); });
}

}  // namespace
}  // namespace tributary::wire
