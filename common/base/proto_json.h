// A protobuf message as JSON: field names as in the .proto file, 64-bit integers as strings. What programs print and
// write into files; nothing here reads JSON.
#ifndef TRIBUTARY_COMMON_BASE_PROTO_JSON_H_
#define TRIBUTARY_COMMON_BASE_PROTO_JSON_H_

#include <string>

namespace google::protobuf {
class Message;
}

namespace tributary {

struct JsonStyle {
  bool all_primitives = true;  // also those without presence that are 0, false or empty
  bool pretty = false;         // over several lines; else one line without a newline
};

std::string ProtoToJson(const google::protobuf::Message& message, const JsonStyle& style = {});

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_PROTO_JSON_H_
