// Messages made from the rules of the wire (common/wire/rules.h): one that fits for every type, and the values that do
// not fit for every field. Also what the fuzzers start from.
#ifndef TRIBUTARY_TESTS_SUPPORT_WIRE_SAMPLES_H_
#define TRIBUTARY_TESTS_SUPPORT_WIRE_SAMPLES_H_

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/wire/rules.h"

namespace tributary::testing {

// Fits every rule: each field has a value, each repeated field one element. Fields that are checked elsewhere are left
// out; so are the other members of a oneof than its last one.
std::unique_ptr<google::protobuf::Message> FittingMessage(const google::protobuf::Descriptor* type);

struct Misfit {
  std::string name;
  std::function<void(google::protobuf::Message* message)> apply;  // to a message that fits
};
// What must be refused of this field.
std::vector<Misfit> MisfitsOf(const google::protobuf::Descriptor* type, const wire::FieldRule& rule);

// Null when the type has no rules.
const wire::MessageRules* RulesOf(const google::protobuf::Descriptor* type);

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SUPPORT_WIRE_SAMPLES_H_
