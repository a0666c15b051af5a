// The members of a crowd: enrolled clients by the thousand, kept in one file with their keys. For tests only.
#ifndef TRIBUTARY_TESTS_SUPPORT_CROWD_MEMBERS_H_
#define TRIBUTARY_TESTS_SUPPORT_CROWD_MEMBERS_H_

#include <string>
#include <vector>

#include "common/base/status.h"

namespace tributary::crowd {

struct Member {
  std::string name, id, key_pem, certificate_pem;
};

struct Members {
  std::string federation;  // id
  std::string ca_pem;
  std::vector<Member> members;
};

// Invites and enrols PREFIX0001, PREFIX0002, ... in a coordinator's directory while no coordinator runs: through the
// very service that the coordinator has, without its network.
absl::StatusOr<Members> EnrolAll(const std::string& directory, const std::string& prefix, size_t count);

absl::Status StoreMembers(const std::string& path, const Members& members);  // 0600
absl::StatusOr<Members> LoadMembers(const std::string& path);

}  // namespace tributary::crowd

#endif  // TRIBUTARY_TESTS_SUPPORT_CROWD_MEMBERS_H_
