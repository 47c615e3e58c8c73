#include "systemd/notify.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace tally::systemd {
namespace {

using namespace std::chrono_literals;

/// The manager's end: a datagram socket with a path, or with an abstract name that the kernel chose.
class ManagerSocket {
 public:
  enum class Kind { path, abstract };
  explicit ManagerSocket(Kind kind) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socklen_t length = sizeof(sa_family_t);
    if (kind == Kind::path) {
      std::string directory = testing::TempDir() + "tally-notify-XXXXXX";
      directory_ = ::mkdtemp(directory.data());
      name_ = directory_ / "notify";
      std::strcpy(address.sun_path, name_.c_str());
      length = sizeof address;
    }
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), length), 0);
    if (kind == Kind::abstract) {
      length = sizeof address;
      ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
      name_ = "@" + std::string(address.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1);
    }
  }
  ~ManagerSocket() {
    ::close(fd_);
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  const std::string& name() const { return name_; }
  /// The next message; empty if none came.
  std::string take() const {
    char buffer[8192];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    return got < 0 ? "" : std::string(buffer, static_cast<std::size_t>(got));
  }

 private:
  int fd_;
  std::filesystem::path directory_;
  std::string name_;
};

class NotifierOnASocket : public testing::TestWithParam<ManagerSocket::Kind> {
 protected:
  ManagerSocket manager_{GetParam()};
  Notifier notifier_{manager_.name()};
};
INSTANTIATE_TEST_SUITE_P(Kinds, NotifierOnASocket,
                         testing::Values(ManagerSocket::Kind::path, ManagerSocket::Kind::abstract),
                         [](const auto& kind) {
                           return kind.param == ManagerSocket::Kind::path ? "path" : "abstract";
                         });

TEST_P(NotifierOnASocket, SaysEachThingInOneMessage) {
  EXPECT_FALSE(notifier_.ready("serving"));
  EXPECT_EQ(manager_.take(), "READY=1\nSTATUS=serving\n");
  EXPECT_FALSE(notifier_.status("flushed"));
  EXPECT_EQ(manager_.take(), "STATUS=flushed\n");
  EXPECT_FALSE(notifier_.stopping("last flush"));
  EXPECT_EQ(manager_.take(), "STOPPING=1\nSTATUS=last flush\n");
  EXPECT_FALSE(notifier_.extend_timeout(90s, "replaying"));
  EXPECT_EQ(manager_.take(), "EXTEND_TIMEOUT_USEC=90000000\nSTATUS=replaying\n");
  EXPECT_FALSE(notifier_.feed_watchdog());
  EXPECT_EQ(manager_.take(), "WATCHDOG=1\n");
}

TEST_P(NotifierOnASocket, SaysWhenAReloadBegan) {  // SD-2
  EXPECT_FALSE(notifier_.reloading(std::chrono::steady_clock::time_point(1234567us), "reading"));
  EXPECT_EQ(manager_.take(), "RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=reading\n");
}

TEST_P(NotifierOnASocket, LetsNoTextStartAnotherAssignment) {
  EXPECT_FALSE(notifier_.status("a\nMAINPID=1\x1b[2J"));
  EXPECT_EQ(manager_.take(), "STATUS=a MAINPID=1 [2J\n");
}

TEST(Notifier, FeedsWithoutWaitingForABusyManager) {
  const ManagerSocket manager(ManagerSocket::Kind::path);
  const Notifier notifier(manager.name());
  std::error_code error;
  for (int i = 0; i < 100'000 && !error; ++i) error = notifier.feed_watchdog();
  EXPECT_EQ(error, std::errc::resource_unavailable_try_again);
}

TEST(Notifier, DoesNothingWithoutAManager) {
  const Notifier notifier;
  EXPECT_FALSE(notifier.active());
  EXPECT_FALSE(notifier.ready("x"));
}

TEST(Notifier, AnswersWhatWentWrong) {
  EXPECT_EQ(Notifier("/nonexistent/notify").ready(""), std::errc::no_such_file_or_directory);
  EXPECT_EQ(Notifier("notify").ready(""), std::errc::invalid_argument);
  EXPECT_EQ(Notifier("/" + std::string(200, 'x')).ready(""), std::errc::invalid_argument);
}

}  // namespace
}  // namespace tally::systemd
