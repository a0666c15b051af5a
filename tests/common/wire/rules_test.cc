// That the rules are complete: whatever a peer may send has a rule, down to the last field, and the documents say so.
#include "common/wire/rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/support/golden.h"
#include "tests/support/wire_samples.h"
#include "tributary/v1/enrolment.pb.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::wire {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::ServiceDescriptor;

const ServiceDescriptor* Service(const google::protobuf::Descriptor* of_its_file, const char* name) {
  return of_its_file->file()->FindServiceByName(name);
}

void Walk(const Descriptor* type, std::set<const Descriptor*>* seen) {
  if (type->options().map_entry() || !seen->insert(type).second) return;
  for (int i = 0; i < type->field_count(); ++i) {
    if (type->field(i)->message_type() != nullptr) Walk(type->field(i)->message_type(), seen);
  }
}

// Everything that arrives somewhere and is more than shown to a person. What an operator is answered are documents for
// people (and a model in parts).
std::set<const Descriptor*> ArrivingTypes() {
  std::set<const Descriptor*> types;
  for (const ServiceDescriptor* s : {Service(v1::Hello::descriptor(), "FederationService"),
                                     Service(v1::EnrolRequest::descriptor(), "EnrolmentService"),
                                     Service(v1::GetRunRequest::descriptor(), "OperatorService")}) {
    for (int i = 0; i < s->method_count(); ++i) {
      Walk(s->method(i)->input_type(), &types);
      if (s->name() != "OperatorService") Walk(s->method(i)->output_type(), &types);
    }
  }
  // Messages inside of `bytes`.
  Walk(v1::UpdateMetrics::descriptor(), &types);
  Walk(v1::RunPlan::descriptor(), &types);
  return types;
}

TEST(RulesTest, EveryMessageThatMayArriveHasRules) {
  const std::set<const Descriptor*> types = ArrivingTypes();
  EXPECT_GT(types.size(), 50u);
  for (const Descriptor* type : types) {
    EXPECT_NE(testing::RulesOf(type), nullptr) << type->full_name() << ": add its rules to common/wire";
  }
}

TEST(RulesTest, EveryFieldHasOneRule) {
  for (const MessageRules& rules : AllRules()) {
    const Descriptor* type = rules.type();
    std::map<std::string, int> count;
    for (const FieldRule& f : rules.fields) ++count[std::string(f.field)];
    for (int i = 0; i < type->field_count(); ++i) {
      EXPECT_EQ(count[type->field(i)->name()], 1) << type->field(i)->full_name() << ": add its rule to common/wire";
    }
    EXPECT_EQ(count.size(), static_cast<size_t>(type->field_count())) << type->full_name() << " has a rule too many";
  }
}

TEST(RulesTest, NoMessageHasTwoSetsOfRules) {
  std::set<const Descriptor*> seen;
  for (const MessageRules& rules : AllRules()) EXPECT_TRUE(seen.insert(rules.type()).second) << rules.type()->name();
}

TEST(RulesTest, NothingButRepeatedFieldsHasACount) {
  for (const MessageRules& rules : AllRules()) {
    for (const FieldRule& f : rules.fields) {
      const auto* field = rules.type()->FindFieldByName(std::string(f.field));
      ASSERT_NE(field, nullptr) << f.field;
      EXPECT_TRUE(f.rule.count <= 1 || field->is_repeated()) << field->full_name();
    }
  }
}

// docs/reference/wire-checks.md is made from the rules.
TEST(RulesTest, TheDocumentsListThemAll) {
  std::string text =
      "# What is checked of every message\n\n"
      "Every field of every message that a peer sends, and the rule that it must fit before anything of the message "
      "is\n"
      "used. A message that does not fit is refused with `INVALID_ARGUMENT` and the name of the field; updates have "
      "codes\n"
      "of their own (`Rejected.code`). What a client may send besides is in [the protocol](../protocol.md).\n\n"
      "This page is made from `common/wire/rules_*.cc` by `common_wire_test`, which fails when it is not up to date, "
      "and\n"
      "when a field of a message has no rule.\n";
  for (const MessageRules& rules : AllRules()) {
    absl::StrAppend(&text, "\n## ", rules.type()->name(), "\n\n");
    if (rules.fields.empty()) absl::StrAppend(&text, "Has no fields.\n");
    if (!rules.fields.empty()) absl::StrAppend(&text, "| field | what it may hold |\n|---|---|\n");
    for (const FieldRule& f : rules.fields) {
      const auto* field = rules.type()->FindFieldByName(std::string(f.field));
      absl::StrAppend(&text, "| `", field->name(), "` | ", Describe(f.rule, field->is_repeated()), " |\n");
    }
    if (rules.whole != nullptr) absl::StrAppend(&text, "\nAnd the fields together, as `common/wire` says.\n");
  }
  testing::ExpectGolden("../../docs/reference/wire-checks.md", text);
}

}  // namespace
}  // namespace tributary::wire
