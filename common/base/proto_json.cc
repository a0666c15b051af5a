#include "common/base/proto_json.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include "common/base/status.h"

namespace tributary {

std::string ProtoToJson(const google::protobuf::Message& message, const JsonStyle& style) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = style.all_primitives;
  options.add_whitespace = style.pretty;
  std::string json;
  // Fails for `Any` of an unknown type only, and no message of ours has one.
  TRB_CHECK(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return json;
}

}  // namespace tributary
