// A ledger's history as a proof, checked as a data owner checks it: with nothing but the file and its own receipts.
#include "server/ledger/proof_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/history/proof_check.h"
#include "common/history/receipt_check.h"
#include "common/update/signed_record.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::ledger {
namespace {

using history::CheckedProof;
using storage::Bytes;
using storage::Row;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using testing::StatusIs;

constexpr const char* kRun = "run-0001";
constexpr size_t kEndBytes = 9 + 32;

class ProofExportTest : public ::testing::Test {
 protected:
  // Two committed rounds of c00 and c01, and one that was abandoned although both had sent their updates.
  ProofExportTest() {
    ledger_.CreateRun();
    for (int i = 0; i < 2; ++i) ledger_.CommitRound(kRun, 2);
    const uint64_t round = ledger_.BeginRound(kRun, 3);
    for (const char* client : {"c00", "c01"})
      EXPECT_THAT(ledger_.store().AcceptUpdate(ledger_.MakeAcceptance(kRun, round, client, client)), IsOk());
    EXPECT_OK(ledger_.store().AbandonRound(kRun, round, {.reason = "few", .open_rows_become = "late"}, 5));
  }

  absl::StatusOr<std::string> Export() {
    std::string out;
    TRB_ASSIGN_OR_RETURN(const auto proof, ProofExport::Open(&ledger_.database(), kRun));
    for (;;) {
      TRB_ASSIGN_OR_RETURN(const std::string piece, proof->Next());
      if (piece.empty()) return out;
      out += piece;
    }
  }
  CheckedProof Check(const std::string& bytes, const std::set<std::string>& pinned = {}) {
    const std::string path = dir_.Write("a.proof", bytes);
    std::set<std::string> wanted;
    for (const v1::Receipt& receipt : Receipts()) wanted.insert(receipt.record().task_id());
    auto out = history::CheckProof(path, pinned, wanted);
    EXPECT_THAT(out, IsOk());
    return out.value_or(CheckedProof());
  }
  std::string CheckedFault(const std::string& bytes) {
    const std::string path = dir_.Write("a.proof", bytes);
    const auto out = history::CheckProof(path, {}, {});
    return out.ok() ? out->fault : std::string(out.status().message());
  }
  // What c01 keeps, by round.
  std::vector<v1::Receipt> Receipts() {
    std::vector<v1::Receipt> out;
    EXPECT_OK(ledger_.database().Query("SELECT receipt FROM updates WHERE client_id = 'c01' ORDER BY round", {},
                                       [&](const Row& row) {
                                         EXPECT_TRUE(out.emplace_back().ParseFromString(row.Text(0)));
                                         return absl::OkStatus();
                                       }));
    return out;
  }
  static std::string Resealed(std::string bytes) {
    bytes.resize(bytes.size() - 32);
    return bytes + crypto::Sha256(bytes);
  }
  LedgerFixture ledger_;
  testing::TempDir dir_;
};

TEST_F(ProofExportTest, AProofThatSpansARotationHangsOnEitherAuthority) {
  ledger_.CommitRound(kRun, 2);
  ASSERT_OK_AND_ASSIGN(const std::string before, Export());
  ledger_.Rotate();
  ledger_.ReplaceCertificate("c01", nullptr, /*by_a_stranger=*/true);
  ledger_.CommitRound(kRun, 2);
  ASSERT_OK_AND_ASSIGN(const std::string after, Export());
  const std::string first = ledger_.authority().sha256(), second = ledger_.authority(true).sha256();
  EXPECT_EQ(Check(after).fault, "");
  for (const std::set<std::string>& pinned : {std::set{first}, std::set{second}, std::set{first, second}})
    EXPECT_EQ(Check(after, pinned).fault, "");
  EXPECT_THAT(Check(after, {std::string(64, 'a')}).fault, HasSubstr("another federation"));
  EXPECT_THAT(Check(before, {second}).fault, HasSubstr("another federation")) << "it says nothing of the second";
}

TEST_F(ProofExportTest, NobodyCanBringAnAuthorityIntoAProof) {
  ledger_.CommitRound(kRun, 2);
  ledger_.Rotate();
  ledger_.CommitRound(kRun, 2);
  ASSERT_OK_AND_ASSIGN(const std::string bytes, Export());
  // A forger with an authority of his own certifies the key of the real one, to seem of its federation. The real one
  // says nothing of his.
  LedgerFixture forger;
  forger.CreateRun();
  forger.CommitRound(kRun, 1);
  const std::string path = dir_.Write("real.proof", bytes);
  ASSERT_OK_AND_ASSIGN(const auto reader, history::ProofReader::Open(path));
  history::ProofWriter writer;
  std::string forged = writer.Begin(forger.authority());
  for (;;) {
    ASSERT_OK_AND_ASSIGN(const auto entry, reader->Next());
    if (entry.kind == 'e') break;
    if (entry.kind == 'x')
      forged += writer.AddAuthority(
          {*crypto::Certificate::FromDer(entry.certificate_der), *crypto::Certificate::FromDer(entry.cross_der)});
    if (entry.kind == 'r') forged += writer.AddRecord(entry.round, entry.record);
  }
  forged += writer.End();
  EXPECT_THAT(CheckedFault(forged), HasSubstr("none of its authorities vouches for the authority"));
}

TEST_F(ProofExportTest, AnUntouchedHistoryHolds) {
  ASSERT_OK_AND_ASSIGN(const std::string bytes, Export());
  const CheckedProof proof = Check(bytes);
  EXPECT_EQ(proof.fault, "");
  EXPECT_EQ(proof.run, kRun);
  EXPECT_EQ(proof.records.size(), 4u);
  EXPECT_EQ(proof.rounds_committed, 2u);
  EXPECT_EQ(proof.updates_checked, 6u);
  const auto run = ledger_.store().GetRun(kRun)->run;
  EXPECT_EQ(proof.records.back(), run.head_sha256());
  EXPECT_EQ(proof.model_sha256, run.model_sha256());
  EXPECT_EQ(Check(bytes, {proof.authority_sha256}).fault, "");
  EXPECT_THAT(Check(bytes, {std::string(64, 'a')}).fault, HasSubstr("another federation"));
}

TEST_F(ProofExportTest, AnUnknownRunIsNotFound) {
  EXPECT_THAT(ProofExport::Open(&ledger_.database(), "nobody"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ProofExportTest, ItIsWhatTheHistoryWasWhenItBegan) {
  ASSERT_OK_AND_ASSIGN(const auto proof, ProofExport::Open(&ledger_.database(), kRun));
  std::string bytes = *proof->Next();
  ledger_.CommitRound(kRun, 2);
  for (std::string piece = *proof->Next(); !piece.empty(); piece = *proof->Next()) bytes += piece;
  EXPECT_EQ(Check(bytes).records.size(), 4u);
  EXPECT_EQ(Check(bytes).fault, "");
}

// The digest at the end keeps no attacker out: everything must hold without it. A flip inside a length, a digest, a
// signature, a certificate, a column: each is a finding.
TEST_F(ProofExportTest, AnyChangedByteUnderAGoodDigestIsAFinding) {
  ASSERT_OK_AND_ASSIGN(const std::string bytes, Export());
  size_t changed = 0;
  for (size_t at = 0; at + kEndBytes < bytes.size(); at += 53) {
    std::string other = bytes;
    other[at] = static_cast<char>(other[at] ^ (1 << (at % 8)));
    EXPECT_NE(CheckedFault(Resealed(other)), "") << "byte " << at << " of " << bytes.size();
    ++changed;
  }
  EXPECT_GT(changed, 200u);
}

TEST_F(ProofExportTest, EntriesLeftOutDoubledOrSwappedAreFindings) {
  ASSERT_OK_AND_ASSIGN(const std::string bytes, Export());
  std::vector<std::string> entries;
  size_t at = 19;
  while (bytes[at] != 'e') {
    const size_t size = 9 + LoadLe64(&bytes[at + 1]);
    entries.push_back(bytes.substr(at, size));
    at += size;
  }
  const auto joined = [&](const std::vector<std::string>& parts) {
    std::string out = bytes.substr(0, 19);
    for (const std::string& part : parts) out += part;
    return Resealed(out + bytes.substr(bytes.size() - kEndBytes));
  };
  ASSERT_EQ(CheckedFault(joined(entries)), "");
  for (size_t i = 0; i < entries.size(); ++i) {
    std::vector<std::string> less = entries, twice = entries;
    less.erase(less.begin() + static_cast<long>(i));
    twice.insert(twice.begin() + static_cast<long>(i), entries[i]);
    // The last record may be missing: the proof then ends one round earlier. And a certificate may come twice.
    if (i + 1 < entries.size()) {
      EXPECT_NE(CheckedFault(joined(less)), "") << "without entry " << i;
    }
    if (entries[i][0] != 'c') {
      EXPECT_NE(CheckedFault(joined(twice)), "") << "entry " << i << " twice";
    }
    if (i + 1 == entries.size()) continue;
    std::vector<std::string> swapped = entries;
    std::swap(swapped[i], swapped[i + 1]);
    // A certificate may come earlier than it must.
    const bool earlier = i > 0 && entries[i + 1][0] == 'c';
    if (!earlier) {
      EXPECT_NE(CheckedFault(joined(swapped)), "") << "entries " << i << " and next swapped";
    }
  }
  EXPECT_NE(CheckedFault(joined({})), "");
}

// ---- with the owner's receipts

TEST_F(ProofExportTest, EachReceiptFindsItsUpdateAndWeight) {
  const CheckedProof proof = Check(*Export());
  const auto receipts = Receipts();
  ASSERT_EQ(receipts.size(), 3u);
  const v1::ReceiptCheck first = history::CheckReceipt(receipts[0], proof);
  EXPECT_EQ(first.verdict(), "in_model");
  EXPECT_EQ(first.weight(), 100u);
  EXPECT_EQ(first.examples(), 200u);
  EXPECT_EQ(first.what(), "my update of round 1 is in the model, with weight 100 of 200");
  const v1::ReceiptCheck abandoned = history::CheckReceipt(receipts[2], proof);
  EXPECT_EQ(abandoned.verdict(), "abandoned");
  EXPECT_FALSE(history::Contradicts(abandoned));
}

TEST_F(ProofExportTest, AReceiptThatContradictsSaysHow) {
  CheckedProof proof = Check(*Export());
  v1::Receipt receipt = Receipts()[1];
  const auto verdict = [&] { return history::CheckReceipt(receipt, proof).verdict(); };
  ASSERT_EQ(verdict(), "in_model");
  const CheckedProof whole = proof;

  proof.records[1] = std::string(64, 'f');
  EXPECT_EQ(verdict(), "fork");
  proof = whole;
  proof.updates.clear();
  EXPECT_EQ(verdict(), "missing");
  proof = whole;
  proof.records.resize(2);
  EXPECT_EQ(verdict(), "round_open");
  EXPECT_FALSE(history::Contradicts(history::CheckReceipt(receipt, proof)));
  proof.records.resize(1);
  EXPECT_EQ(verdict(), "not_covered");
  proof = whole;
  v1::UpdateRecord other;
  ASSERT_TRUE(other.ParseFromString(proof.updates.begin()->second.record));
  const std::string task = receipt.record().task_id();
  ASSERT_TRUE(other.ParseFromString(proof.updates.at(task).record));
  other.set_examples(99);
  proof.updates.at(task).record = other.SerializeAsString();
  EXPECT_EQ(verdict(), "other_receipt");
  other.set_update_sha256(std::string(64, 'e'));
  proof.updates.at(task).record = other.SerializeAsString();
  EXPECT_EQ(verdict(), "other_update");
  for (const char* contradicts : {"fork", "missing", "not_covered", "other_receipt", "other_update", "bad_signature"}) {
    v1::ReceiptCheck check;
    check.set_verdict(contradicts);
    EXPECT_TRUE(history::Contradicts(check)) << contradicts;
  }
  proof = whole;
  receipt.set_accepted_unix_ms(receipt.accepted_unix_ms() + 1);
  EXPECT_EQ(verdict(), "bad_signature");
}

TEST_F(ProofExportTest, TheHistoryThatTheClientRemembersIsCompared) {
  const CheckedProof proof = Check(*Export());
  const auto run = ledger_.store().GetRun(kRun);
  history::RememberedRun memory{kRun, run->run.genesis_sha256(), run->receipt_certificate_pem, 3, proof.records[2]};
  std::string agreement;
  EXPECT_THAT(history::CheckRemembered(memory, proof, &agreement), testing::IsOkAndHolds(std::string()));
  EXPECT_EQ(agreement, "agrees");
  memory.previous_record_sha256 = std::string(64, 'a');
  EXPECT_THAT(*history::CheckRemembered(memory, proof, &agreement), HasSubstr("was shown record"));
  memory.round = 9;
  EXPECT_THAT(history::CheckRemembered(memory, proof, &agreement), testing::IsOkAndHolds(std::string()));
  EXPECT_EQ(agreement, "newer");
  memory.genesis_sha256 = std::string(64, 'b');
  EXPECT_THAT(*history::CheckRemembered(memory, proof, &agreement), HasSubstr("another beginning"));
}

// ---- what an insider with the receipt key did: every digest and signature of the records fits

TEST_F(ProofExportTest, AWeightThatTheInsiderGaveIsFoundBySignaturesAndPlan) {
  ledger_.Unlock();
  ASSERT_OK(ledger_.database().Run("UPDATE contributions SET weight = 150 WHERE round = 3 AND client_id = 'c01'"));
  ASSERT_OK(ledger_.database().Run("UPDATE rounds SET examples = 250 WHERE round = 3"));
  ledger_.RewriteRecord(kRun, 3);
  const CheckedProof proof = Check(*Export());
  EXPECT_THAT(proof.fault, HasSubstr("the weight of client c01"));
  EXPECT_EQ(proof.fault_round, 3u);
}

TEST_F(ProofExportTest, AnUpdateThatTheInsiderLeftOutIsMissedByItsOwner) {
  const auto receipts = Receipts();
  ledger_.Unlock();
  for (const char* sql : {"DELETE FROM updates WHERE round = 3 AND client_id = 'c01'",
                          "UPDATE contributions SET state = 'late', weight = 0, bytes_up = 0 WHERE round = 3 AND "
                          "client_id = 'c01'",
                          "UPDATE rounds SET accepted = 1, examples = 100, bytes_up = (SELECT sum(bytes_up) FROM "
                          "contributions WHERE round = 3) WHERE round = 3"})
    ASSERT_OK(ledger_.database().Run(sql));
  ledger_.RewriteRecord(kRun, 3);
  const CheckedProof proof = Check(*Export());
  EXPECT_EQ(proof.fault, "") << "the file alone cannot tell";
  EXPECT_EQ(history::CheckReceipt(receipts[2], proof).verdict(), "missing");
}

TEST_F(ProofExportTest, ARewrittenRoundForksFromLaterReceipts) {
  const auto receipts = Receipts();
  ledger_.Unlock();
  ASSERT_OK(ledger_.database().Run("UPDATE rounds SET test_accuracy = 0.99 WHERE round = 2"));
  ledger_.RewriteRecord(kRun, 2);
  // The insider goes on from there and leaves the old round 3 out.
  for (const char* table : {"records", "updates", "contributions", "rounds"})
    ASSERT_OK(ledger_.database().Run(absl::StrCat("DELETE FROM ", table, " WHERE round = 3")));
  const CheckedProof proof = Check(*Export());
  EXPECT_EQ(proof.fault, "");
  const v1::ReceiptCheck check = history::CheckReceipt(receipts[2], proof);
  EXPECT_EQ(check.verdict(), "fork");
  EXPECT_TRUE(history::Contradicts(check));
}

TEST_F(ProofExportTest, ALedgerWithoutARecordOrCertificateIsNotExported) {
  ledger_.Unlock();
  ASSERT_OK(ledger_.database().RunScript("PRAGMA foreign_keys=OFF; DELETE FROM certificates WHERE client_id = 'c01'"));
  EXPECT_THAT(Export(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("certificate of round 1")));
  ASSERT_OK(ledger_.database().Run("DELETE FROM records WHERE round = 1"));
  EXPECT_THAT(Export(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no record of round 1")));
}

}  // namespace
}  // namespace tributary::ledger
