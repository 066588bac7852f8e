#include "yaml_document.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "potential.h"

namespace mlff::yaml {

namespace {

constexpr std::size_t deepest = 16;
/// Every token of YAML but a comment needs one of these marks, and yaml-cpp may hold all tokens of
/// a flow collection at once: their number bounds its memory and the tree's. Base64 has none of
/// them.
constexpr std::string_view marks = "[]{},:-?&*!|>'\"";
constexpr std::size_t most_marks = 1000000;

/// Builds the tree from the parser's events and refuses early what must not be there.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string &name) : name_(name) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark &mark) override {
    if (documents_++ > 0) fail(mark, "a second document begins here; a potential file has one");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark &mark, YAML::anchor_t) override {
    fail(mark, "aliases are not allowed");
  }

  void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    place(mark);
  }

  void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                const std::string &value) override {
    refuse_anchor(mark, anchor);
    const Node::Style style = style_of(mark, tag);
    if (expects_key()) {
      if (style == Node::Style::Binary) fail(mark, "a key must be text");
      open_.back()->keys.push_back(value);
      return;
    }
    Node &node = place(mark);
    node.kind = Node::Kind::Scalar;
    node.style = style;
    node.text = value;
  }

  void OnSequenceStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::Sequence);
  }
  void OnSequenceEnd() override { open_.pop_back(); }

  void OnMapStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::Mapping);
  }
  void OnMapEnd() override {
    std::vector<std::string_view> keys(open_.back()->keys.begin(), open_.back()->keys.end());
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) {
      open_.back()->keys.back() = *twice;
      throw PotentialError(name_ + ": " + path() + ": given twice");
    }
    open_.pop_back();
  }

 private:
  [[noreturn]] void fail(const YAML::Mark &mark, const std::string &reason) const {
    throw PotentialError(name_ + ": " + path() + ": line " + std::to_string(mark.line + 1) + ": " +
                         reason);
  }

  /// Where the parser stands: "tensors[3].name".
  std::string path() const {
    std::string path;
    for (const Node *node : open_) {
      if (node->kind == Node::Kind::Sequence) {
        const std::size_t next = node->children.size();
        path += "[" + std::to_string(node == open_.back() ? next : next - 1) + "]";
      } else if (!node->keys.empty()) {
        const std::string_view key = node->keys.back();
        path += (path.empty() ? "" : ".") + std::string(key.substr(0, 40));
      }
    }
    return path.empty() ? "file" : path;
  }

  void refuse_anchor(const YAML::Mark &mark, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) fail(mark, "anchors are not allowed");
  }

  Node::Style style_of(const YAML::Mark &mark, const std::string &tag) const {
    if (tag == "?" || tag.empty()) return Node::Style::Plain;
    if (tag == "!") return Node::Style::Quoted;
    if (tag == "tag:yaml.org,2002:binary") return Node::Style::Binary;
    fail(mark, "unknown tag " + quoted(tag) + "; known: !!binary");
  }

  bool expects_key() const {
    return !open_.empty() && open_.back()->kind == Node::Kind::Mapping &&
           open_.back()->keys.size() == open_.back()->children.size();
  }

  /// The next value's place in the tree.
  Node &place(const YAML::Mark &mark) {
    if (expects_key()) fail(mark, "a key must be text");
    if (open_.empty()) return root_;
    // Pointers in open_ stay valid: while a node is open its parent gains no other child.
    return open_.back()->children.emplace_back();
  }

  void open(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    refuse_anchor(mark, anchor);
    if (style_of(mark, tag) == Node::Style::Binary) fail(mark, "!!binary belongs to text only");
    if (open_.size() >= deepest)
      fail(mark, "nested deeper than " + std::to_string(deepest) + " levels");
    Node &node = place(mark);
    node.kind = kind;
    open_.push_back(&node);
  }

  const std::string &name_;
  Node root_;
  std::vector<Node *> open_;
  int documents_ = 0;
};

/// What has to be settled before a YAML parser sees the text.
void check_characters(std::string_view text, const std::string &name) {
  if (text.empty()) throw PotentialError(name + ": file: is empty");
  bool is_mark[256] = {};
  for (const char c : marks) is_mark[static_cast<unsigned char>(c)] = true;
  std::size_t line = 1, seen = 0;
  bool line_begins = true;
  const auto fail = [&](const std::string &reason) {
    throw PotentialError(name + ": file: line " + std::to_string(line) + ": " + reason);
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f)
      fail("holds a control character; a potential is a text file");
    if (line_begins && c == '%') fail("directives are not allowed");
    if (is_mark[byte] && ++seen > most_marks)
      fail("has the file's punctuation mark number " + std::to_string(seen) +
           "; a potential needs fewer");
    line_begins = c == '\n' || c == '\r';
    if (c == '\n') ++line;
  }
  if (text.back() != '\n') fail("is the last and lacks its line break; the file was cut short");
}

}  // namespace

Node read(std::string_view text, const std::string &name) {
  check_characters(text, name);
  std::istringstream stream{std::string(text)};
  TreeBuilder builder(name);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception &error) {
    throw PotentialError(name + ": file: line " + std::to_string(error.mark.line + 1) +
                         ": not valid YAML: " + error.msg);
  }
  Node root = builder.take();
  if (root.kind != Node::Kind::Mapping)
    throw PotentialError(name +
                         ": file: is not a mapping of keys to values, as a potential file is");
  return root;
}

void Field::fail(const std::string &reason) const {
  throw PotentialError(*file_ + ": " + (key_.empty() ? "file" : key_) + ": " + reason);
}

std::string Field::path(std::string_view key) const {
  return key_.empty() ? std::string(key) : key_ + "." + std::string(key);
}

const Node &Field::expect(Node::Kind kind) const {
  static const char *const names[] = {"null", "a single value", "a list", "a mapping"};
  if (node_->kind != kind)
    fail(std::string("is ") + names[static_cast<int>(node_->kind)] + "; expected " +
         names[static_cast<int>(kind)]);
  return *node_;
}

const std::string &Field::text() const {
  if (expect(Node::Kind::Scalar).style == Node::Style::Binary) fail("is !!binary; expected text");
  return node_->text;
}

const std::string &Field::binary() const {
  if (expect(Node::Kind::Scalar).style != Node::Style::Binary)
    fail("expected base64 text tagged !!binary");
  return node_->text;
}

const std::string &Field::plain(const char *what) const {
  if (expect(Node::Kind::Scalar).style != Node::Style::Plain)
    fail("is " + quoted(node_->text) + " in quotes or with a tag; expected " + what);
  return node_->text;
}

long Field::integer(long least, long largest) const {
  const std::string &digits = plain("an integer");
  long value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < least ||
      value > largest)
    fail("is " + quoted(digits) + "; expected an integer from " + std::to_string(least) + " to " +
         std::to_string(largest));
  return value;
}

double Field::real() const {
  const std::string &digits = plain("a number");
  double value = 0.0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value))
    fail("is " + quoted(digits) + "; expected a finite number");
  return value;
}

bool Field::boolean() const {
  const std::string &word = plain("true or false");
  if (word != "true" && word != "false") fail("is " + quoted(word) + "; expected true or false");
  return word == "true";
}

std::vector<Field> Field::items() const {
  const Node &list = expect(Node::Kind::Sequence);
  std::vector<Field> fields;
  fields.reserve(list.children.size());
  for (std::size_t i = 0; i < list.children.size(); ++i)
    fields.emplace_back(list.children[i], key_ + "[" + std::to_string(i) + "]", *file_);
  return fields;
}

std::vector<Field> Field::entries() const {
  const Node &mapping = expect(Node::Kind::Mapping);
  std::vector<Field> fields;
  fields.reserve(mapping.children.size());
  for (std::size_t i = 0; i < mapping.children.size(); ++i)
    fields.emplace_back(mapping.children[i], path(mapping.keys[i]), *file_);
  return fields;
}

std::vector<double> Field::reals(std::size_t count) const {
  if (expect(Node::Kind::Sequence).children.size() != count)
    fail("has " + std::to_string(size()) + " entries; expected " + std::to_string(count));
  std::vector<double> values;
  for (const Field &item : items()) values.push_back(item.real());
  return values;
}

std::size_t Field::size() const { return node_->children.size(); }

const std::vector<std::string> &Field::keys() const { return expect(Node::Kind::Mapping).keys; }

bool Field::has(std::string_view key) const {
  return std::find(keys().begin(), keys().end(), key) != keys().end();
}

Field Field::at(std::string_view key) const {
  const auto found = std::find(keys().begin(), keys().end(), key);
  if (found == keys().end()) named(path(key)).fail("is missing");
  return {node_->children[static_cast<std::size_t>(found - keys().begin())], path(key), *file_};
}

void Field::only(const std::vector<std::string_view> &known) const {
  for (const std::string &key : keys())
    if (std::find(known.begin(), known.end(), key) == known.end())
      named(path(quoted(key))).fail("unknown key; known here: " + joined(known));
}

std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 40;
  std::string result = "'";
  for (const char c : text.substr(0, longest))
    result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return result + (text.size() > longest ? "…'" : "'");
}

std::string joined(const std::vector<std::string_view> &words) {
  std::string result;
  for (const std::string_view word : words)
    result += (result.empty() ? "" : ", ") + std::string(word);
  return result;
}

}  // namespace mlff::yaml
