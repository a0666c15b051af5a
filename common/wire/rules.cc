#include "common/wire/rules.h"

#include <utility>

namespace tributary::wire {

const std::vector<MessageRules>& AllRules() {
  // Leaked on purpose: threads of gRPC may check messages while the process ends.
  static const auto* all = [] {
    auto* rules = new std::vector<MessageRules>(RulesToCoordinator());
    for (MessageRules& r : RulesToClient()) rules->push_back(std::move(r));
    return rules;
  }();
  return *all;
}

}  // namespace tributary::wire
