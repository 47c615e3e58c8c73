#include "daemon/cli/authz_lines.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <istream>
#include <ostream>
#include <string>

#include "daemon/cli/authz_case.hpp"
#include "daemon/cli/authz_commands.hpp"

namespace tally::daemon::cli {
namespace {

namespace json = boost::json;

enum class Line { whole, too_long, none };

/// Up to the line's end or the limit; the rest of a longer line is passed over.
Line read_line(std::istream& in, std::string& line) {
  line.clear();
  std::streambuf& buffer = *in.rdbuf();
  constexpr auto end = std::char_traits<char>::eof();
  int c = buffer.sbumpc();
  if (c == end) return Line::none;
  Line result = Line::whole;
  for (; c != end && c != '\n'; c = buffer.sbumpc()) {
    if (line.size() == kMaxCaseBytes) {
      result = Line::too_long;
    } else {
      line.push_back(static_cast<char>(c));
    }
  }
  return result;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t from = text.find_first_not_of(blanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(blanks) - from + 1);
}

/// What stands around the cases in a case file.
bool is_frame(std::string_view line) {
  return line.empty() || line == "\"cases\":[" || line == "]}" ||
         (line.starts_with("{\"meta\":") && line.ends_with("},"));
}

json::value name_of(const json::value& parsed) {
  const json::object* object = parsed.if_object();
  const json::value* name = object ? object->if_contains("name") : nullptr;
  return name ? *name : json::value();
}

class Answers {
 public:
  Answers(std::ostream& out, const std::function<void(const json::object&, std::ostream&)>& answer)
      : out_(out), answer_(answer) {}

  void take(std::string_view line) {
    ++line_;
    line = trimmed(line);
    if (is_frame(line)) return;
    if (line.ends_with(',')) line.remove_suffix(1);
    json::error_code error;
    const json::value parsed = json::parse(line, error);
    if (error) return refuse({}, "not JSON: " + error.message());
    const json::object* object = parsed.if_object();
    if (!object) return refuse({}, "not an object");
    const json::value* cases = object->if_contains("cases");
    if (!cases || !cases->is_array() || object->contains("subject")) return take_case(parsed);
    for (const json::value& each : cases->get_array()) take_case(each);
  }

  void take_too_long() {
    ++line_;
    refuse({}, "longer than " + std::to_string(kMaxCaseBytes) + " bytes");
  }

  int result() const { return failed_ ? 1 : 0; }

 private:
  void take_case(const json::value& parsed) {
    try {
      if (!parsed.is_object()) throw BadCase("not an object");
      answer_(parsed.get_object(), out_);
    } catch (const BadCase& problem) {
      refuse(name_of(parsed), problem.what());
    }
  }

  void refuse(json::value name, const std::string& why) {
    failed_ = true;
    out_ << json::object{{"name", std::move(name)}, {"error", "line " + std::to_string(line_) + ": " + why}} << '\n';
  }

  std::ostream& out_;
  const std::function<void(const json::object&, std::ostream&)>& answer_;
  std::size_t line_ = 0;
  bool failed_ = false;
};

}  // namespace

int write_cases(std::istream& in, std::ostream& out,
                const std::function<void(const json::object&, std::ostream&)>& answer) {
  Answers answers(out, answer);
  std::string line;
  while (true) {
    switch (read_line(in, line)) {
      case Line::none:
        out.flush();
        return answers.result();
      case Line::whole:
        answers.take(line);
        break;
      case Line::too_long:
        answers.take_too_long();
        break;
    }
  }
}

int answer_cases(std::istream& in, std::ostream& out, const std::function<json::object(const json::object&)>& answer) {
  return write_cases(in, out, [&answer](const json::object& input, std::ostream& to) {
    json::object output{{"name", name_of(input)}};
    for (auto& [member, value] : answer(input)) output[member] = std::move(value);
    to << output << '\n';
  });
}

}  // namespace tally::daemon::cli
