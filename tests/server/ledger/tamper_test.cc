// Every column of every table of the ledger, taken from the schema itself, and every kind of damage to a blob: verify
// finds it, or the list below says why it is not verify's to find. A new table or column fails here until somebody has
// decided.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "server/ledger/verify.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::ledger {
namespace {

using storage::Arg;
using storage::Args;
using storage::Bytes;
using storage::Row;
using testing::IsOk;
using testing::LedgerFixture;

constexpr const char* kRun = "run-0001";
constexpr const char* kShort = "run-short";  // keeps no updates

// "table" or "table.column". docs/reference/database.md says the same to people.
const std::map<std::string, std::string>& NotOfTheHistory() {
  static const auto* const out = new std::map<std::string, std::string>{
      {"clients", "who may take part now, and what its last hello said; the audit has what was done to it"},
      {"client_labels", "likewise"},
      {"operators", "likewise"},
      {"invitations", "likewise"},
      {"events", "what came too late: it changes nothing"},
      {"requests", "which retry belongs to which run"},
      {"authority_states", "how far a rotation is; the audit has each step"},
      {"trusted_authorities", "who can follow a rotation now"},
      {"certificates.serial", "copied from the certificate, whose bytes are checked; the live coordinator reads it"},
      {"certificates.operator_id", "signs nothing in a history"},
      {"certificates.request_sha256", "for retries of enrolment"},
      {"certificates.not_before_unix_ms", "copied from the certificate"},
      {"certificates.not_after_unix_ms", "copied from the certificate"},
      {"certificates.issued_unix_ms", "the audit has it"},
      {"certificates.first_used_unix_ms", "for the live coordinator"},
      {"certificates.state", "whether it is good now; signatures count by what it was then"},
      {"runs.sequence", "the order of lists"},
      {"runs.stalled_ms", "of a run that goes on"},
      {"deleted_blobs.run_id", "whose end asked for it"},
      {"deleted_blobs.deleted_unix_ms", "when"},
      {"deleted_blobs.file_removed", "a note for the next start"},
  };
  return *out;
}

struct Cell {
  Arg::Kind kind = Arg::Kind::kNull;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  Arg AsArg() const {
    if (kind == Arg::Kind::kInteger) return Arg(integer);
    if (kind == Arg::Kind::kReal) return Arg(real);
    if (kind == Arg::Kind::kText) return Arg(text);
    return kind == Arg::Kind::kBlob ? Arg(Bytes{text}) : Arg(nullptr);
  }
};

// What can be done to a value without changing its type: each byte class of it, longer, shorter, empty.
std::vector<Cell> Others(const Cell& cell) {
  std::vector<Cell> out;
  const auto add = [&](const std::function<void(Cell*)>& change) { change(&out.emplace_back(cell)); };
  if (cell.kind == Arg::Kind::kInteger) {
    add([](Cell* c) { c->integer += 1; });
    add([](Cell* c) { c->integer += 1000; });
  } else if (cell.kind == Arg::Kind::kReal) {
    add([](Cell* c) { c->real = std::nextafter(c->real, 1e9); });
  } else if (cell.kind == Arg::Kind::kNull) {
    add([](Cell* c) { *c = {Arg::Kind::kReal, 0, 0.5, ""}; });
  } else {
    const size_t size = cell.text.size();
    for (const size_t at : std::set<size_t>{0, size / 2, size == 0 ? 0 : size - 1})
      if (at < size) add([at](Cell* c) { c->text[at] ^= 1; });
    if (size > 0) add([](Cell* c) { c->text.pop_back(); });
    if (size > 0) add([](Cell* c) { c->text.clear(); });
    add([](Cell* c) { c->text.push_back('x'); });
  }
  return out;
}

class TamperTest : public ::testing::Test {
 protected:
  TamperTest() {
    v1::RunPlan plan = LedgerFixture::Plan();
    plan.set_keep_updates("forever");
    ledger_.CreateRun(plan, kRun);
    for (int i = 0; i < 2; ++i) ledger_.CommitRound(kRun, 2, 0.5 + i * 0.125);
    const uint64_t round = ledger_.BeginRound(kRun, 1);
    EXPECT_OK(ledger_.store().AbandonRound(kRun, round, {.reason = "few", .open_rows_become = "dropped"}, 5));
    EXPECT_OK(ledger_.store().SetRunState(kRun, "completed", "", ledger_.now()));
    plan.set_keep_updates("round");
    ledger_.CreateRun(plan, kShort);
    ledger_.CommitRound(kShort, 1);
    EXPECT_OK(ledger_.store().AddEvent(kRun, 1, "c01", "late_change", "x", 1));
    for (const char* sql : {"INSERT INTO operators (id, name, state, created_unix_ms) VALUES ('o', 'op', 'active', 1)",
                            "INSERT INTO client_labels (client_id, key, value) VALUES ('c01', 'region', 'eu')",
                            "INSERT INTO invitations (token_id, secret_sha256, client_id, created_unix_ms, "
                            "expires_unix_ms) VALUES ('t', 's', 'c01', 1, 2)"})
      EXPECT_OK(ledger_.database().Run(sql));
    ledger_.Rotate();
    Unlock();
  }

  void Unlock() {
    ledger_.Unlock();
    EXPECT_OK(ledger_.database().RunScript("PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON"));
  }

  std::vector<std::string> Names(const std::string& sql) {
    std::vector<std::string> out;
    EXPECT_OK(ledger_.database().Query(sql, {}, [&](const Row& r) {
      out.push_back(r.Text(0));
      return absl::OkStatus();
    }));
    return out;
  }
  std::vector<std::string> Tables() {
    return Names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name");
  }
  std::vector<std::string> Columns(const std::string& table) {
    return Names(absl::StrCat("SELECT name FROM pragma_table_info('", table, "') ORDER BY cid"));
  }

  // One row whose every column matters: of a client that was accepted in a closed round.
  static std::string RowOf(const std::string& table) {
    static const std::map<std::string, std::string> rows = {
        {"rounds", "run_id = 'run-0001' AND round = 2"},
        {"contributions", "run_id = 'run-0001' AND round = 2 AND client_id = 'c01'"},
        {"updates", "run_id = 'run-0001' AND round = 2 AND client_id = 'c01'"},
        {"records", "run_id = 'run-0001' AND round = 2"},
        {"runs", "id = 'run-0001'"},
        {"certificates", "client_id = 'c01'"},
        {"clients", "id = 'c01'"},
        {"run_engines", "run_id = 'run-0001'"},
        {"audit", "sequence = 2"}};
    const auto it = rows.find(table);
    return it == rows.end() ? "1" : it->second;
  }

  v1::HistoryVerification Verify() {
    auto out = VerifyHistory(ledger_.database(), ledger_.blobs(), VerifyOptions());
    EXPECT_THAT(out, IsOk());
    return out.value_or(v1::HistoryVerification());
  }

  Cell Read(const std::string& table, const std::string& column) {
    Cell cell;
    const auto found = ledger_.database().QueryOne(
        absl::StrCat("SELECT \"", column, "\" FROM ", table, " WHERE ", RowOf(table)), {}, [&](const Row& r) {
          cell.kind = r.Kind(0);
          if (cell.kind == Arg::Kind::kInteger) cell.integer = r.Int(0);
          if (cell.kind == Arg::Kind::kReal) cell.real = r.Real(0);
          if (cell.kind == Arg::Kind::kText || cell.kind == Arg::Kind::kBlob) cell.text = r.Text(0);
        });
    EXPECT_TRUE(found.value_or(false)) << table << ": this test needs a row of it";
    return cell;
  }

  // Whether verify sees the change; everything is as before afterwards. A value that the file itself cannot hold (a
  // primary key twice) counts as seen.
  bool IsSeen(const std::string& table, const std::string& column, const Cell& changed) {
    Keep(table);
    const absl::Status written =
        ledger_.database().Run(absl::StrCat("UPDATE ", table, " SET \"", column, "\" = ?1 WHERE ", RowOf(table)),
                               Args(std::vector<Arg>{changed.AsArg()}));
    const bool seen = !written.ok() || !Verify().ok();
    PutBack(table);
    return seen;
  }

  // All rows of a table: kept aside, and as they were again. (verify begins transactions: a savepoint will not do.)
  void Keep(const std::string& table) {
    EXPECT_OK(ledger_.database().RunScript(
        absl::StrCat("DROP TABLE IF EXISTS temp.kept; CREATE TEMP TABLE kept AS SELECT * FROM main.", table)));
  }
  void PutBack(const std::string& table) {
    EXPECT_OK(ledger_.database().RunScript(
        absl::StrCat("DELETE FROM main.", table, "; INSERT INTO main.", table, " SELECT * FROM temp.kept")));
  }

  LedgerFixture ledger_;
};

TEST_F(TamperTest, EveryColumnOfEveryTableIsSeenOrNotOfTheHistory) {
  ASSERT_TRUE(Verify().ok()) << Verify().first_fault().what();
  const auto& exempt = NotOfTheHistory();
  std::set<std::string> used;
  int changes = 0;
  for (const std::string& table : Tables()) {
    if (exempt.contains(table)) used.insert(table);
    for (const std::string& column : Columns(table)) {
      const std::string name = absl::StrCat(table, ".", column);
      if (exempt.contains(table)) continue;
      if (exempt.contains(name)) {
        used.insert(name);
        continue;
      }
      for (const Cell& changed : Others(Read(table, column))) {
        EXPECT_TRUE(IsSeen(table, column, changed)) << name << " was changed unnoticed";
        ++changes;
      }
    }
  }
  EXPECT_TRUE(Verify().ok()) << "everything was changed back";
  EXPECT_EQ(used.size(), exempt.size()) << "an exemption of a table or column that is not there any more";
  EXPECT_GT(changes, 300);
  RecordProperty("changes", changes);
}

TEST_F(TamperTest, EveryRowOfTheHistoryIsMissedWhenItIsGone) {
  for (const char* table : {"rounds", "contributions", "updates", "records", "runs", "audit", "authorities",
                            "run_engines", "deleted_blobs"}) {
    for (const std::string& row : Names(absl::StrCat("SELECT row_number() OVER () - 1 FROM ", table))) {
      Keep(table);
      std::string same;  // a row is told by all of its columns: some of these tables have no row ids
      for (const std::string& column : Columns(table))
        absl::StrAppend(&same, same.empty() ? "" : " AND ", table, ".\"", column, "\" IS one.\"", column, "\"");
      ASSERT_OK(ledger_.database().RunScript(
          absl::StrCat("DELETE FROM ", table, " WHERE EXISTS (SELECT 1 FROM (SELECT * FROM temp.kept LIMIT 1 OFFSET ",
                       row, ") AS one WHERE ", same, ")")));
      EXPECT_FALSE(Verify().ok()) << table << ", row " << row << ", is gone unnoticed";
      PutBack(table);
    }
  }
  EXPECT_TRUE(Verify().ok());
}

// ---- blobs

struct Damage {
  const char* name;
  std::function<void(std::string*)> change;
};

TEST_F(TamperTest, EveryKindOfDamageToEveryBlobIsSeen) {
  const std::string other = *ReadFile(ledger_.blobs().PathOf(*ledger_.blobs().Put("another blob")));
  const std::vector<Damage> damages = {
      {"first byte", [](std::string* b) { b->front() ^= 1; }},
      {"middle byte", [](std::string* b) { (*b)[b->size() / 2] ^= 0x40; }},
      {"last byte", [](std::string* b) { b->back() ^= 0x80; }},
      {"cut short", [](std::string* b) { b->pop_back(); }},
      {"empty", [](std::string* b) { b->clear(); }},
      {"longer", [](std::string* b) { b->push_back('\0'); }},
      {"another blob's bytes", [&](std::string* b) { *b = other; }},
  };
  const std::vector<std::string> blobs = Names(
      "SELECT initial_model_sha256 FROM runs WHERE id = 'run-0001' UNION SELECT model_sha256 FROM rounds WHERE run_id "
      "= 'run-0001' UNION SELECT update_sha256 FROM updates WHERE run_id = 'run-0001'");
  ASSERT_EQ(blobs.size(), 1u + 2u + 4u);
  for (const std::string& sha256 : blobs) {
    const std::string path = ledger_.blobs().PathOf(sha256), good = *ReadFile(path);
    for (const Damage& damage : damages) {
      std::string bytes = good;
      damage.change(&bytes);
      ASSERT_OK(WriteFileDurably(path, bytes, 0600));
      EXPECT_FALSE(Verify().ok()) << damage.name << " of " << sha256;
    }
    ASSERT_OK(RemoveFile(path));
    EXPECT_FALSE(Verify().ok()) << "gone: " << sha256;
    ASSERT_OK(WriteFileDurably(path, good, 0600));
  }
  EXPECT_TRUE(Verify().ok());
}

}  // namespace
}  // namespace tributary::ledger
