// Page: what a report is made of, before it is HTML or Markdown.
//
// All of it is data. What is markup stands in the two writers and nowhere else, so that no value of
// a database can become any. Error regime: plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cowrie::report {

/** What a value says of the run, in colour and always in words, too. */
enum class Mark : std::uint8_t { none, good, warning, bad };

/** How a part of a text is shown. */
enum class Voice : std::uint8_t {
  plain,
  strong,
  code, ///< a command, an identifier: what would be typed
  aside ///< of less importance, on a line of its own
};

struct Piece {
  std::string text;
  Voice voice = Voice::plain;
};

/** A text in UTF-8, or in anything else that somebody has stored. */
struct Text {
  Text() = default;
  // Words are a text, and a text is a cell: pages are written as lists of them.
  // NOLINTBEGIN(google-explicit-constructor)
  Text(std::string plain) { add(std::move(plain)); }
  Text(const char *plain) { add(plain); }
  // NOLINTEND(google-explicit-constructor)
  Text(std::string text, Voice voice) { add(std::move(text), voice); }

  Text &add(std::string text, Voice voice = Voice::plain) {
    if (!text.empty())
      pieces.push_back({std::move(text), voice});
    return *this;
  }
  bool empty() const noexcept { return pieces.empty(); }

  std::vector<Piece> pieces;
};

inline Text code(std::string text) { return {std::move(text), Voice::code}; }
inline Text strong(std::string text) { return {std::move(text), Voice::strong}; }

/** A part of a line from 0 to 1. */
struct Bar {
  double from = 0;
  double to = 0;
  int colour = 1; ///< 1 to 5
};

struct Cell {
  Cell() = default;
  // NOLINTBEGIN(google-explicit-constructor)
  Cell(Text words) : text(std::move(words)) {}
  Cell(std::string words) : text(std::move(words)) {}
  Cell(const char *words) : text(words) {}
  Cell(Text words, Mark what) : text(std::move(words)), mark(what) {}
  Cell(Bar line) : bar(line) {}
  // NOLINTEND(google-explicit-constructor)

  Text text;
  Mark mark = Mark::none;
  std::optional<Bar> bar; ///< shown in HTML; in Markdown its column is left out
};

enum class Column : std::uint8_t { words, number, bar };

struct Table {
  std::string name; ///< what it is a table of, for who cannot see it
  std::vector<std::pair<std::string, Column>> columns;
  std::vector<std::vector<Cell>> rows;
};

/** Names with their values. */
struct Facts {
  std::vector<std::pair<std::string, Text>> rows;
};

struct Paragraph {
  Text text;
};

/** What must not be missed. */
struct Note {
  Mark mark = Mark::none;
  Text heading;
  std::vector<Text> lines;
};

/** A few numbers that matter most. */
struct Figures {
  struct Figure {
    std::string name;
    std::string value;
    std::string note;
    Mark mark = Mark::none;
  };
  std::vector<Figure> figures;
};

/** A line that is divided into parts. */
struct Strip {
  struct Part {
    std::string name;
    std::string value;
    double share = 0; ///< of the whole, from 0 to 1
    int colour = 1;
  };
  std::string name;
  std::vector<Part> parts;
};

using Block = std::variant<Paragraph, Note, Facts, Figures, Strip, Table>;

struct Section {
  std::string title; ///< a word of this program, by which it is linked
  std::vector<Block> blocks;
};

struct Page {
  std::string title;
  Mark mark = Mark::none;
  std::string verdict; ///< in few words
  Text lead;
  std::vector<Block> head; ///< before the first section
  std::vector<Section> sections;
  Text foot;
};

/** Calls the function for every text of the page: one that comes in another encoding, say. */
void for_each_text(Page &page, const std::function<void(std::string &)> &change);

} // namespace cowrie::report
