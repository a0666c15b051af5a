// One training pass of a whole network and what the reference in double makes of it: the comparison that
// layer_list_test.cc holds every engine to, and that mutants_test.cc shows to refuse wrong ones.
#ifndef TRIBUTARY_TESTS_COMMON_NN_WHOLE_NETWORK_H_
#define TRIBUTARY_TESTS_COMMON_NN_WHOLE_NETWORK_H_

#include <cfloat>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/models.h"
#include "tests/common/nn/reference_network.h"

namespace tributary::nn {

// A pass over `examples` whose gradients are of the mean over `batch_examples`.
struct Case {
  ModelDescription model;
  Examples examples;
  std::vector<float> parameters;
  size_t batch_examples;
  size_t n() const { return examples.labels.size(); }
};

// In double, and the magnitudes that a rounding error is measured against: the same sums over absolute values.
struct Expected {
  double loss = 0, loss_size = 0;
  std::vector<double> gradients, gradient_sizes;
};

// All examples through a reference network, in order. T is float or double.
template <class T>
double RunReference(const Case& c, ReferenceNetwork<T>* network) {
  const std::vector<T> x(c.examples.x.begin(), c.examples.x.end());
  const std::vector<T> targets(c.examples.targets.begin(), c.examples.targets.end());
  double loss = 0;
  for (size_t i = 0; i < c.n(); ++i) {
    loss += static_cast<double>(network->Train(x.data() + i * c.model.input().size(), c.examples.labels[i],
                                               targets.data() + i * c.model.output().size(), i, c.batch_examples));
  }
  return loss;
}

// The sizes are bounds only where the network has neither activations nor max pools, and squared error.
inline void AddSizes(const Case& c, Expected* expected) {
  Case absolute = c;
  for (float& v : absolute.examples.x) v = std::fabs(v);
  for (float& v : absolute.examples.targets) v = -std::fabs(v);
  ReferenceNetwork<double> network(c.model);
  for (size_t i = 0; i < c.parameters.size(); ++i) network.parameters[i] = std::fabs(c.parameters[i]);
  expected->loss_size = RunReference(absolute, &network);
  expected->gradient_sizes = network.gradients;
}

inline Expected Reference(const Case& c, double (*round)(double) = nullptr) {
  ReferenceNetwork<double> network(c.model);
  network.parameters.assign(c.parameters.begin(), c.parameters.end());
  network.round = round;
  Expected expected;
  expected.loss = RunReference(c, &network);
  expected.gradients = network.gradients;
  return expected;
}

// The steps that one value of the result may have been rounded in: 4 + 2 sqrt(K) a sum of K products, all sums on its
// way added up.
inline double RoundingSteps(const Case& c) {
  double steps = 0;
  for (const LayerSpec& l : c.model.layers()) {
    if (l.kernel_size == 0) continue;
    const double terms[] = {static_cast<double>(l.kernel_size / l.out.c), static_cast<double>(l.kernel_size / l.in.c),
                            static_cast<double>(l.out.h * l.out.w * c.n())};
    for (const double k : terms) steps += 4 + 2 * std::sqrt(k);
  }
  return steps;
}

// Empty when `got` is `expected` within `steps` roundings of the sizes (0: exactly), else the first difference.
inline std::string Difference(const Expected& expected, const Outcome& got, double steps) {
  if (!(std::fabs(expected.loss - got.loss) <= 2 * steps * FLT_EPSILON * expected.loss_size)) {
    return absl::StrCat("loss ", got.loss, ", not ", expected.loss);
  }
  for (size_t i = 0; i < expected.gradients.size(); ++i) {
    const double allowed = steps == 0 ? 0 : steps * FLT_EPSILON * expected.gradient_sizes[i];
    if (!(std::fabs(expected.gradients[i] - static_cast<double>(got.gradients[i])) <= allowed)) {
      return absl::StrCat("gradient ", i, ": ", got.gradients[i], ", not ", expected.gradients[i]);
    }
  }
  return "";
}

// The network's own pass, worked in parts of at most options.max_batch examples.
inline Outcome TrainOnce(const Case& c, const Network::Options& options) {
  auto network = Network::Create(c.model, options).value();
  std::copy(c.parameters.begin(), c.parameters.end(), network->parameters().begin());
  Outcome outcome;
  outcome.loss = network->TrainBatch(ToBatch(c.examples), {.batch_examples = c.batch_examples}).loss_sum;
  outcome.gradients.assign(network->gradients().begin(), network->gradients().end());
  return outcome;
}

// One fused step w -= 1 * g; the gradients are what it took off. Exact only where w and g are coarse.
inline Outcome StepOnce(const Case& c, Network::Options options) {
  options.max_batch = c.n();
  options.gradients = false;
  auto network = Network::Create(c.model, options).value();
  auto sgd = Optimizer::Create(c.model, {.threads = options.threads}).value();
  std::copy(c.parameters.begin(), c.parameters.end(), network->parameters().begin());
  Outcome outcome;
  const StepInfo info = {.batch_examples = c.batch_examples};
  outcome.loss = network->TrainStep(ToBatch(c.examples), info, 1.0f, sgd.get()).loss_sum;
  for (size_t i = 0; i < c.parameters.size(); ++i) {
    outcome.gradients.push_back(c.parameters[i] - network->parameters()[i]);
  }
  return outcome;
}

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_WHOLE_NETWORK_H_
