// A proof of a history, which anybody may have written, and the bodies of its records. Its last digest is made right,
// as an attacker would. What ReadRows takes is a body whose rows differ from themselves in nothing.
#include "common/crypto/digest.h"
#include "common/history/proof_check.h"
#include "common/history/record_body.h"
#include "common/history/record_rows.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr char kRun[] = "r-111111111111";  // as in the corpus

void CheckBody(std::string_view body, uint64_t number) {
  using namespace tributary;  // NOLINT
  const auto rows = history::ReadRows(body, kRun, number);
  if (!rows.ok()) return;
  fuzz::Require(history::ParseBody(body).ok());
  fuzz::Require(history::DescribeDifference(body, body).empty());
}

}  // namespace

// The corpus is of a real run of two rounds: its file from `history export`, and the bodies in it.
// The first byte: 'p' a proof without its last digest; any other one a body, of the record of that number.
FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  if (input.empty()) return;
  if (input[0] != 'p') return CheckBody(input.substr(1), static_cast<unsigned char>(input[0]));
  std::string bytes(input.substr(1));
  bytes += crypto::Sha256(bytes);
  const std::string path = fuzz::Scratch().Write("proof", bytes);
  const auto proof = history::CheckProof(path, "", {"task"});
  if (proof.ok() && proof->fault.empty()) fuzz::Require(proof->records.size() >= 1);
}
