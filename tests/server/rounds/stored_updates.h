// A blob store with a base model, and updates of the tiny model in it: what aggregation reads.
#ifndef TRIBUTARY_TESTS_SERVER_ROUNDS_STORED_UPDATES_H_
#define TRIBUTARY_TESTS_SERVER_ROUNDS_STORED_UPDATES_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/storage/blob_store.h"
#include "common/update/update_codec.h"
#include "server/rounds/run_spec.h"
#include "tests/common/learning/tiny_plan.h"
#include "tests/support/temp_dir.h"

namespace tributary::rounds {

class StoredUpdatesTest : public ::testing::Test {
 protected:
  StoredUpdatesTest() : blobs_(*storage::BlobStore::Open(dir_.path())) {
    spec_.plan = testing::TinyPlan();
    spec_.model = testing::TinyModel();
    base_ = *blobs_->Put(update::EncodeParameters(std::vector<float>(testing::kTinyParameters, 1.0f)));
  }

  // An accepted contribution whose delta has this value everywhere.
  v1::Contribution Row(const std::string& client, float delta, uint64_t weight) {
    const std::vector<float> values(testing::kTinyParameters, delta);
    v1::Contribution row;
    row.set_client(client);
    row.set_state("accepted");
    row.set_weight(weight);
    row.set_update_sha256(*blobs_->Put(*update::EncodeDelta("float32", values)));
    return row;
  }

  testing::TempDir dir_;
  std::unique_ptr<storage::BlobStore> blobs_;
  RunSpec spec_;
  std::string base_;  // digest; 1 everywhere
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_TESTS_SERVER_ROUNDS_STORED_UPDATES_H_
