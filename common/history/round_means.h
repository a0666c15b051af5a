// The means that a round reports: what its accepted clients reported, weighted as their updates are. The coordinator
// computes them when it closes a round, whoever checks a history computes them again: the same bits, because the sums
// are taken in the order of the clients' names.
// Threads: pure.
#ifndef TRIBUTARY_COMMON_HISTORY_ROUND_MEANS_H_
#define TRIBUTARY_COMMON_HISTORY_ROUND_MEANS_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tributary::history {

struct RoundMeans {
  std::optional<double> train_loss, validation_loss, validation_accuracy;
};

// Of one accepted client.
struct Reported {
  std::string_view client_name;
  uint64_t weight = 0;
  RoundMeans figures;
};

// Each mean is over the clients that reported the figure; absent when none did, or all weights are 0.
RoundMeans MeansOf(std::vector<Reported> accepted);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_ROUND_MEANS_H_
