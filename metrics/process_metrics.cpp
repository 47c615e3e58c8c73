#include "metrics/process_metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "metrics/detail/sampled.hpp"

namespace tally::metrics {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

struct Stat {
  double cpu_seconds = 0;
  double started_after_boot_seconds = 0;
  double virtual_bytes = 0;
  double resident_bytes = 0;
};

/// proc(5): fields are counted from 1; what follows the command's closing parenthesis starts at field 3.
std::optional<Stat> read_stat() {
  std::ifstream file("/proc/self/stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(end + 1));
  std::array<double, 25> fields{};
  std::string state;
  rest >> state;
  for (std::size_t field = 4; field < fields.size(); ++field) rest >> fields[field];
  if (!rest) return std::nullopt;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return Stat{(fields[14] + fields[15]) / ticks, fields[22] / ticks, fields[23],
              fields[24] * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

double boot_time_seconds() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

double open_descriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (!directory) return 0;
  double count = 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] == '.' ? 0 : 1;
  closedir(directory);
  return count - 1;  // the one that reads the directory
}

MetricFamily single(std::string_view name, MetricType type, std::string_view help, double value) {
  MetricFamily family = detail::family(name, type, help);
  detail::add_sample(family, {}, value);
  return family;
}

}  // namespace

ProcessMetrics::ProcessMetrics(Registry& registry, std::string_view version, std::string_view revision)
    : version_(version), revision_(revision) {
  registry.add(*this);
}

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  const Stat stat = read_stat().value_or(Stat{});
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);

  std::vector<MetricFamily> families;
  auto& build = families.emplace_back(
      detail::family("tallyd_build_info", MetricType::Gauge, "Always 1; the labels say what was built."));
  detail::add_sample(build, {{"version", version_}, {"revision", revision_}}, 1);
  families.push_back(single("process_cpu_seconds_total", MetricType::Counter,
                            "Total user and system CPU time spent in seconds.", stat.cpu_seconds));
  families.push_back(single("process_start_time_seconds", MetricType::Gauge,
                            "Start time of the process since unix epoch in seconds.",
                            boot_time_seconds() + stat.started_after_boot_seconds));
  families.push_back(
      single("process_virtual_memory_bytes", MetricType::Gauge, "Virtual memory size in bytes.", stat.virtual_bytes));
  families.push_back(single("process_resident_memory_bytes", MetricType::Gauge, "Resident memory size in bytes.",
                            stat.resident_bytes));
  families.push_back(
      single("process_open_fds", MetricType::Gauge, "Number of open file descriptors.", open_descriptors()));
  families.push_back(single("process_max_fds", MetricType::Gauge, "Maximum number of open file descriptors.",
                            static_cast<double>(descriptors.rlim_cur)));
  return families;
}

}  // namespace tally::metrics
