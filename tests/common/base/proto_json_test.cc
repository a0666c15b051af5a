#include "common/base/proto_json.h"

#include <gmock/gmock.h>
#include <google/protobuf/type.pb.h>

namespace tributary {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A message that comes with protobuf: base knows none of ours.
google::protobuf::Field Sample() {
  google::protobuf::Field field;
  field.set_number(7);
  field.set_type_url("a \"b\"\n");
  return field;
}

TEST(ProtoJsonTest, NamesAreThoseOfTheProtoFileAndPrimitivesAreAlwaysThere) {
  EXPECT_THAT(ProtoToJson(Sample()), AllOf(HasSubstr("\"number\":7"), HasSubstr("\"type_url\":\"a \\\"b\\\"\\n\""),
                                           HasSubstr("\"oneof_index\":0"), HasSubstr("\"packed\":false")));
}

TEST(ProtoJsonTest, WithoutPrimitivesOnlyWhatIsSetIsThere) {
  EXPECT_EQ(ProtoToJson(Sample(), {.all_primitives = false}), "{\"number\":7,\"type_url\":\"a \\\"b\\\"\\n\"}");
  EXPECT_EQ(ProtoToJson(google::protobuf::Field(), {.all_primitives = false}), "{}");
}

TEST(ProtoJsonTest, OneLineUnlessItShallBePretty) {
  EXPECT_THAT(ProtoToJson(Sample()), Not(HasSubstr("\n")));
  EXPECT_THAT(ProtoToJson(Sample(), {.pretty = true}), HasSubstr("{\n \"kind\": \"TYPE_UNKNOWN\",\n"));
}

}  // namespace
}  // namespace tributary
