#include "common/base/names.h"

#include <gtest/gtest.h>

#include <string>

namespace tributary {
namespace {

TEST(NamesTest, PlainNamesAreValid) {
  for (const char* name : {"a", "7", "site-1", "eu.west_2", "0-0"}) EXPECT_TRUE(IsValidName(name)) << name;
  EXPECT_TRUE(IsValidName(std::string(63, 'a')));
}

TEST(NamesTest, WhatCouldBeAPathAFlagOrALineIsNot) {
  for (const char* name : {"", ".", "..", "-a", "_a", "A", "a/b", "a b", "a\n", "a\x1b", "\xc3\xa4", "a=b"})
    EXPECT_FALSE(IsValidName(name)) << name;
  EXPECT_FALSE(IsValidName(std::string(64, 'a')));
  EXPECT_FALSE(IsValidName(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace tributary
