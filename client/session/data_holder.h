// The owner's data. Holds what the coordinator is told of them (counts, shape and names, never content) and hands them
// to training with labels in the order of a model's classes.
//
// They are read at start, and again before a training when their files have changed since (data_stamp.h). Never is
// something trained on silently that is not what the coordinator was told of: when the facts are others by then, the
// task is declined and MustTell() says that the coordinator is to hear of it; when they cannot be read, likewise, until
// they can.
//
// A folder of images for which the owner named no size has none of its own: at start every file is decoded small, to
// count and to clean; for training the folder is decoded again to what the model takes. The last size is kept, so that
// the rounds of one run decode once.
// Threads: ForModel belongs to the training thread; dataset() and report() are not for use beside it. The rest is safe
// from any thread.
#ifndef TRIBUTARY_CLIENT_SESSION_DATA_HOLDER_H_
#define TRIBUTARY_CLIENT_SESSION_DATA_HOLDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/policy/policy.h"
#include "client/session/client_settings.h"
#include "client/session/refusal.h"
#include "common/base/mutex.h"
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

  absl::Status status() const TRB_EXCLUDES(mu_);
  const data::Report& report() const { return report_; }
  data::Format format() const { return format_; }
  const data::Dataset& dataset() const { return dataset_; }
  // As last read; of data that cannot be read any more: before that. No example: never read.
  v1::DatasetFacts facts() const TRB_EXCLUDES(mu_);
  // What the coordinator was told; at first, what was read at start.
  void SetTold(const v1::DatasetFacts& facts) TRB_EXCLUDES(mu_);
  // The facts are others than the coordinator was told.
  bool MustTell() const TRB_EXCLUDES(mu_);

  // Why this data cannot train that model: data_error, unknown_class or data_mismatch. Nothing when the files have
  // changed: ForModel will judge.
  Refusal Check(const nn::ModelDescription& model) const TRB_EXCLUDES(mu_);
  // The data with labels mapped by name to the model's classes, when both have names. The pointer is good until the
  // next call. FAILED_PRECONDITION, made by ToStatus: they do not fit, are not what the coordinator was told, or cannot
  // be read any more.
  absl::StatusOr<const data::Dataset*> ForModel(const nn::ModelDescription& model) TRB_EXCLUDES(mu_);

 private:
  DataHolder() = default;
  bool Changed() const TRB_EXCLUDES(mu_);
  void Read() TRB_EXCLUDES(mu_);
  void Take(data::Dataset dataset) TRB_EXCLUDES(mu_);
  Refusal Reread() TRB_EXCLUDES(mu_);
  Refusal CheckAsRead(const nn::ModelDescription& model) const TRB_EXCLUDES(mu_);
  Refusal CheckClasses(const nn::ModelDescription& model) const TRB_REQUIRES(mu_);
  Refusal DecodeFor(const nn::Shape& input) TRB_EXCLUDES(mu_);

  ClientSettings settings_;  // of Load; set once, as policy_ and watched_
  policy::Policy policy_;
  bool watched_ = false;  // there are files that may change
  // The training thread's, once there is one.
  bool any_size_ = false;  // images, to be decoded to what a model takes
  data::Report report_;
  data::Format format_ = data::Format::kGuess;
  data::Dataset dataset_;            // labels as mapped last; any_size_: as decoded last
  std::vector<int32_t> own_labels_;  // as loaded

  mutable Mutex mu_;
  absl::Status status_ TRB_GUARDED_BY(mu_);
  std::string stamp_ TRB_GUARDED_BY(mu_);  // of the files when they were read last
  std::vector<std::string> own_classes_ TRB_GUARDED_BY(mu_);
  size_t own_num_classes_ TRB_GUARDED_BY(mu_) = 0;
  v1::DatasetFacts facts_ TRB_GUARDED_BY(mu_), told_ TRB_GUARDED_BY(mu_);
};

// "540 examples, 28x28x1, classes cat dog" or "540 examples, images of any size, ...": how facts read in logs and in
// `uploads`.
std::string DescribeFacts(const v1::DatasetFacts& facts);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_DATA_HOLDER_H_
