// Markdown: a page with the tables of GitHub's flavour.
#include "core/report/markdown.hpp"

#include <algorithm>

#include "core/report/words.hpp"

namespace cowrie::report {
namespace {

/** Text as it may be read: what cannot be seen by its number. */
std::string visible(std::string_view utf8) {
  std::string result;
  while (!utf8.empty()) {
    const Character next = next_character(utf8);
    if (next.shown)
      append_utf8(result, next.code);
    else
      result += name_of(next.code);
  }
  return result;
}

bool is_digit(char each) { return each >= '0' && each <= '9'; }

bool is_letter(char each) {
  return is_digit(each) || (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z');
}

/** A line that would begin a list, a heading or a rule does not begin so. */
std::string begun_line(std::string line) {
  const std::size_t digits = std::find_if_not(line.begin(), line.end(), is_digit) - line.begin();
  if (digits > 0 && digits < line.size() && (line[digits] == '.' || line[digits] == ')'))
    line.insert(digits, "\\");
  else if (!line.empty() && std::string_view("+-=>#").find(line.front()) != std::string_view::npos)
    line.insert(0, "\\");
  return line;
}

class MarkdownPage {
public:
  std::string write(const Page &page) {
    line("# " + markdown_text(page.title));
    line("**" + markdown_text(page.verdict) + "**");
    write(Paragraph{page.lead});
    for (const Block &each : page.head)
      block(each);
    for (const Section &each : page.sections) {
      line("## " + markdown_text(each.title));
      for (const Block &part : each.blocks)
        block(part);
    }
    line("---");
    write(Paragraph{page.foot});
    out_.pop_back(); // one empty line too many
    return std::move(out_);
  }

private:
  /** A block of its own. */
  void line(const std::string &text) { out_ += text + "\n\n"; }

  void block(const Block &block) {
    std::visit([this](const auto &each) { write(each); }, block);
  }

  static std::string text(const Text &text, bool in_table = false) {
    std::string result;
    for (const Piece &each : text.pieces)
      switch (each.voice) {
      case Voice::plain:
        result += markdown_text(each.text);
        break;
      case Voice::strong:
        result += "**" + markdown_text(each.text) + "**";
        break;
      case Voice::code:
        result += markdown_code(each.text, in_table);
        break;
      case Voice::aside:
        result += (result.empty() ? "" : " ") + ("(" + markdown_text(each.text) + ")");
        break;
      }
    return result;
  }

  void write(const Paragraph &paragraph) {
    if (!paragraph.text.empty())
      line(begun_line(text(paragraph.text)));
  }

  void write(const Note &note) {
    out_ += "> **" + text(note.heading) + "**\n";
    for (const Text &each : note.lines)
      out_ += ">\n> " + begun_line(text(each)) + "\n";
    out_ += "\n";
  }

  void item(const std::string &name, const std::string &value) {
    out_ += "- **" + markdown_text(name) + ":** " + value + "\n";
  }

  void write(const Facts &facts) {
    for (const auto &[name, value] : facts.rows)
      item(name, text(value));
    out_ += "\n";
  }

  void write(const Figures &figures) {
    for (const Figures::Figure &each : figures.figures)
      item(each.name, markdown_text(each.value) +
                          (each.note.empty() ? "" : " (" + markdown_text(each.note) + ")"));
    out_ += "\n";
  }

  void write(const Strip &strip) {
    for (const Strip::Part &each : strip.parts)
      item(each.name, markdown_text(each.value));
    out_ += "\n";
  }

  void write(const Table &table) {
    if (table.rows.empty())
      return write(Paragraph{"None."});
    std::string names, rule;
    for (const auto &[name, kind] : table.columns)
      if (kind != Column::bar) {
        names += " " + markdown_text(name) + " |";
        rule += kind == Column::number ? "---:|" : "---|";
      }
    out_ += "|" + names + "\n|" + rule + "\n";
    for (const std::vector<Cell> &row : table.rows) {
      out_ += "|";
      for (std::size_t i = 0; i < table.columns.size(); ++i)
        if (table.columns[i].second != Column::bar)
          out_ += " " + (i < row.size() ? text(row[i].text, true) : "") + " |";
      out_ += "\n";
    }
    out_ += "\n";
  }

  std::string out_;
};

} // namespace

std::string markdown(const Page &page) { return MarkdownPage().write(page); }

// `<` and `&` by their names, because not every reader knows them with a backslash. A link that a
// reader of GitHub's flavour would make of an address is broken at its colon or first point.
std::string markdown_text(std::string_view utf8) {
  const std::string shown = visible(utf8);
  std::string result;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const char each = shown[i];
    const bool link = (each == ':' && shown.compare(i, 2, ":/") == 0) ||
                      (each == '.' && i >= 3 &&
                       std::equal(shown.begin() + static_cast<std::ptrdiff_t>(i) - 3,
                                  shown.begin() + static_cast<std::ptrdiff_t>(i), "www",
                                  [](char a, char b) { return (a | ' ') == b; }));
    const bool inside_word =
        i > 0 && is_letter(shown[i - 1]) && i + 1 < shown.size() && is_letter(shown[i + 1]);
    if (each == '<')
      result += "&lt;";
    else if (each == '&')
      result += "&amp;";
    else if (link || std::string_view("\\`*[]|~$").find(each) != std::string_view::npos ||
             (each == '_' && !inside_word))
      result += std::string("\\") + each;
    else
      result += each;
  }
  return result;
}

// A bar ends a cell even in a span of code, and a backslash before it is one of the code's own.
std::string markdown_code(std::string_view utf8, bool in_table) {
  if (in_table && utf8.find('|') != std::string_view::npos)
    return markdown_text(utf8);
  const std::string shown = visible(utf8);
  std::size_t longest = 0, run = 0;
  for (const char each : shown) {
    run = each == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  const bool padded = !shown.empty() && (shown.front() == '`' || shown.back() == '`' ||
                                         (shown.front() == ' ' && shown.back() == ' '));
  const std::string space = padded ? " " : "";
  return shown.empty() ? "" : fence + space + shown + space + fence;
}

} // namespace cowrie::report
