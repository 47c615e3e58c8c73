#pragma once

namespace tally::daemon::cli {

/// The whole program: 0 done, 1 failed, 2 bad usage. `argv` is written to: passwords in it are made unreadable.
int run(int argc, char** argv);

}  // namespace tally::daemon::cli
