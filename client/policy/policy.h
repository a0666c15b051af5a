// What the data owner allows: DIR/policy.toml. The file is strict (unknown keys and wrong types are faults, all listed
// at once) and every setting has a default, so an empty file is a valid policy. What a task asks for is compared with
// it before anything is downloaded.
// Threads: pure functions and plain values.
#ifndef TRIBUTARY_CLIENT_POLICY_POLICY_H_
#define TRIBUTARY_CLIENT_POLICY_POLICY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::policy {

// How long a coordinator says that it keeps an update, shortest first.
enum class Retention { kRound, kRun, kForever };
// What happens when cleaning finds examples that cannot be used.
enum class BadData { kSkip, kRefuse };
// What happens with examples that are there more than once.
enum class Duplicates { kKeep, kSkip, kRefuse };

struct Policy {
  std::vector<std::string> runs = {"*"};    // globs on the run's name
  std::vector<std::string> models = {"*"};  // globs on the model's preset; "custom" when layers are written out
  uint32_t max_epochs = 1000;               // local epochs a round
  uint32_t rounds_a_day = 0;                // tasks accepted in any 24 hours; 0 = no limit
  int threads = 0;                          // of training; 0 = all that this process may use
  uint32_t min_cohort = 1;                  // smallest number of clients whose updates may be mixed
  Retention longest_retention = Retention::kForever;
  BadData bad_data = BadData::kSkip;
  Duplicates duplicates = Duplicates::kKeep;
};

// What of a task the policy is about.
struct TaskTerms {
  std::string run_name;
  std::string preset;  // empty when layers are written out, or are not those of the preset that the model names
  uint32_t epochs = 0;
  uint32_t min_clients = 0;
  std::string retention;            // round | run | forever; anything else is longer than all of them
  std::string claimed_preset = {};  // the name that the model goes by, when its layers are others
};

struct Counters {
  uint64_t accepted_last_day = 0;  // tasks accepted in the last 24 hours
};

struct Decision {
  bool accepted = true;
  std::string code;    // of TaskAnswer, when declined
  std::string reason;  // one line for people, naming the setting
};

Decision Decide(const TaskTerms& terms, const Policy& policy, const Counters& counters);

// `name` is how faults call the file. INVALID_ARGUMENT lists every fault with its line.
absl::StatusOr<Policy> ParsePolicy(std::string_view text, const std::string& name);
// Reads the file. NOT_FOUND when it is absent.
absl::StatusOr<Policy> LoadPolicy(const std::string& path);

// The file with these settings, each with a comment that says what it does.
std::string FormatPolicy(const Policy& policy);

const char* RetentionName(Retention retention);

}  // namespace tributary::policy

#endif  // TRIBUTARY_CLIENT_POLICY_POLICY_H_
