// Bodies of records from anywhere: what is not laid out as it should be is refused, and nothing reads past the end.
#include "common/history/record_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <span>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/history/record_body.h"
#include "tests/support/status_matchers.h"

namespace tributary::history {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

std::string Integer(int64_t value) {
  std::string out = "i";
  AppendLe64(&out, static_cast<uint64_t>(value));
  return out;
}

bool IsReal(std::string_view column) {
  return column.ends_with("_loss") || column.ends_with("_accuracy") || column.ends_with("_norm") ||
         column == "test_f1" || column == "test_precision" || column == "test_recall";
}
bool IsText(std::string_view table, std::string_view column) {
  return column.ends_with("_sha256") || column.ends_with("_id") || column == "id" || column.ends_with("name") ||
         column == "state" || column == "reason" || column == "engine" || column == "federation" || column == "seed" ||
         column == "keep_updates" || column.ends_with("_pem") || table == "none";
}
bool IsBlob(std::string_view column) {
  return column == "plan" || column == "record" || column == "signature" || column == "metrics" || column == "receipt";
}

std::string ValueFor(std::string_view table, std::string_view column, const std::string& client) {
  if (column == "run_id") return "tr-1";
  if (column == "round") return Integer(2);
  if (column == "client_id") return absl::StrCat("t", client);
  if (IsReal(column)) return "n";
  if (IsBlob(column)) return "bytes";
  return IsText(table, column) ? "ttext" : Integer(7);
}

void AppendRow(std::string* body, const std::string& table, std::span<const std::string_view> columns,
               const std::string& client = "c-1") {
  AppendLengthPrefixed(body, table);
  AppendLe64(body, columns.size());
  for (const std::string_view column : columns) {
    AppendLengthPrefixed(body, column);
    AppendLengthPrefixed(body, ValueFor(table, column, client));
  }
}

std::string RoundBody(BodyVersion version = BodyVersion::kV2) {
  std::string body(BodyPrefix(version));
  AppendRow(&body, "rounds", RoundColumns(version));
  AppendRow(&body, "contributions", ContributionColumns(), "c-1");
  AppendRow(&body, "updates", UpdateColumns(), "c-1");
  AppendRow(&body, "contributions", ContributionColumns(), "c-2");
  return body;
}

TEST(RecordRowsTest, ARoundInBothVersions) {
  ASSERT_OK_AND_ASSIGN(const RecordRows two, ReadRows(RoundBody(), "r-1", 2));
  EXPECT_EQ(two.round->audit_sha256, "text");
  EXPECT_EQ(two.contributions.size(), 2u);
  EXPECT_EQ(two.updates.size(), 1u);
  EXPECT_FALSE(two.contributions[0].train_loss.has_value());
  ASSERT_OK_AND_ASSIGN(const RecordRows one, ReadRows(RoundBody(BodyVersion::kV1), "r-1", 2));
  EXPECT_EQ(one.round->audit_sha256, "");
}

TEST(RecordRowsTest, RowsOfAnotherRunOrRoundAreRefused) {
  EXPECT_THAT(ReadRows(RoundBody(), "r-2", 2), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another round")));
  EXPECT_THAT(ReadRows(RoundBody(), "r-1", 3), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("another round")));
  EXPECT_THAT(ReadRows(RoundBody(), "", 0), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(RecordRowsTest, RowsOutOfOrderAreRefused) {
  const auto body = [](const std::vector<std::pair<std::string, std::string>>& rows) {
    std::string out(BodyPrefix(BodyVersion::kV2));
    AppendRow(&out, "rounds", RoundColumns(BodyVersion::kV2));
    for (const auto& [table, client] : rows)
      AppendRow(&out, table, table == "updates" ? UpdateColumns() : ContributionColumns(), client);
    return out;
  };
  EXPECT_OK(ReadRows(body({{"contributions", "a"}, {"contributions", "b"}}), "r-1", 2));
  for (const auto& rows : std::vector<std::vector<std::pair<std::string, std::string>>>{
           {{"contributions", "b"}, {"contributions", "a"}},
           {{"contributions", "a"}, {"contributions", "a"}},
           {{"updates", "a"}, {"contributions", "a"}},
           {{"contributions", "a"}, {"updates", "b"}},
           {{"contributions", "a"}, {"updates", "a"}, {"updates", "a"}},
           {{"rounds", "a"}}}) {
    EXPECT_THAT(ReadRows(body(rows), "r-1", 2), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(RecordRowsTest, ValuesOfAnotherTypeAreRefused) {
  for (const std::string_view column : ContributionColumns()) {
    std::string body(BodyPrefix(BodyVersion::kV1));
    AppendRow(&body, "rounds", RoundColumns(BodyVersion::kV1));
    AppendLengthPrefixed(&body, "contributions");
    AppendLe64(&body, ContributionColumns().size());
    for (const std::string_view each : ContributionColumns()) {
      AppendLengthPrefixed(&body, each);
      // A negative count, a text of another kind, bytes where a number should be.
      AppendLengthPrefixed(&body, each == column ? (IsReal(each) ? "rshort" : "z") : ValueFor("", each, "c-1"));
    }
    const bool unused = column == "sequence" || column == "reason" || column == "upload_ms";  // sealed, not judged
    EXPECT_EQ(ReadRows(body, "r-1", 2).ok(), unused) << column;
  }
}

TEST(RecordRowsTest, MutatedBodiesNeverBreakIt) {
  const std::string whole = RoundBody();
  std::mt19937 random(7);  // fixed: a failure names its turn
  int read = 0;
  for (int turn = 0; turn < 20'000; ++turn) {
    std::string body = whole;
    for (int i = 0; i < 3; ++i) body[random() % body.size()] = static_cast<char>(random());
    if (turn % 5 == 0) body.resize(random() % body.size());
    read += ReadRows(body, "r-1", 2).ok() ? 1 : 0;
  }
  EXPECT_LT(read, 20'000);
}

TEST(RecordBodyTest, ACountThatLiesCostsNoMemory) {
  std::string body(BodyPrefix(BodyVersion::kV1));
  AppendLengthPrefixed(&body, "rounds");
  AppendLe64(&body, ~uint64_t{0});
  EXPECT_THAT(ParseBody(body), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(RecordBodyTest, ADifferenceIsNamedByColumnAndClient) {
  std::string other = RoundBody();
  EXPECT_EQ(DescribeDifference(other, other), "");
  const size_t at = other.rfind("weight");  // of the last client's row
  other[at + 6 + 8 + 1] ^= 1;
  EXPECT_EQ(DescribeDifference(RoundBody(), other), "weight in contributions of client c-2");
  EXPECT_THAT(DescribeDifference(RoundBody(), RoundBody(BodyVersion::kV1)), HasSubstr("the columns of rounds"));
}

}  // namespace
}  // namespace tributary::history
