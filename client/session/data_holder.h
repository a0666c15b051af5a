// The owner's data, loaded once at start. Holds what the coordinator is told of them (counts, shape and names, never
// content) and hands them to training with labels in the order of a model's classes.
//
// A folder of images for which the owner named no size has none of its own: at start every file is decoded small, to
// count and to clean; for training the folder is decoded again to what the model takes. The last size is kept, so that
// the rounds of one run decode once.
// Threads: immutable but for ForModel, which belongs to the training thread; dataset() is not for use beside it.
#ifndef TRIBUTARY_CLIENT_SESSION_DATA_HOLDER_H_
#define TRIBUTARY_CLIENT_SESSION_DATA_HOLDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/policy/policy.h"
#include "client/session/client_settings.h"
#include "client/session/refusal.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/data/load.h"
#include "common/nn/model_description.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

class DataHolder {
 public:
  // Never fails: what is wrong with the data is in status(), and every task is then declined with it.
  static std::unique_ptr<DataHolder> Load(const ClientSettings& settings, const policy::Policy& policy);
  // Data made by a test. `status` not OK: as data that could not be read.
  static std::unique_ptr<DataHolder> Of(data::Dataset dataset, absl::Status status = absl::OkStatus());

  const absl::Status& status() const { return status_; }
  const data::Report& report() const { return report_; }
  data::Format format() const { return format_; }
  const data::Dataset& dataset() const { return dataset_; }
  const v1::DatasetFacts& facts() const { return facts_; }

  // Why this data cannot train that model: data_error, unknown_class or data_mismatch.
  Refusal Check(const nn::ModelDescription& model) const;
  // The data with labels mapped by name to the model's classes, when both have names. The pointer is good until the
  // next call. FAILED_PRECONDITION, made by ToStatus: they do not fit, or (images of any size) cannot be read any more.
  absl::StatusOr<const data::Dataset*> ForModel(const nn::ModelDescription& model);

 private:
  DataHolder() = default;
  void ComputeFacts();
  Refusal DecodeFor(const nn::Shape& input);

  absl::Status status_;
  ClientSettings settings_;  // of Load
  policy::Policy policy_;    // likewise
  bool any_size_ = false;    // images, to be decoded to what a model takes
  data::Report report_;
  data::Format format_ = data::Format::kGuess;
  data::Dataset dataset_;            // labels as mapped last; any_size_: as decoded last
  std::vector<int32_t> own_labels_;  // as loaded
  std::vector<std::string> own_classes_;
  size_t own_num_classes_ = 0;
  v1::DatasetFacts facts_;
};

// "540 examples, 28x28x1, classes cat dog" or "540 examples, images of any size, ...": how facts read in logs and in
// `uploads`.
std::string DescribeFacts(const v1::DatasetFacts& facts);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_DATA_HOLDER_H_
