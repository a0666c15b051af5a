// Who a round prefers, as a pure function that the coordinator and the simulator share.
//   rank of a client = SHA-256("tributary/select/v1\0" f(run seed) f(round) f(client name)), framed as in seeds.h;
//   the lowest (as bytes) is preferred.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_LEARNING_SELECTION_H_
#define TRIBUTARY_COMMON_LEARNING_SELECTION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tributary::learning {

// 64 lower-case hex characters; compares like the bytes do.
std::string SelectionRank(uint64_t run_seed, uint64_t round, std::string_view client_name);

// The names, most preferred first. Independent of the order they come in. Names are unique.
std::vector<std::string> RankClients(uint64_t run_seed, uint64_t round, std::vector<std::string> names);

// ceil(clients * over_select), exact for the decimal values that people write (10 * 1.1 is 11), at least `clients`.
uint64_t InvitationCount(uint64_t clients, double over_select);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_SELECTION_H_
