#include "client/session/history_check.h"

#include <gtest/gtest.h>

#include "tests/client/session/test_federation.h"

namespace tributary::session {
namespace {

class HistoryCheckTest : public testing::Test {
 protected:
  // As if round `round` was the newest task seen.
  RunMemory Remembering(uint64_t round) const { return MemoryOf(federation_.Task(round)); }

  const TestFederation federation_;
};

TEST_F(HistoryCheckTest, RecordDigestHasAKnownValue) {
  // sha256("tributary/record/v1\0" + "a"*64 + "b"*64), computed with another program.
  EXPECT_EQ("e9967cd492fd49bf2c6917f490ac6d86b2322348d72dcebfede120d6b606d2bf",
            RecordDigest(std::string(64, 'a'), std::string(64, 'b')));
}

TEST_F(HistoryCheckTest, TheFirstTaskOfARunIsTaken) {
  EXPECT_FALSE(CheckHistory(std::nullopt, federation_.Task(1)).refused());
  EXPECT_FALSE(CheckHistory(std::nullopt, federation_.Task(7)).refused());
}

TEST_F(HistoryCheckTest, RoundOneMustStandOnGenesis) {
  v1::TrainTask task = federation_.Task(1);
  task.set_previous_record_sha256(federation_.Record(3));
  EXPECT_EQ("history_fork", CheckHistory(std::nullopt, task).code);
}

TEST_F(HistoryCheckTest, TheSameTaskAgainIsTaken) {
  EXPECT_FALSE(CheckHistory(Remembering(3), federation_.Task(3)).refused());
}

TEST_F(HistoryCheckTest, TheSameRoundWithAnotherPastIsAFork) {
  v1::TrainTask task = federation_.Task(3);
  task.set_previous_record_sha256(std::string(64, 'e'));
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, TheSameRoundWithAnotherBaseModelIsAFork) {
  v1::TrainTask task = federation_.Task(3);
  task.set_base_model_sha256(std::string(64, 'e'));
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, AnotherPlanIsAForkInAnyRound) {
  for (const uint64_t round : {3, 4}) {
    v1::TrainTask task = federation_.Task(round, 3);
    task.set_plan_sha256(std::string(64, 'e'));
    EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
  }
}

TEST_F(HistoryCheckTest, WhatAnOlderVersionDidNotRememberIsNotCompared) {
  RunMemory memory = Remembering(3);
  memory.base_model_sha256.clear();
  memory.plan_sha256.clear();
  EXPECT_FALSE(CheckHistory(memory, federation_.Task(3)).refused());
}

TEST_F(HistoryCheckTest, AnOlderRoundIsARollback) {
  EXPECT_EQ("history_rollback", CheckHistory(Remembering(3), federation_.Task(2)).code);
}

TEST_F(HistoryCheckTest, LinkedRoundsAreTaken) {
  EXPECT_FALSE(CheckHistory(Remembering(1), federation_.Task(2, 1)).refused());
  EXPECT_FALSE(CheckHistory(Remembering(3), federation_.Task(9, 3)).refused());
}

TEST_F(HistoryCheckTest, LinksFromBeforeWhatIsRememberedDoNoHarm) {
  EXPECT_FALSE(CheckHistory(Remembering(3), federation_.Task(5, 1)).refused());
}

TEST_F(HistoryCheckTest, ANewerRoundWithoutLinksIsAFork) {
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), federation_.Task(4)).code);
}

TEST_F(HistoryCheckTest, AMissingLinkIsAFork) {
  v1::TrainTask task = federation_.Task(6, 3);
  task.mutable_links()->DeleteSubrange(1, 1);
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, LinksThatStopTooEarlyAreAFork) {
  v1::TrainTask task = federation_.Task(6, 3);
  task.mutable_links()->RemoveLast();
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, LinksBeyondTheTaskAreAFork) {
  v1::TrainTask task = federation_.Task(6, 3);
  *task.add_links() = federation_.Task(7, 6).links(0);
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, AChangedLinkIsAFork) {
  v1::TrainTask task = federation_.Task(6, 3);
  task.mutable_links(1)->set_body_sha256(std::string(64, 'b'));
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, AnotherGenesisIsAFork) {
  v1::TrainTask task = federation_.Task(4, 3);
  task.set_genesis_sha256(std::string(64, 'a'));
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

TEST_F(HistoryCheckTest, AnotherReceiptKeyIsAFork) {
  v1::TrainTask task = federation_.Task(4, 3);
  task.set_receipt_certificate_pem(TestFederation().Task(4).receipt_certificate_pem());
  EXPECT_EQ("history_fork", CheckHistory(Remembering(3), task).code);
}

}  // namespace
}  // namespace tributary::session
