// A crowd of light clients in one process: keeps their sessions open, beats for them, answers tasks and sends updates
// with a few threads, and misbehaves by plan.
//
// Events go to `out` as JSON lines:
//   {"event":"connected","clients":N,"ms":M}           all sessions are open, M after the start
//   {"event":"task","round":R,"clients":N,"first_ms":A,"last_ms":B}   when tasks of a round reached the clients: B - A
//   apart
//   {"event":"receipt","client","round","update_sha256"}              one line a receipt
//   {"event":"ended","receipts":N,"not_needed":N,"rejected":N,"retries":N,"faults":N,"reconnects":N,"resumed":N}
// Threads: Run from one thread.
#ifndef TRIBUTARY_TESTS_SUPPORT_CROWD_CROWD_H_
#define TRIBUTARY_TESTS_SUPPORT_CROWD_CROWD_H_

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

#include "tests/support/crowd/light_client.h"
#include "tests/support/crowd/members.h"

namespace tributary::crowd {

struct Options {
  std::string endpoint;
  uint64_t parameters = 7850;  // of the model; 0: tasks are accepted and nothing is sent
  int uploads = 8;             // at once
  LightClient::Data data;
  bool downloads = false;  // fetch the base model first
  double faults = 0;       // share of tasks that go wrong in some way (crowd.cc, Fault)
  uint64_t seed = 1;       // of the faults
};

// Until `ended` says so; false when not all sessions opened within a minute and a millisecond per client.
bool Run(const Members& members, const Options& options, const std::function<bool()>& ended, std::FILE* out);

}  // namespace tributary::crowd

#endif  // TRIBUTARY_TESTS_SUPPORT_CROWD_CROWD_H_
