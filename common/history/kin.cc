#include "common/history/kin.h"

#include <algorithm>

namespace tributary::history {
namespace {

using Certificates = std::vector<crypto::Certificate>;

bool Knows(const Certificates& kin, const crypto::Certificate& one) {
  return std::any_of(kin.begin(), kin.end(), [&](const auto& c) { return c.sha256() == one.sha256(); });
}

bool IsSignedByOne(const Certificates& kin, const AuthorityLink& link) {
  return std::any_of(kin.begin(), kin.end(),
                     [&](const auto& by) { return crypto::CheckCross(link.cross, by, link.authority).ok(); });
}

}  // namespace

std::vector<AuthorityLink> Leading(const crypto::Certificate& root, const std::vector<AuthorityLink>& links) {
  std::vector<AuthorityLink> out, left = links;
  Certificates kin = {root};
  for (bool grown = true; grown;) {
    grown = false;
    for (auto it = left.begin(); it != left.end();) {
      if (!IsSignedByOne(kin, *it)) {
        ++it;
        continue;
      }
      if (!Knows(kin, it->authority)) kin.push_back(it->authority);
      out.push_back(*it);
      it = left.erase(it);
      grown = true;
    }
  }
  return out;
}

std::vector<crypto::Certificate> KinOf(const crypto::Certificate& root, const std::vector<AuthorityLink>& links) {
  Certificates kin = {root};
  for (const AuthorityLink& link : Leading(root, links))
    if (!Knows(kin, link.authority)) kin.push_back(link.authority);
  return kin;
}

}  // namespace tributary::history
