#include "daemon/http/accept.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace tally::http {
namespace {

bool wants_lines(std::initializer_list<std::string_view> values) {
  std::vector<Field> fields{{"Host", "application/x-ndjson"}};
  for (const std::string_view value : values) fields.push_back({"accept", value});
  return prefers(fields, "application/x-ndjson", "application/json");
}

TEST(Accept, WhatIsNamedIsPreferred) {
  for (const std::string_view value :
       {"application/x-ndjson", "Application/X-NDJSON", "application/x-ndjson, */*", "*/*;q=0.8,application/x-ndjson",
        "application/json;q=0.9, application/x-ndjson", " application/x-ndjson ; charset=utf-8 ; Q=0.001 ",
        "application/json, application/x-ndjson", "application/x-ndjson;q=1.000", "text/html,,application/x-ndjson",
        "application/*;q=1, application/json;q=0.1, application/x-ndjson;q=0.2"})
    EXPECT_TRUE(wants_lines({value})) << value;
  EXPECT_TRUE(wants_lines({"text/html", "application/x-ndjson"})) << "the fields of one name are one list";
}

TEST(Accept, WhatIsNotNamedRefusedOrLessLikedIsNot) {
  for (const std::string_view value :
       {"", "*/*", "application/*", "application/json", "application/x-ndjson;q=0", "application/x-ndjson;q=0.000",
        "application/json, application/x-ndjson;q=0.5", "application/x-ndjson;q=0.5, */*", "application/x-ndjson2",
        "text/application/x-ndjson", "application/x-ndjson;q=", "application/x-ndjson;q=2",
        "application/x-ndjson;q=1.5", "application/x-ndjson;q=-1", "application/x-ndjson;q=0.0001",
        "application/x-ndjson;q=nan", ",", ";q=1"})
    EXPECT_FALSE(wants_lines({value})) << value;
  EXPECT_FALSE(wants_lines({}));
  EXPECT_FALSE(wants_lines({"application/x-ndjson;q=0", "*/*"}));
}

}  // namespace
}  // namespace tally::http
