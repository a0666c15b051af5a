#include "common/history/best_round.h"

namespace tributary::history {
namespace {

// kUndecided: neither round has this measure, the next one decides.
enum class Verdict { kBetter, kNotBetter, kUndecided };

Verdict Compare(bool has_a, double a, bool has_b, double b) {
  if (!has_a && !has_b) return Verdict::kUndecided;
  if (has_a != has_b) return has_a ? Verdict::kBetter : Verdict::kNotBetter;
  return a > b ? Verdict::kBetter : Verdict::kNotBetter;
}

}  // namespace

bool IsBetterRound(const v1::Round& later, const v1::Round& earlier) {
  const Verdict verdicts[] = {
      Compare(later.has_test_accuracy(), later.test_accuracy(), earlier.has_test_accuracy(), earlier.test_accuracy()),
      Compare(later.has_validation_accuracy(), later.validation_accuracy(), earlier.has_validation_accuracy(),
              earlier.validation_accuracy()),
      Compare(later.has_test_loss(), -later.test_loss(), earlier.has_test_loss(), -earlier.test_loss()),
      Compare(later.has_validation_loss(), -later.validation_loss(), earlier.has_validation_loss(),
              -earlier.validation_loss()),
      Compare(later.has_train_loss(), -later.train_loss(), earlier.has_train_loss(), -earlier.train_loss()),
  };
  for (const Verdict verdict : verdicts) {
    if (verdict != Verdict::kUndecided) return verdict == Verdict::kBetter;
  }
  return false;
}

}  // namespace tributary::history
