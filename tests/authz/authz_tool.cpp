#include <iostream>
#include <string_view>

#include "daemon/cli/authz_commands.hpp"

int main(int argc, char** argv) {
  using namespace tally::daemon::cli;
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "eval") return authz_eval(std::cin, std::cout);
  if (command == "filter") return authz_filter(std::cin, std::cout, argc > 2 ? argv[2] : "");
  if (command == "explain") return authz_explain(std::cin, std::cout);
  std::cerr << "usage: authz_tool eval|filter [TABLE]|explain < cases\n";
  return 2;
}
