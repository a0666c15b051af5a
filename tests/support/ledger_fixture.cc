#include "tests/support/ledger_fixture.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/update/signed_record.h"
#include "server/ledger/authority_ledger.h"
#include "server/ledger/history.h"

namespace tributary::testing {
namespace {

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "ledger fixture: %s\n", status.ToString().c_str());
  std::abort();
}

template <class T>
T Must(absl::StatusOr<T> value) {
  Must(value.status());
  return std::move(value).value();
}

constexpr const char* kFederation = "federation-1";

crypto::CertificateTerms Terms(crypto::CertificateUse use, const std::string& name, const std::string& path) {
  crypto::CertificateTerms terms;
  terms.use = use;
  terms.common_name = name;
  terms.serial = crypto::Sha256(name).substr(0, 16);
  terms.not_before = absl::FromUnixSeconds(1'600'000'000);
  terms.not_after = absl::FromUnixSeconds(2'000'000'000);
  terms.uris = {absl::StrCat("spiffe://", kFederation, path)};
  return terms;
}

std::unique_ptr<crypto::Issuer> MakeAuthority() {
  const auto key = Must(crypto::PrivateKey::Generate());
  return std::make_unique<crypto::Issuer>(
      crypto::Issuer{Must(crypto::SelfSign(key, Terms(crypto::CertificateUse::kAuthority, "ca", ""))), key});
}

}  // namespace

std::string LedgerFixture::ClientId(int index) { return absl::StrFormat("c%02d", index); }

std::string LedgerFixture::TaskId(const std::string& run, uint64_t round, const std::string& client_id) {
  return crypto::Sha256Hex(absl::StrCat(run, "/", round, "/", client_id));
}

LedgerFixture::LedgerFixture(Options options) : options_(options) {
  authority_ = MakeAuthority();
  stranger_ = MakeAuthority();
  receipt_key_ = std::make_unique<crypto::PrivateKey>(Must(crypto::PrivateKey::Generate()));
  crypto::CertificateTerms terms = Terms(crypto::CertificateUse::kReceipt, "receipts", "/receipts");
  if (options_.receipt_terms) options_.receipt_terms(&terms);
  receipt_certificate_pem_ =
      Must(crypto::Issue(Authority(options_.receipts_of_a_stranger), receipt_key_->public_key(), terms)).pem();
  OpenStore();
  for (int i = 0; i < options_.clients; ++i) AddClient(ClientId(i));
}

void LedgerFixture::OpenStore() {
  if (options_.in_memory) {
    database_ = Must(storage::Database::Open(":memory:"));
    Must(storage::Migrate(*database_, ledger::LedgerMigrations()));
  } else {
    database_ = Must(ledger::OpenLedger(directory()));
  }
  blobs_ = Must(storage::BlobStore::Open(directory()));
  ledger::LedgerStore::Options options;
  options.database = database_.get();
  options.blobs = options_.with_blobs ? blobs_.get() : nullptr;
  options.signer = {kFederation, receipt_certificate_pem_, authority_->certificate.pem(),
                    [this](std::string_view message) { return receipt_key_->Sign(message); }};
  options.clock = &clock_;
  store_ = Must(ledger::LedgerStore::Create(std::move(options)));
}

void LedgerFixture::Reopen() {
  store_.reset();
  blobs_.reset();
  database_.reset();
  OpenStore();
}

void LedgerFixture::AddClient(const std::string& id) {
  Must(database_->Run("INSERT INTO clients (id, name, state, created_unix_ms) VALUES (?1, ?2, 'active', ?3)",
                      {id, absl::StrCat("client-", id), now()}));
  ReplaceCertificate(id, nullptr);
}

void LedgerFixture::ReplaceCertificate(const std::string& client_id,
                                       const std::function<void(crypto::CertificateTerms*)>& change,
                                       bool by_a_stranger) {
  const auto key = Must(crypto::PrivateKey::Generate());
  crypto::CertificateTerms terms = Terms(crypto::CertificateUse::kPeer, client_id, absl::StrCat("/client/", client_id));
  terms.serial = crypto::Sha256(key.public_key().ToDer()).substr(0, 16);
  if (change) change(&terms);
  const auto certificate = Must(crypto::Issue(Authority(by_a_stranger), key.public_key(), terms));
  clients_.insert_or_assign(client_id, crypto::Issuer{certificate, key});
  Must(database_->Run(
      "INSERT INTO certificates (sha256, serial, client_id, pem, request_sha256, not_before_unix_ms, "
      "not_after_unix_ms, issued_unix_ms, state) VALUES (?1, ?2, ?3, ?4, '', 0, ?5, ?6, 'active')",
      {certificate.sha256(), certificate.serial(), client_id, certificate.pem(), int64_t{1} << 50, now()}));
}

void LedgerFixture::Rotate() {
  using State = crypto::AuthorityNews::State;
  const auto vouch = [](const crypto::Issuer& by, const crypto::Issuer& other) {
    return Must(crypto::Issue(by, other.key.public_key(), Terms(crypto::CertificateUse::kAuthority, "ca", "")));
  };
  const std::vector<crypto::AuthorityNews> all = {
      {stranger_->certificate, State::kActive, {vouch(*authority_, *stranger_)}},
      {authority_->certificate, State::kRetiring, {vouch(*stranger_, *authority_)}}};
  const auto transaction = Must(storage::Transaction::Begin(*database_));
  Must(ledger::RecordAuthorities(*database_, all, now()));
  Must(transaction->Commit());
  const crypto::CertificateTerms terms = Terms(crypto::CertificateUse::kReceipt, "receipts", "/receipts");
  receipt_certificate_pem_ = Must(crypto::Issue(*stranger_, receipt_key_->public_key(), terms)).pem();
  Must(store_->SetReceiptCertificate(receipt_certificate_pem_, stranger_->certificate.pem()));
}

void LedgerFixture::Revoke(const std::string& client_id) {
  Must(database_->Run("UPDATE clients SET state = 'revoked' WHERE id = ?1", {client_id}));
}

v1::RunPlan LedgerFixture::Plan() {
  v1::RunPlan plan;
  plan.set_name("digits");
  plan.set_rounds(10);
  plan.set_seed(1);
  plan.mutable_round()->set_clients(4);
  plan.mutable_round()->set_min_clients(1);
  plan.mutable_aggregate()->set_max_weight(1 << 20);
  plan.set_keep_updates("run");
  return plan;
}

std::string LedgerFixture::CreateRun(const v1::RunPlan& plan, const std::string& id) {
  rounds::NewRun run;
  run.request_id = absl::StrCat("request-", id);
  run.id = id;
  run.initial_model_sha256 = Must(blobs_->Put("initial model"));
  v1::RunPlan complete = plan;
  complete.set_initial_model_sha256(run.initial_model_sha256);
  run.plan_bytes = complete.SerializeAsString();
  run.actor = "operator/local";
  run.now_unix_ms = now();
  return Must(store_->CreateRun(run)).run.id();
}

uint64_t LedgerFixture::BeginRound(const std::string& run, int clients, uint64_t target) {
  const uint64_t round = Must(store_->OpenRound(run, now())).round.round();
  std::vector<rounds::Invitee> invited;
  for (int i = 0; i < clients; ++i) {
    const std::string id = ClientId(i);
    invited.push_back({id, absl::StrCat("client-", id), TaskId(run, round, id)});
  }
  Must(store_->CommitInvitations(run, round, target == 0 ? static_cast<uint64_t>(clients) : target, invited, 5));
  return round;
}

rounds::Acceptance LedgerFixture::MakeAcceptance(const std::string& run, uint64_t round, const std::string& client_id,
                                                 std::string_view update_bytes, uint64_t examples) {
  const auto row = Must(store_->GetRun(run));
  const crypto::Issuer& client = clients_.at(client_id);
  v1::UpdateMetrics metrics;
  metrics.set_train_loss(0.25);
  metrics.set_validation_loss(0.5);
  metrics.set_validation_accuracy(0.75);
  metrics.set_validation_examples(10);
  metrics.set_engine("0.1.0/avx2/float32");
  metrics.set_update_norm(1.5);
  metrics.set_train_ms(7);
  rounds::Acceptance out;
  out.metrics_bytes = metrics.SerializeAsString();
  out.record.set_federation(kFederation);
  out.record.set_run_id(run);
  out.record.set_round(round);
  out.record.set_task_id(TaskId(run, round, client_id));
  out.record.set_client_id(client_id);
  out.record.set_certificate_sha256(client.certificate.sha256());
  out.record.set_base_model_sha256(Must(store_->GetRound(run, round)).round.base_model_sha256());
  out.record.set_plan_sha256(row.run.plan_sha256());
  out.record.set_update_sha256(Must(blobs_->Put(update_bytes)));
  out.record.set_encoding("float32");
  out.record.set_length(update_bytes.size());
  out.record.set_examples(examples);
  out.record.set_metrics_sha256(crypto::Sha256Hex(out.metrics_bytes));
  out.signature = Must(client.key.Sign(update::CanonicalBytes(out.record)));
  out.weight = examples;
  out.upload_ms = 3;
  out.now_unix_ms = now();
  return out;
}

uint64_t LedgerFixture::CommitRound(const std::string& run, int clients, double test_accuracy) {
  const uint64_t round = BeginRound(run, clients);
  rounds::RoundResult result;
  for (int i = 0; i < clients; ++i) {
    auto acceptance = MakeAcceptance(run, round, ClientId(i), absl::StrCat("update ", run, " ", round, " ", i), 100);
    if (change_acceptance) change_acceptance(&acceptance);
    TRB_CHECK(Must(store_->AcceptUpdate(acceptance)).kind == rounds::AcceptResult::Kind::kAccepted);
    result.examples += acceptance.weight;
  }
  Must(store_->BeginAggregating(run, round, "not_needed", "", 20));
  result.new_model_sha256 = Must(blobs_->Put(absl::StrCat("model ", run, " ", round)));
  result.means = {.train_loss = 0.25, .validation_loss = 0.5, .validation_accuracy = 0.75};
  result.model_norm = 1.25;
  result.aggregate_ms = 2;
  Must(store_->BeginEvaluating(run, round, result));
  rounds::RoundEvaluation evaluation;
  evaluation.test_loss = 0.5;
  evaluation.test_accuracy = test_accuracy;
  evaluation.test_f1 = 0.4;
  evaluation.test_precision = 0.4;
  evaluation.test_recall = 0.4;
  evaluation.evaluate_ms = 1;
  rounds::RoundTimes times;
  times.select_ms = 5;
  times.train_ms = 20;
  times.total_ms = 30;
  times.overhead_ms = 4;
  Must(store_->CommitRound(run, round, evaluation, times, now() + static_cast<int64_t>(round)));
  return round;
}

void LedgerFixture::Unlock() {
  std::string drop;
  TRB_CHECK(database_
                ->Query("SELECT name FROM sqlite_schema WHERE type = 'trigger'", {},
                        [&](const storage::Row& row) {
                          absl::StrAppend(&drop, "DROP TRIGGER ", row.Text(0), ";");
                          return absl::OkStatus();
                        })
                .ok());
  TRB_CHECK(database_->RunScript(drop).ok());
}

void LedgerFixture::RewriteRecord(const std::string& run, uint64_t round) {
  const std::string body = Must(ledger::BuildBody(*database_, run, round));
  const std::string previous = Must(ledger::ReadRecord(*database_, run, round)).previous_record_sha256;
  const std::string body_sha256 = crypto::Sha256Hex(body);
  const std::string preimage = history::RecordPreimage(previous, body_sha256);
  const std::string signature = Must(receipt_key_->Sign(preimage));
  Must(database_->Run(
      "UPDATE records SET body = ?3, body_sha256 = ?4, record_sha256 = ?5, signature = ?6 "
      "WHERE run_id = ?1 AND round = ?2",
      {run, round, storage::Bytes{body}, body_sha256, crypto::Sha256Hex(preimage), storage::Bytes{signature}}));
  Must(database_->Run("UPDATE runs SET head_sha256 = ?2 WHERE id = ?1", {run, crypto::Sha256Hex(preimage)}));
}

}  // namespace tributary::testing
