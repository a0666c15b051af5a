// Where every random number of a run comes from: the run's seed, what it is for, and for training the round and the
// client's name. A client's id is not part of it, so a simulated client and an enrolled one of the same name draw
// alike.
//   seed = SHA-256("tributary/seed/v1\0" f(run seed) f(round) f(client name) f(purpose)),   f = length-prefixed as in
//   common/update/signed_record.h, integers as 8 bytes little-endian
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_LEARNING_SEEDS_H_
#define TRIBUTARY_COMMON_LEARNING_SEEDS_H_

#include <cstdint>
#include <string_view>

#include "common/base/random.h"

namespace tributary::learning {

inline constexpr std::string_view kInitPurpose = "init";        // initial weights: round 0, no client
inline constexpr std::string_view kShufflePurpose = "shuffle";  // order of examples
inline constexpr std::string_view kDropoutPurpose = "dropout";  // masks

Seed DeriveSeed(uint64_t run_seed, uint64_t round, std::string_view client_name, std::string_view purpose);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_SEEDS_H_
