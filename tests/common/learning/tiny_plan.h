// A plan and a model small enough to check by hand: 3 features, 2 classes, one dense layer (8 parameters).
#ifndef TRIBUTARY_TESTS_COMMON_LEARNING_TINY_PLAN_H_
#define TRIBUTARY_TESTS_COMMON_LEARNING_TINY_PLAN_H_

#include "common/nn/model_description.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::testing {

inline constexpr uint32_t kTinyFeatures = 3;
inline constexpr uint32_t kTinyClasses = 2;
inline constexpr uint64_t kTinyParameters = kTinyFeatures * kTinyClasses + kTinyClasses;

// 2 rounds, 3 clients wanted, at least 2; no over-selection; no central test.
inline v1::RunPlan TinyPlan() {
  v1::RunPlan plan;
  plan.set_name("tiny");
  plan.set_rounds(2);
  plan.set_seed(7);
  plan.mutable_model()->add_input(kTinyFeatures);
  v1::Dense* dense = plan.mutable_model()->add_layers()->mutable_dense();
  dense->set_units(kTinyClasses);
  dense->set_activation(v1::ACTIVATION_SOFTMAX);
  plan.mutable_model()->set_loss(v1::LOSS_SPARSE_CATEGORICAL_CROSSENTROPY);
  plan.mutable_train()->set_epochs(1);
  plan.mutable_train()->set_batch_size(4);
  plan.mutable_train()->set_optimizer(v1::OPTIMIZER_SGD);
  plan.mutable_train()->set_learning_rate(0.5);
  plan.mutable_train()->set_learning_rate_decay(0.5);
  plan.mutable_train()->set_precision("float32");
  plan.mutable_round()->set_clients(3);
  plan.mutable_round()->set_min_clients(2);
  plan.mutable_round()->set_over_select(1);
  plan.mutable_round()->set_deadline_ms(600'000);
  plan.mutable_round()->set_select_wait_ms(30'000);
  plan.mutable_round()->set_stall_timeout_ms(3'600'000);
  plan.mutable_round()->set_max_failed_rounds(3);
  plan.mutable_aggregate()->set_strategy("fedavg");
  plan.mutable_aggregate()->set_server_learning_rate(1);
  plan.mutable_aggregate()->set_max_weight(1'048'576);
  plan.mutable_evaluate();
  plan.set_keep_updates("run");
  return plan;
}

inline nn::ModelDescription TinyModel() { return *nn::ModelDescription::FromProto(TinyPlan().model()); }

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_COMMON_LEARNING_TINY_PLAN_H_
