#include "systemd/service_environment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace tally::systemd {
namespace {

using namespace std::chrono_literals;

/// Runs `body` in a child of its own, as a service would be started: its environment and low descriptors are its own.
/// Answers what it sent back, one line per `say`.
std::string in_child(const std::function<void(const std::function<void(const std::string&)>& say)>& body) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const int high = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 100);
  const pid_t child = ::fork();
  if (child == 0) {
    body([high](const std::string& line) {
      const std::string text = line + "\n";
      if (::write(high, text.data(), text.size()) < 0) ::_exit(1);
    });
    ::_exit(0);
  }
  ::close(ends[1]);
  ::close(high);
  std::string all;
  char buffer[1024];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    all.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return all;
}

void set(const char* name, const std::string& value) {
  ::setenv(name, value.c_str(), 1);
}

int tcp_socket(bool listening) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (listening) ::listen(fd, 1);
  return fd;
}

/// Puts the descriptors where a manager puts them: 3, 4, ...
void hand_over(std::vector<int> descriptors) {
  for (int& fd : descriptors) fd = ::fcntl(fd, F_DUPFD, 50);
  for (std::size_t i = 0; i < descriptors.size(); ++i) ::dup2(descriptors[i], 3 + static_cast<int>(i));
  set("LISTEN_PID", std::to_string(::getpid()));
  set("LISTEN_FDS", std::to_string(descriptors.size()));
}

std::string described(const ServiceEnvironment& environment) {
  std::string text;
  for (const ListenSocket& socket : environment.sockets) {
    const bool close_on_exec = (::fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC) != 0;
    text += std::to_string(socket.fd()) + "=" + socket.name() + (close_on_exec ? " " : "!inherited ");
  }
  for (const std::string& line : environment.refused) text += "[" + line + "]";
  return text;
}

TEST(ServiceEnvironment, TakesOverListeningSocketsByName) {
  EXPECT_EQ(in_child([](const auto& say) {
              hand_over({tcp_socket(true), tcp_socket(true)});
              set("LISTEN_FDNAMES", "http:metrics");
              say(described(take_service_environment()));
            }),
            "3=http 4=metrics \n");
}

TEST(ServiceEnvironment, RefusesWhatIsNotAListeningStream) {
  EXPECT_EQ(in_child([](const auto& say) {
              hand_over({tcp_socket(true), tcp_socket(false), ::open("/dev/null", O_RDONLY),
                         ::socket(AF_INET, SOCK_DGRAM, 0)});
              const auto environment = take_service_environment();
              say(described(environment));
              say(std::to_string(::fcntl(5, F_GETFD)));
            }),
            "3= [descriptor 4 is not a listening stream socket][descriptor 5 is not a listening stream "
            "socket][descriptor 6 is not a listening stream socket]\n-1\n");
}

TEST(ServiceEnvironment, TakesNothingThatIsMeantForAnotherProcess) {
  EXPECT_EQ(in_child([](const auto& say) {
              hand_over({tcp_socket(true)});
              set("LISTEN_PID", std::to_string(::getppid()));
              set("WATCHDOG_PID", std::to_string(::getppid()));
              set("WATCHDOG_USEC", "1000000");
              const auto environment = take_service_environment();
              say(described(environment) + (environment.watchdog ? "watched" : "unwatched"));
            }),
            "unwatched\n");
}

TEST(ServiceEnvironment, SurvivesNonsense) {
  for (const char* count : {"", "-1", "x", "1000000", "18446744073709551615", "2"})
    EXPECT_EQ(in_child([&](const auto& say) {
                ::close(3);
                ::close(4);
                set("LISTEN_PID", std::to_string(::getpid()));
                set("LISTEN_FDS", count);
                set("WATCHDOG_USEC", count);
                say(std::to_string(take_service_environment().sockets.size()));
              }),
              "0\n")
        << count;
}

TEST(ServiceEnvironment, LeavesNothingForChildren) {  // SD-5
  EXPECT_EQ(in_child([](const auto& say) {
              hand_over({tcp_socket(true)});
              set("NOTIFY_SOCKET", "/run/notify");
              set("WATCHDOG_USEC", "30000000");
              set("WATCHDOG_PID", std::to_string(::getpid()));
              const auto environment = take_service_environment();
              for (const char* name :
                   {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
                if (::getenv(name) != nullptr) say(name);
              say(environment.notifier.active() && environment.watchdog == 30s ? "taken" : "not taken");
            }),
            "taken\n");
}

}  // namespace
}  // namespace tally::systemd
