// Whether the peer of an upload keeps bringing bytes. Only the time spent waiting for it counts, not what we take for a
// chunk; and a chunk here and there does not help: a peer that brings less than kLeastBytes in the limit is silent.
// Nor may one that brings enough keep its slot for longer than the limit while others wait for one: its update goes on
// where it was, when its turn comes again.
// Threads: none of its own; the owner's lock guards it.
#ifndef TRIBUTARY_SERVER_SERVICE_UPLOAD_PACE_H_
#define TRIBUTARY_SERVER_SERVICE_UPLOAD_PACE_H_

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace tributary::service {

class UploadPace {
 public:
  static constexpr uint64_t kLeastBytes = 64 * 1024;

  // `clock` is borrowed and outlives this.
  UploadPace(const Clock* clock, absl::Duration limit) : clock_(*clock), limit_(limit) {}

  // It has a slot from now on.
  void StartTurn() { turn_ = clock_.Monotonic(); }
  bool TurnIsOver() const { return clock_.Monotonic() - turn_ >= limit_; }
  void StartWaiting() { since_ = clock_.Monotonic(); }
  void Heard(uint64_t bytes) {
    waited_ += clock_.Monotonic() - since_;
    bytes_ += bytes;
    if (bytes_ < kLeastBytes) return;
    bytes_ = 0;
    waited_ = absl::ZeroDuration();
  }
  // Between StartWaiting and Heard.
  bool IsSilent() const { return waited_ + (clock_.Monotonic() - since_) >= limit_; }

 private:
  const Clock& clock_;
  const absl::Duration limit_;
  absl::Duration turn_ = absl::ZeroDuration(), since_ = absl::ZeroDuration(), waited_ = absl::ZeroDuration();
  uint64_t bytes_ = 0;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPLOAD_PACE_H_
