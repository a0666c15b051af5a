#include "common/base/toml_reader.h"

#include "tests/support/status_matchers.h"

namespace tributary {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOkAndHolds;
using ::testing::Pair;
using testing::StatusIs;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::unique_ptr<TomlReader> Read(std::string_view text) {
  auto reader = TomlReader::Parse(text, "run.toml");
  EXPECT_OK(reader);
  return std::move(reader).value();
}

TEST(ParseDurationTest, TakesWhatPeopleWrite) {
  EXPECT_THAT(ParseDuration("10m"), IsOkAndHolds(absl::Minutes(10)));
  EXPECT_THAT(ParseDuration("1h30m"), IsOkAndHolds(absl::Minutes(90)));
  EXPECT_THAT(ParseDuration("250ms"), IsOkAndHolds(absl::Milliseconds(250)));
  EXPECT_THAT(ParseDuration("0"), IsOkAndHolds(absl::ZeroDuration()));
}

TEST(ParseDurationTest, RefusesTheRest) {
  for (const char* text : {"", "10", "-5s", "+5s", "inf", "5 minutes", "10m "}) {
    EXPECT_THAT(ParseDuration(text), StatusIs(kInvalid, HasSubstr("10m"))) << text;
  }
}

TEST(NearestNameTest, OffersOnlyWhatIsNear) {
  const std::vector<std::string> known = {"epochs", "batch_size", "learning_rate"};
  EXPECT_EQ(NearestName("epoch", known), "epochs");
  EXPECT_EQ(NearestName("epcohs", known), "epochs");
  EXPECT_EQ(NearestName("learning_rte", known), "learning_rate");
  EXPECT_EQ(NearestName("optimizer", known), "");
  EXPECT_EQ(NearestName("x", {"y"}), "");
  EXPECT_EQ(NearestName("x", {}), "");
}

TEST(TomlReaderTest, ReadsEveryType) {
  auto reader = Read(R"(
    name = "digits"
    rounds = 20
    rate = 0.5
    whole = 3
    on = true
    wait = "30s"
    classes = ["cat", "dog"]
    kernel = [3, 5]
    pool = 2
    std = [0.5, 1]
    where = { region = "eu", tier = "a" }
    [train]
    epochs = 2
    [[layer]]
    kind = "dense"
    [[layer]]
    kind = "relu"
  )");
  TomlTable root = reader->Root();
  EXPECT_EQ(root.String("name", ""), "digits");
  EXPECT_EQ(root.Int("rounds", 0, 1, 100), 20);
  EXPECT_EQ(root.Double("rate", 0, 0, 1), 0.5);
  EXPECT_EQ(root.Double("whole", 0, 0, 9), 3.0);
  EXPECT_TRUE(root.Bool("on", false));
  EXPECT_EQ(root.Duration("wait", absl::ZeroDuration()), absl::Seconds(30));
  EXPECT_THAT(root.Strings("classes"), ElementsAre("cat", "dog"));
  EXPECT_THAT(root.Ints("kernel"), ElementsAre(3, 5));
  EXPECT_THAT(root.Ints("pool"), ElementsAre(2));
  EXPECT_THAT(root.Doubles("std"), ElementsAre(0.5, 1.0));
  EXPECT_THAT(root.StringMap("where"), ElementsAre(Pair("region", "eu"), Pair("tier", "a")));
  TomlTable train = root.Table("train");
  EXPECT_EQ(train.Int("epochs", 0, 0, 9), 2);
  train.RejectUnknownKeys();
  std::vector<TomlTable> layers = root.Tables("layer");
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[1].String("kind", ""), "relu");
  root.RejectUnknownKeys();
  EXPECT_OK(reader->Faults());
}

TEST(TomlReaderTest, AbsentKeysGiveDefaults) {
  auto reader = Read("");
  TomlTable root = reader->Root();
  EXPECT_FALSE(root.Has("name"));
  EXPECT_EQ(root.String("name", "x"), "x");
  EXPECT_EQ(root.Int("n", 7, 0, 9), 7);
  EXPECT_EQ(root.Duration("d", absl::Seconds(1)), absl::Seconds(1));
  EXPECT_THAT(root.Strings("s"), IsEmpty());
  EXPECT_THAT(root.Ints("i"), IsEmpty());
  EXPECT_THAT(root.Tables("t"), IsEmpty());
  EXPECT_EQ(root.Table("train").Table("deep").Bool("on", true), true);
  EXPECT_THAT(root.Keys(), IsEmpty());
  EXPECT_OK(reader->Faults());
}

TEST(TomlReaderTest, NotTomlIsRefusedWithLineAndColumn) {
  EXPECT_THAT(TomlReader::Parse("a = 1\nb = = 2\n", "run.toml"), StatusIs(kInvalid, HasSubstr("run.toml:2:5: ")));
  EXPECT_THAT(TomlReader::Parse("a = 1\na = 2\n", "run.toml"), StatusIs(kInvalid, HasSubstr("run.toml:2:")));
}

TEST(TomlReaderTest, AllFaultsAreListedInLineOrder) {
  auto reader = Read("rounds = \"many\"\nrate = nan\nepoch = 1\nwait = \"soon\"\non = 1\nname = 2\n");
  TomlTable root = reader->Root();
  EXPECT_EQ(root.String("name", "x"), "x");
  EXPECT_EQ(root.Int("rounds", 3, 1, 100), 3);
  EXPECT_EQ(root.Int("epochs", 1, 1, 100), 1);
  EXPECT_EQ(root.Double("rate", 0.5, 0, 1), 0.5);
  EXPECT_EQ(root.Bool("on", true), true);
  EXPECT_EQ(root.Duration("wait", absl::Seconds(1)), absl::Seconds(1));
  root.RejectUnknownKeys();
  EXPECT_THAT(reader->Faults(), StatusIs(kInvalid,
                                         "run.toml:1: rounds: expected an integer, found a string\n"
                                         "run.toml:2: rate: nan is out of range, expected 0 to 1\n"
                                         "run.toml:3: unknown key `epoch`; did you mean `epochs`?\n"
                                         "run.toml:4: wait: `soon` is not a duration; expected for example \"250ms\", "
                                         "\"30s\", \"10m\" or \"1h30m\"\n"
                                         "run.toml:5: on: expected true or false, found an integer\n"
                                         "run.toml:6: name: expected a string, found an integer"));
}

TEST(TomlReaderTest, OutOfRangeIsAFault) {
  auto reader = Read("rounds = 0\n");
  EXPECT_EQ(reader->Root().Int("rounds", 5, 1, 100), 5);
  EXPECT_THAT(reader->Faults(), StatusIs(kInvalid, "run.toml:1: rounds: 0 is out of range, expected 1 to 100"));
}

TEST(TomlReaderTest, FaultsInNestedTablesNameTheirPath) {
  auto reader = Read("[train]\nepochs = 1.5\n[[layer]]\nsize = 'x'\n[where]\na = 1\n");
  TomlTable root = reader->Root();
  root.Table("train").Int("epochs", 1, 1, 9);
  root.Tables("layer").at(0).Int("size", 1, 1, 9);
  root.StringMap("where");
  EXPECT_THAT(reader->Faults(),
              StatusIs(kInvalid,
                       "run.toml:2: train.epochs: expected an integer, found a number with a fraction\n"
                       "run.toml:4: layer[0].size: expected an integer, found a string\n"
                       "run.toml:6: where.a: expected a string, found an integer"));
}

TEST(TomlReaderTest, WrongContainersAreFaults) {
  auto reader = Read("a = 1\nb = 'x'\nc = [1, 'x']\nd = [1]\ne = ['x']\nf = 3\n");
  TomlTable root = reader->Root();
  EXPECT_EQ(root.Table("a").Int("x", 4, 0, 9), 4);
  EXPECT_THAT(root.Strings("b"), IsEmpty());
  EXPECT_THAT(root.Ints("c"), ElementsAre(1));
  EXPECT_THAT(root.Tables("d"), IsEmpty());
  EXPECT_THAT(root.Doubles("e"), IsEmpty());
  EXPECT_THAT(root.StringMap("f"), IsEmpty());
  const std::string faults(reader->Faults().message());
  for (const char* key : {":1: a:", ":2: b:", ":3: c:", ":4: d:", ":5: e:", ":6: f:"}) {
    EXPECT_THAT(faults, HasSubstr(key));
  }
}

TEST(TomlReaderTest, KeysComeInFileOrder) {
  auto reader = Read("zebra = 1\napple = 2\n[mango]\n");
  EXPECT_THAT(reader->Root().Keys(), ElementsAre("zebra", "apple", "mango"));
}

TEST(TomlReaderTest, OwnFaultsGetTheLineOfTheirKey) {
  auto reader = Read("\nclients = 2\n[train]\n");
  TomlTable root = reader->Root();
  root.Fault("clients", "fewer than min_clients");
  root.Table("train").Fault("epochs", "is missing");
  EXPECT_THAT(reader->Faults(), StatusIs(kInvalid,
                                         "run.toml:2: clients: fewer than min_clients\n"
                                         "run.toml:3: train.epochs: is missing"));
}

TEST(TomlReaderTest, OverridesGoOnTop) {
  auto reader = Read("rounds = 1\n[train]\nepochs = 1\n");
  EXPECT_OK(reader->Override("rounds=5"));
  EXPECT_OK(reader->Override("train.epochs=3"));
  EXPECT_OK(reader->Override("round.clients = 4"));
  EXPECT_OK(reader->Override("name=my digits"));
  EXPECT_OK(reader->Override("classes=[\"a\", \"b=c\"]"));
  TomlTable root = reader->Root();
  EXPECT_EQ(root.Int("rounds", 0, 0, 9), 5);
  EXPECT_EQ(root.Table("train").Int("epochs", 0, 0, 9), 3);
  EXPECT_EQ(root.String("name", ""), "my digits");
  EXPECT_THAT(root.Strings("classes"), ElementsAre("a", "b=c"));
  EXPECT_EQ(root.Table("round").Int("clients", 0, 0, 9), 4);
}

TEST(TomlReaderTest, AnOverrideCannotSmuggleInASecondKey) {
  auto reader = Read("");
  EXPECT_OK(reader->Override("name=1\nrounds = 7"));
  EXPECT_EQ(reader->Root().String("name", ""), "1\nrounds = 7");
  EXPECT_FALSE(reader->Root().Has("rounds"));
}

TEST(TomlReaderTest, BadOverridesAreRefused) {
  auto reader = Read("rounds = 1\n");
  EXPECT_THAT(reader->Override("rounds"), StatusIs(kInvalid, HasSubstr("key=value")));
  EXPECT_THAT(reader->Override("=1"), StatusIs(kInvalid));
  EXPECT_THAT(reader->Override("a..b=1"), StatusIs(kInvalid));
  EXPECT_THAT(reader->Override("rounds.x=1"), StatusIs(kInvalid, HasSubstr("`rounds` is not a table")));
}

TEST(TomlReaderTest, FaultsOfOverridesSayWhereTheyCameFrom) {
  auto reader = Read("rounds = 1\n");
  EXPECT_OK(reader->Override("rounds=many"));
  EXPECT_OK(reader->Override("ruonds=2"));
  TomlTable root = reader->Root();
  root.Int("rounds", 1, 1, 9);
  root.RejectUnknownKeys();
  EXPECT_THAT(reader->Faults(),
              StatusIs(kInvalid, AllOf(HasSubstr("--set: rounds: expected an integer, found a string"),
                                       HasSubstr("--set: unknown key `ruonds`; did you mean `rounds`?"))));
}

}  // namespace
}  // namespace tributary
