#include "daemon/cli/run.hpp"

int main(int argc, char** argv) {
  return tally::daemon::cli::run(argc, argv);
}
