// A YAML document as a tree, read from text that nobody vouches for.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mlff::yaml {

/// One value of a document. Mappings have unique text keys, in the file's order.
struct Node {
  enum class Kind { Null, Scalar, Sequence, Mapping };
  enum class Style { Plain, Quoted, Binary };  ///< of a scalar; Binary: tagged !!binary
  Kind kind = Kind::Null;
  Style style = Style::Plain;
  std::string text;               ///< of a scalar
  std::vector<std::string> keys;  ///< of a mapping, parallel to `children`
  std::vector<Node> children;     ///< of a sequence or mapping
};

/// Parses one document with yaml-cpp. Beyond YAML's own rules it refuses (PotentialError, with
/// `name` in front) what a potential file has no use for and a hostile one has: anchors and
/// aliases, directives, tags but !!binary, further documents, keys that are not text or appear
/// twice, nesting deeper than 16, more than a million punctuation marks, control characters, and a
/// last line without its line break.
Node read(std::string_view text, const std::string &name);

/// A value together with where it stands, which every error names: "FILE: KEY: reason".
/// Refers to the node and the file name that it was made from.
class Field {
 public:
  Field(const Node &node, std::string key, const std::string &file)
      : node_(&node), key_(std::move(key)), file_(&file) {}

  const std::string &key() const { return key_; }
  [[noreturn]] void fail(const std::string &reason) const;

  bool is_null() const { return node_->kind == Node::Kind::Null; }
  const std::string &text() const;               ///< a scalar, plain or quoted
  const std::string &binary() const;             ///< base64 text of a scalar tagged !!binary
  long integer(long least, long largest) const;  ///< a decimal integer within [least, largest]
  double real() const;                           ///< a finite number
  bool boolean() const;                          ///< true or false

  std::vector<Field> items() const;    ///< of a sequence; keys "key[0]", "key[1]", …
  std::vector<Field> entries() const;  ///< of a mapping, in the order of keys()
  std::vector<double> reals(std::size_t count) const;  ///< a sequence of `count` finite numbers

  std::size_t size() const;                      ///< number of entries of a sequence or mapping
  const std::vector<std::string> &keys() const;  ///< of a mapping
  bool has(std::string_view key) const;
  Field at(std::string_view key) const;  ///< an entry of a mapping; fails if it is missing
  /// Fails if the mapping has any other key.
  void only(const std::vector<std::string_view> &known) const;
  /// The same value under another name in messages.
  Field named(std::string key) const { return {*node_, std::move(key), *file_}; }

  bool is_scalar() const { return node_->kind == Node::Kind::Scalar; }

 private:
  const Node &expect(Node::Kind kind) const;
  const std::string &plain(const char *what) const;
  std::string path(std::string_view key) const;

  const Node *node_;
  std::string key_;
  const std::string *file_;
};

/// Text of a file as it may stand in a message: short, printable, in quotes.
std::string quoted(std::string_view text);
/// "a, b, c"
std::string joined(const std::vector<std::string_view> &words);

}  // namespace mlff::yaml
