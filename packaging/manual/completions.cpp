#include <CLI/Option.hpp>
#include <algorithm>

#include "packaging/manual/manual.hpp"

namespace tally::packaging {
namespace {

struct Flag {
  std::string name;
  std::string description;
  std::string value;  ///< placeholder; empty: a switch
};

/// A command as completions see it; `path` is empty for the program itself.
struct Node {
  std::string path;
  std::vector<std::pair<std::string, std::string>> children;  ///< name, purpose
  std::vector<Flag> flags;
};

void collect(const CLI::App& app, const std::string& path, std::vector<Node>& nodes) {
  Node node{.path = path, .children = {}, .flags = {}};
  const auto children = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children) node.children.emplace_back(child->get_name(), child->get_description());
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      node.flags.push_back(
          {"--" + name, option->get_description(), option->check_lname("help") ? "" : option->get_type_name()});
  nodes.push_back(std::move(node));
  for (const CLI::App* child : children)
    collect(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), nodes);
}

std::vector<Node> nodes_of(const CLI::App& app) {
  std::vector<Node> nodes;
  collect(app, "", nodes);
  return nodes;
}

/// The words that a value may be: the lower-case ones of `a|b|DURATION`.
std::string choices(const std::string& placeholder) {
  if (placeholder.find('|') == placeholder.npos) return "";
  std::string words;
  std::size_t start = 0;
  while (start <= placeholder.size()) {
    const auto end = std::min(placeholder.find('|', start), placeholder.size());
    const std::string word = placeholder.substr(start, end - start);
    if (std::all_of(word.begin(), word.end(), [](char c) { return 'a' <= c && c <= 'z'; }))
      words += (words.empty() ? "" : " ") + word;
    start = end + 1;
  }
  return words;
}

/// Inside single quotes of a shell.
std::string quotable(std::string text) {
  std::string out;
  for (const char c : text) c == '\'' ? out += "'\\''" : out += c;
  return out;
}

/// Inside [...] of an _arguments specification.
std::string bracketed(const std::string& text) {
  std::string out;
  for (const char c : quotable(text)) {
    if (c == '[' || c == ']' || c == ':') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string values, paths;
  std::vector<std::string> seen;
  for (const Node& node : nodes_of(app)) {
    std::string words;
    for (const auto& [name, purpose] : node.children) words += name + " ";
    for (const Flag& flag : node.flags) {
      words += flag.name + " ";
      if (flag.value.empty() || std::find(seen.begin(), seen.end(), flag.name) != seen.end()) continue;
      seen.push_back(flag.name);
      const std::string known = choices(flag.value);
      const std::string reply = flag.value == "FILE"  ? "COMPREPLY=($(compgen -f -- \"$word\"))"
                                : flag.value == "DIR" ? "COMPREPLY=($(compgen -d -- \"$word\"))"
                                                      : "COMPREPLY=($(compgen -W '" + known + "' -- \"$word\"))";
      values += "    " + flag.name + ") " + reply + "; return ;;\n";
    }
    if (words.ends_with(' ')) words.pop_back();
    paths += "    '" + node.path + "') words='" + words + "' ;;\n";
  }
  return "# bash completion for tallyd                                  -*- shell-script -*-\n"
         "_tallyd() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path='' words='' i\n"
         "  case $previous in\n" +
         values +
         "  esac\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    [[ ${COMP_WORDS[i]} == -* ]] && break\n"
         "    path+=\"${path:+ }${COMP_WORDS[i]}\"\n"
         "  done\n"
         "  case $path in\n" +
         paths +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -F _tallyd tallyd\n";
}

std::string zsh_completion(const CLI::App& app) {
  std::string paths;
  for (const Node& node : nodes_of(app)) {
    paths += "    '" + node.path + "')\n";
    for (const auto& [name, purpose] : node.children)
      paths += "      commands+=('" + name + ":" + bracketed(purpose) + "')\n";
    for (const Flag& flag : node.flags) {
      std::string action;
      if (!flag.value.empty()) {
        const std::string known = choices(flag.value);
        action = ":" + bracketed(flag.value) + ":" +
                 (flag.value == "FILE"  ? "_files"
                  : flag.value == "DIR" ? "_files -/"
                  : known.empty()       ? " "
                                        : "(" + known + ")");
      }
      paths += "      flags+=('*" + flag.name + "[" + bracketed(flag.description) + "]" + action + "')\n";
    }
    paths += "      ;;\n";
  }
  return "#compdef tallyd\n"
         "_tallyd() {\n"
         "  local -a commands flags\n"
         "  local path_words='' i\n"
         "  for ((i = 2; i < CURRENT; i++)); do\n"
         "    [[ ${words[i]} == -* ]] && break\n"
         "    path_words+=\"${path_words:+ }${words[i]}\"\n"
         "  done\n"
         "  case $path_words in\n" +
         paths +
         "  esac\n"
         "  if (( ${#commands} )) && [[ ${words[CURRENT]} != -* ]]; then\n"
         "    _describe command commands\n"
         "  else\n"
         "    _arguments $flags\n"
         "  fi\n"
         "}\n"
         "_tallyd \"$@\"\n";
}

}  // namespace tally::packaging
