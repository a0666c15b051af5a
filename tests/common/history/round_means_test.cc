#include "common/history/round_means.h"

#include <gtest/gtest.h>

namespace tributary::history {
namespace {

constexpr std::nullopt_t kNone = std::nullopt;

TEST(RoundMeansTest, WeighsWhatWasReported) {
  const RoundMeans means = MeansOf({{"a", 300, {1.0, 4.0, kNone}}, {"b", 100, {2.0, kNone, kNone}}});
  EXPECT_EQ(means.train_loss, 1.25);
  EXPECT_EQ(means.validation_loss, 4.0) << "of those that have one";
  EXPECT_FALSE(means.validation_accuracy.has_value());
}

TEST(RoundMeansTest, NobodyAndNoWeightHaveNoMean) {
  EXPECT_FALSE(MeansOf({}).train_loss.has_value());
  EXPECT_FALSE(MeansOf({{"a", 0, {1.0, kNone, kNone}}}).train_loss.has_value());
}

TEST(RoundMeansTest, TheOrderOfTheRowsDoesNotMatter) {
  // In double precision 1e17 + 3 - 1e17 depends on the order; by name it is one.
  const Reported a{"a", 1, {1e17, kNone, kNone}}, b{"b", 1, {3.0, kNone, kNone}}, c{"c", 1, {-1e17, kNone, kNone}};
  const auto first = MeansOf({a, b, c}).train_loss;
  EXPECT_EQ(first, ((1e17 + 3.0) - 1e17) / 3);
  EXPECT_EQ(MeansOf({c, b, a}).train_loss, first);
  EXPECT_EQ(MeansOf({b, c, a}).train_loss, first);
  EXPECT_NE(MeansOf({{"a", 1, a.figures}, {"c", 1, b.figures}, {"b", 1, c.figures}}).train_loss, first);
}

}  // namespace
}  // namespace tributary::history
