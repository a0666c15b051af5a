#include "server/operator/output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/operator/documents.h"
#include "tests/support/golden.h"
#include "tests/support/status_matchers.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::op {
namespace {

v1::Round MeasuredRound() {
  v1::Round r;
  r.set_round(3);
  r.set_state("committed");
  r.set_accepted(2);
  r.set_examples(6000);
  r.set_train_loss(0.25);
  r.set_test_accuracy(0.9831);
  return r;
}

TEST(OutputTest, MetricsNotMeasuredAreAbsentAndPrimitivesAlwaysThere) {
  const nlohmann::json j = nlohmann::json::parse(ToJson(MeasuredRound()));
  EXPECT_EQ(j["test_accuracy"], 0.9831);
  EXPECT_FALSE(j.contains("test_loss"));
  EXPECT_FALSE(j.contains("validation_accuracy"));
  EXPECT_FALSE(j.contains("overhead_ms"));
  EXPECT_EQ(j["reason"], "");
  EXPECT_EQ(j["bytes_up"], "0") << "64-bit integers are strings, as protobuf's JSON has them";
}

TEST(OutputTest, AConfusionMatrixIsRowsOfNumbers) {
  v1::EvaluationDocument d;
  auto* row = d.add_confusion();
  row->add_values()->set_number_value(5);
  row->add_values()->set_number_value(1);
  const nlohmann::json j = nlohmann::json::parse(ToJson(d));
  EXPECT_EQ(j["confusion"], nlohmann::json::parse("[[5, 1]]"));
  EXPECT_FALSE(j.contains("accuracy"));
}

TEST(OutputTest, JsonLinesAreOneRowALine) {
  const v1::Round a = MeasuredRound(), b = MeasuredRound();
  v1::RunDocument document;
  const std::string text = Render({&document, {&a, &b}, ""}, Format::kJsonl);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(nlohmann::json::parse(text.substr(0, text.find('\n')))["round"], "3");
}

TEST(OutputTest, CsvHasTheFieldNamesAndQuotesWhatNeedsIt) {
  v1::Round r = MeasuredRound();
  r.set_reason("late, \"by\" far");
  v1::RunDocument document;
  testing::ExpectGolden("output/round.csv", Render({&document, {&r}, ""}, Format::kCsv));
}

TEST(OutputTest, TablesAlignNumbersRight) {
  Table t({"name", "examples"});
  t.Add({"a", "5"});
  t.Add({"long-name", "60000"});
  EXPECT_EQ(t.ToString(),
            "name       examples\n"
            "a                 5\n"
            "long-name     60000\n");
}

TEST(OutputTest, APeersControlBytesDoNotReachTheTerminal) {
  Table t({"reason"});
  t.Add({"\x1b[2Jgone"});
  EXPECT_EQ(t.ToString(), "reason\n\\x1b[2Jgone\n");
}

// Puts `text` into every string of the message and of those in it; two of each repeated message.
void FillStrings(google::protobuf::Message* m, const std::string& text, int depth = 0) {
  const auto& r = *m->GetReflection();
  for (int i = 0; i < m->GetDescriptor()->field_count(); ++i) {
    const auto* f = m->GetDescriptor()->field(i);
    if (f->is_map() || depth > 6) continue;
    if (f->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      f->is_repeated() ? r.AddString(m, f, text) : r.SetString(m, f, text);
    } else if (f->message_type() != nullptr && f->containing_oneof() == nullptr) {
      FillStrings(f->is_repeated() ? r.AddMessage(m, f) : r.MutableMessage(m, f), text, depth + 1);
    }
  }
}

template <class Document>
void ExpectHarmless(std::string (*table)(const Document&)) {
  Document document;
  FillStrings(&document,
              "\x1b]0;owned\a\x1b[2J\xC2\x9B"
              "31m\r\xE2\x80\xAE");
  for (const Format format : {Format::kTable, Format::kCsv, Format::kJson, Format::kJsonl}) {
    const std::string out = Render({&document, {&document}, table(document)}, format);
    EXPECT_FALSE(out.empty());
    for (const char c : out)
      EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << Document().GetTypeName();
    for (const char* bad : {"\x7f", "\xC2\x9B", "\xE2\x80\xAE"}) {
      EXPECT_EQ(out.find(bad), std::string::npos) << Document().GetTypeName() << " " << static_cast<int>(format);
    }
  }
}

// A client chooses its classes, versions and reasons; an operator's terminal shows them.
TEST(OutputTest, NoWordOfAPeerReachesATerminalRaw) {
  ExpectHarmless(&StatusTable);
  ExpectHarmless(&RunListTable);
  ExpectHarmless(&RunTable);
  ExpectHarmless(&ClientListTable);
  ExpectHarmless(&ClientTable);
  ExpectHarmless(&VerificationTable);
  ExpectHarmless(&AuditTable);
}

TEST(OutputTest, CellsReadWell) {
  EXPECT_EQ(Percent(0.98312), "98.31%");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(2775848), "2.8 MB");
  EXPECT_EQ(Millis(999), "999 ms");
  EXPECT_EQ(Millis(12340), "12.3 s");
  EXPECT_EQ(Millis(245000), "4m05s");
  EXPECT_EQ(When(0), "-");
  EXPECT_EQ(When(1700000000000), "2023-11-14 22:13:20");
  EXPECT_EQ(Short(std::string(64, 'a')), "aaaaaaaaaaaa");
}

TEST(OutputTest, FormatsAreFourWords) {
  EXPECT_THAT(ParseFormat("jsonl"), testing::IsOkAndHolds(Format::kJsonl));
  EXPECT_THAT(ParseFormat("yaml"), testing::StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tributary::op
