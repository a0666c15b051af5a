#include "common/learning/selection.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/crypto/digest.h"
#include "common/learning/framed_bytes.h"

namespace tributary::learning {

using std::string_view_literals::operator""sv;

std::string SelectionRank(uint64_t run_seed, uint64_t round, std::string_view client_name) {
  FramedBytes framed("tributary/select/v1\0"sv);
  framed.Integer(run_seed).Integer(round).Text(client_name);
  return crypto::Sha256Hex(framed.bytes());
}

std::vector<std::string> RankClients(uint64_t run_seed, uint64_t round, std::vector<std::string> names) {
  std::vector<std::pair<std::string, std::string>> ranked;
  ranked.reserve(names.size());
  for (std::string& name : names) {
    std::string rank = SelectionRank(run_seed, round, name);
    ranked.emplace_back(std::move(rank), std::move(name));
  }
  std::sort(ranked.begin(), ranked.end());
  for (size_t i = 0; i < names.size(); ++i) names[i] = std::move(ranked[i].second);
  return names;
}

uint64_t InvitationCount(uint64_t clients, double over_select) {
  // 10 * 1.1 is a little more than 11 in binary: what is within rounding of a whole number is that number.
  const double wanted = static_cast<double>(clients) * over_select;
  const double count = std::ceil(wanted * (1 - 1e-12));
  return std::max(clients, count < 0x1p63 ? static_cast<uint64_t>(std::max(count, 0.0)) : clients);
}

}  // namespace tributary::learning
