// A ledger with clients that are enrolled and keys that really sign, in memory (fast) or in a directory (reopens).
//   LedgerFixture ledger;                       // clients c00 ... c15, active
//   const auto run = ledger.CreateRun();
//   const auto round = ledger.BeginRound(run, 3);            // invited: c00, c01, c02; state training
//   ledger.store().AcceptUpdate(ledger.MakeAcceptance(run, 1, "c00", "bytes"));
// Aborts when something that a test does not test goes wrong. Threads: as LedgerStore.
#ifndef TRIBUTARY_TESTS_SUPPORT_LEDGER_FIXTURE_H_
#define TRIBUTARY_TESTS_SUPPORT_LEDGER_FIXTURE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/crypto/certificate_issuer.h"
#include "common/storage/blob_store.h"
#include "common/storage/database.h"
#include "server/ledger/ledger_store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_dir.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::testing {

class LedgerFixture {
 public:
  struct Options {
    bool in_memory = true;  // false: DIR/ledger.db; Reopen() works then
    bool with_blobs = true;
    int clients = 16;
    int64_t now_unix_ms = 1'700'000'000'000;
    // What a test wants otherwise in the receipt certificate; may change nothing.
    std::function<void(crypto::CertificateTerms*)> receipt_terms;
    bool receipts_of_a_stranger = false;  // the receipt certificate is of an authority with the same name, another key
  };
  LedgerFixture() : LedgerFixture(Options()) {}
  explicit LedgerFixture(Options options);

  ledger::LedgerStore& store() { return *store_; }
  storage::Database& database() { return *database_; }
  storage::BlobStore& blobs() { return *blobs_; }
  const std::string& directory() const { return directory_.path(); }
  int64_t now() const { return options_.now_unix_ms; }
  ManualClock& clock() { return clock_; }  // of the store's rates

  // Closes everything and opens it again from the directory, as a restart does.
  void Reopen();

  // An enrolled, active client with a certificate of its own. Its name is client-ID.
  void AddClient(const std::string& id);
  void Revoke(const std::string& client_id);
  // Gives the client another certificate, which it signs with from now on. `by_a_stranger`: of an authority with the
  // same name and another key. The ledger's row says that it is good at all times, whatever the certificate says.
  void ReplaceCertificate(const std::string& client_id, const std::function<void(crypto::CertificateTerms*)>& change,
                          bool by_a_stranger = false);

  // The stranger takes over from the federation's authority, as `ca` and the coordinator do it: each has vouched for
  // the other. What it issued is the federation's from here on.
  void Rotate();
  crypto::Certificate authority(bool stranger = false) const { return Authority(stranger).certificate; }

  // A small plan: 10 rounds, 4 clients, keep_updates "run".
  static v1::RunPlan Plan();
  // A run of that plan with a stored initial model; returns its id.
  std::string CreateRun(const v1::RunPlan& plan = Plan(), const std::string& id = "run-0001");
  static std::string TaskId(const std::string& run, uint64_t round, const std::string& client_id);
  // Opens the next round and invites the first `clients` clients; its number.
  uint64_t BeginRound(const std::string& run, int clients, uint64_t target = 0);
  // A signed update of this client with these bytes, which are stored.
  rounds::Acceptance MakeAcceptance(const std::string& run, uint64_t round, const std::string& client_id,
                                    std::string_view update_bytes, uint64_t examples = 100);
  // A whole committed round in which the first `clients` clients are accepted.
  uint64_t CommitRound(const std::string& run, int clients, double test_accuracy = 0.5);
  // Drops the triggers that freeze rows: what a person with sqlite3 and bad intentions would do first.
  void Unlock();
  // What an insider with the receipt key can do: the newest record, as the rows are now, with good digests and
  // signature. After Unlock.
  void RewriteRecord(const std::string& run, uint64_t round);
  // Before an update is offered in CommitRound: what a test changes in it.
  std::function<void(rounds::Acceptance*)> change_acceptance;

  static std::string ClientId(int index);

 private:
  void OpenStore();
  const crypto::Issuer& Authority(bool stranger) const { return stranger ? *stranger_ : *authority_; }

  const Options options_;
  const TempDir directory_;
  ManualClock clock_;
  std::unique_ptr<crypto::Issuer> authority_;
  std::unique_ptr<crypto::Issuer> stranger_;  // of the same name
  std::unique_ptr<crypto::PrivateKey> receipt_key_;
  std::string receipt_certificate_pem_;
  std::map<std::string, crypto::Issuer> clients_;  // certificate and key of each
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<storage::BlobStore> blobs_;
  std::unique_ptr<ledger::LedgerStore> store_;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SUPPORT_LEDGER_FIXTURE_H_
