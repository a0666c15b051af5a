#include "common/history/audit_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "common/history/record_body.h"

namespace tributary::history {
namespace {

using ::testing::HasSubstr;

v1::AuditEntry Entry(uint64_t sequence, const std::string& previous) {
  v1::AuditEntry entry;
  entry.set_sequence(sequence);
  entry.set_time_unix_ms(1'700'000'000'000);
  entry.set_actor("operator/local");
  entry.set_action("client.invite");
  entry.set_subject("site-1");
  entry.set_outcome("ok");
  entry.set_certificate_sha256(std::string(64, 'c'));
  entry.set_previous_sha256(previous);
  entry.set_entry_sha256(AuditDigest(entry));
  return entry;
}

// The layout is a contract (docs/protocol.md): made with Python's hashlib, as tests/e2e/prove_test.py does it.
TEST(AuditDigestTest, IsThatOfTheDocumentedBytes) {
  EXPECT_EQ(Entry(1, std::string(kNoRecord)).entry_sha256(),
            "7567d985dbb38633135525c2db62eadac7e4768833f00bd65ceb1b213ffcf645");
}

TEST(AuditDigestTest, EveryFieldCounts) {
  const v1::AuditEntry entry = Entry(1, std::string(kNoRecord));
  const std::vector<std::function<void(v1::AuditEntry*)>> changes = {
      [](v1::AuditEntry* e) { e->set_sequence(2); },
      [](v1::AuditEntry* e) { e->set_time_unix_ms(e->time_unix_ms() + 1); },
      [](v1::AuditEntry* e) { e->set_actor("operator/loca"); },
      [](v1::AuditEntry* e) { e->set_action("lclient.invite"); },
      [](v1::AuditEntry* e) { e->set_subject("site-2"); },
      [](v1::AuditEntry* e) { e->set_outcome("no"); },
      [](v1::AuditEntry* e) { e->set_certificate_sha256(""); },
      [](v1::AuditEntry* e) { e->set_previous_sha256(std::string(64, 'a')); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    v1::AuditEntry other = entry;
    changes[i](&other);
    EXPECT_NE(AuditDigest(other), entry.entry_sha256()) << "change " << i;
  }
  // What moves from one field to the next does not go unseen.
  v1::AuditEntry moved = entry;
  moved.set_actor("operator/localc");
  moved.set_action("lient.invite");
  EXPECT_NE(AuditDigest(moved), entry.entry_sha256());
}

TEST(AuditChainTest, TakesOneEntryAfterTheOther) {
  AuditChainCheck check;
  EXPECT_EQ(check.head(), kNoRecord);
  const v1::AuditEntry first = Entry(1, std::string(kNoRecord)), second = Entry(2, first.entry_sha256());
  EXPECT_EQ(check.CheckNext(first), "");
  EXPECT_EQ(check.CheckNext(second), "");
  EXPECT_EQ(check.sequence(), 2u);
  EXPECT_EQ(check.head(), second.entry_sha256());
}

TEST(AuditChainTest, NamesWhatDoesNotFit) {
  const v1::AuditEntry first = Entry(1, std::string(kNoRecord)), second = Entry(2, first.entry_sha256());
  const auto after_first = [&](const v1::AuditEntry& next) {
    AuditChainCheck check;
    EXPECT_EQ(check.CheckNext(first), "");
    return check.CheckNext(next);
  };
  EXPECT_THAT(after_first(Entry(3, first.entry_sha256())), HasSubstr("row 2 of the audit is gone"));
  EXPECT_THAT(after_first(first), HasSubstr("row 2 of the audit is gone"));
  EXPECT_THAT(after_first(Entry(2, std::string(64, 'b'))), HasSubstr("does not follow"));
  v1::AuditEntry changed = second;
  changed.set_subject("site-9");
  EXPECT_THAT(after_first(changed), HasSubstr("its digest is wrong"));
}

}  // namespace
}  // namespace tributary::history
