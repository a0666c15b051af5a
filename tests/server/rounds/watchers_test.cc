#include "server/rounds/watchers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace tributary::rounds {
namespace {

v1::RunEvent Event(const std::string& state) {
  v1::RunEvent event;
  event.mutable_run()->set_state(state);
  return event;
}

TEST(WatchersTest, EveryoneHearsAndWhoSaysFalseIsForgotten) {
  Watchers watchers;
  int twice = 0, once = 0;
  watchers.Add(1, [&](const v1::RunEvent&) { return ++twice > 0; });
  watchers.Add(2, [&](const v1::RunEvent&) { return ++once < 0; });
  watchers.Notify(Event("running"));
  watchers.Notify(Event("running"));
  EXPECT_EQ(twice, 2);
  EXPECT_EQ(once, 1);
}

TEST(WatchersTest, CloseIsTheLastWord) {
  Watchers watchers;
  std::string last;
  watchers.Add(1, [&](const v1::RunEvent& e) {
    last = e.run().state();
    return true;
  });
  watchers.Close(Event("completed"));
  watchers.Notify(Event("running"));
  EXPECT_EQ(last, "completed");
  EXPECT_TRUE(watchers.empty());
  EXPECT_FALSE(watchers.Add(2, [](const v1::RunEvent&) { return true; }));
}

TEST(WatchersTest, RemoveWaitsForACallbackThatRuns) {
  Watchers watchers;
  std::promise<void> inside, release;
  std::atomic<bool> left{false};
  watchers.Add(1, [&](const v1::RunEvent&) {
    inside.set_value();
    release.get_future().wait();
    left = true;
    return true;
  });
  std::thread notifier([&] { watchers.Notify(Event("running")); });
  inside.get_future().wait();
  std::thread remover([&] {
    watchers.Remove(1);
    EXPECT_TRUE(left);
  });
  release.set_value();
  remover.join();
  notifier.join();
  EXPECT_TRUE(watchers.empty());
}

TEST(WatchersTest, RemovingAStrangerIsFine) {
  Watchers watchers;
  watchers.Remove(42);
  EXPECT_TRUE(watchers.empty());
}

}  // namespace
}  // namespace tributary::rounds
