#include "common/history/receipt_check.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/certificate.h"
#include "common/update/signed_record.h"

namespace tributary::history {
namespace {

using Verdict = std::pair<const char*, std::string>;  // and what it means, in words

// 5400 -> "5,400".
std::string WithCommas(uint64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out.push_back(',');
    out.push_back(digits[i]);
  }
  return out;
}

// Against the chain alone: the receipt names the record of the round before its own.
Verdict JudgePlace(const v1::Receipt& receipt, const CheckedProof& proof) {
  const uint64_t round = receipt.record().round(), rounds = proof.records.size() - 1;
  if (round == 0) return {"bad_signature", "the receipt is for no round"};
  if (round > rounds + 1) {
    return {"not_covered", absl::StrCat("the proof ends with round ", rounds, "; the history went on until round ",
                                        round, " at least: ask for a newer one")};
  }
  if (receipt.previous_record_sha256() != proof.records[round - 1]) {
    return {"fork", absl::StrCat("the receipt follows record ", EscapeForLog(receipt.previous_record_sha256(), 64),
                                 ", but the record of round ", round - 1, " in the proof is ", proof.records[round - 1],
                                 ": the history was rewritten, or there are two")};
  }
  if (round == rounds + 1)
    return {"round_open", absl::StrCat("the proof ends with round ", rounds, ", before this round was closed")};
  return {"", ""};
}

Verdict JudgeUpdate(const v1::Receipt& receipt, const ProvedUpdate& update) {
  v1::UpdateRecord recorded;
  if (update.round != receipt.record().round() || !recorded.ParseFromString(update.record))
    return {"other_receipt", "the proof has the task in another round"};
  if (recorded.update_sha256() != receipt.record().update_sha256())
    return {"other_update",
            absl::StrCat("the proof has another update of yours: ", EscapeForLog(recorded.update_sha256(), 64))};
  if (update::CanonicalBytes(recorded) != update::CanonicalBytes(receipt.record()))
    return {"other_receipt", "the signed record in the proof is not the one that was receipted"};
  if (update.round_state != "committed")
    return {"abandoned", absl::StrCat("round ", update.round, " was abandoned: your update is in no model")};
  return {"in_model", absl::StrCat("my update of round ", update.round, " is in the model, with weight ",
                                   WithCommas(update.weight), " of ", WithCommas(update.examples))};
}

Verdict Judge(const v1::Receipt& receipt, const CheckedProof& proof) {
  if (!proof.receipts->public_key().Verify(update::CanonicalBytes(receipt), receipt.signature()))
    return {"bad_signature", "the receipt is not signed by the key that the proof's run names"};
  if (Verdict place = JudgePlace(receipt, proof); *place.first != '\0') return place;
  const auto update = proof.updates.find(receipt.record().task_id());
  if (update != proof.updates.end()) return JudgeUpdate(receipt, update->second);
  return {"missing", absl::StrCat("round ", receipt.record().round(), " in the proof does not have this update")};
}

std::string CertificateDigest(const std::string& pem) {
  const auto certificate = crypto::Certificate::FromPem(pem);
  return certificate.ok() ? certificate->sha256() : "";
}

}  // namespace

v1::ReceiptCheck CheckReceipt(const v1::Receipt& receipt, const CheckedProof& proof) {
  v1::ReceiptCheck out;
  out.set_round(receipt.record().round());
  out.set_task_id(receipt.record().task_id());
  out.set_update_sha256(receipt.record().update_sha256());
  const auto [verdict, what] = Judge(receipt, proof);
  out.set_verdict(verdict);
  out.set_what(what);
  if (out.verdict() != "in_model") return out;
  const ProvedUpdate& update = proof.updates.at(receipt.record().task_id());
  out.set_weight(update.weight);
  out.set_examples(update.examples);
  return out;
}

bool Contradicts(const v1::ReceiptCheck& check) {
  return check.verdict() != "in_model" && check.verdict() != "abandoned" && check.verdict() != "round_open";
}

Finding CheckRemembered(const RememberedRun& memory, const CheckedProof& proof, std::string* agreement) {
  if (memory.genesis_sha256 != proof.genesis_sha256)
    return absl::StrCat("your client remembers another beginning of this run: genesis ",
                        EscapeForLog(memory.genesis_sha256, 64));
  if (CertificateDigest(memory.receipt_certificate_pem) != proof.receipts->sha256())
    return "your client remembers another receipt key of this run";
  if (memory.round == 0 || memory.round > proof.records.size()) {
    *agreement = "newer";
    return kNothing;
  }
  if (memory.previous_record_sha256 != proof.records[memory.round - 1])
    return absl::StrCat("your client was shown record ", EscapeForLog(memory.previous_record_sha256, 64),
                        " as that of round ", memory.round - 1, "; the proof has ", proof.records[memory.round - 1]);
  *agreement = "agrees";
  return kNothing;
}

}  // namespace tributary::history
