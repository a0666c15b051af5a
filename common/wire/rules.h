// Every field of every message that a peer sends, with the rule that it is checked by: the one list. A message or a
// field that is not in it does not pass Check; a test walks the descriptors of all messages that may arrive and fails
// when one is missing, and holds docs/reference/wire-checks.md to this list.
// Threads: the tables are constant.
#ifndef TRIBUTARY_COMMON_WIRE_RULES_H_
#define TRIBUTARY_COMMON_WIRE_RULES_H_

#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/wire/rule.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace tributary::wire {

struct FieldRule {
  std::string_view field;  // its name in the message
  Rule rule;
};

struct MessageRules {
  const google::protobuf::Descriptor* (*type)();
  std::vector<FieldRule> fields;
  // What no field can be judged by alone; after the fields. Null: nothing.
  absl::Status (*whole)(const google::protobuf::Message& message) = nullptr;
};

const std::vector<MessageRules>& AllRules();

// By who sends them; AllRules joins them.
std::vector<MessageRules> RulesToCoordinator();  // clients, strangers, operators
std::vector<MessageRules> RulesToClient();

}  // namespace tributary::wire

#endif  // TRIBUTARY_COMMON_WIRE_RULES_H_
