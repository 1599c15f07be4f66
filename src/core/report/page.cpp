// Page: what a report is made of, before it is HTML or Markdown.
#include "core/report/page.hpp"

namespace cowrie::report {
namespace {

class TextWalk {
public:
  explicit TextWalk(const std::function<void(std::string &)> &change) : change_(change) {}

  void visit(Page &page) {
    change_(page.title);
    change_(page.verdict);
    visit(page.lead);
    visit(page.head);
    for (Section &each : page.sections) {
      change_(each.title);
      visit(each.blocks);
    }
    visit(page.foot);
  }

private:
  void visit(std::vector<Block> &blocks) {
    for (Block &each : blocks)
      std::visit([this](auto &block) { visit(block); }, each);
  }
  void visit(Text &text) {
    for (Piece &each : text.pieces)
      change_(each.text);
  }
  void visit(Paragraph &paragraph) { visit(paragraph.text); }
  void visit(Note &note) {
    visit(note.heading);
    for (Text &each : note.lines)
      visit(each);
  }
  void visit(Facts &facts) {
    for (auto &[name, value] : facts.rows) {
      change_(name);
      visit(value);
    }
  }
  void visit(Figures &figures) {
    for (Figures::Figure &each : figures.figures) {
      change_(each.name);
      change_(each.value);
      change_(each.note);
    }
  }
  void visit(Strip &strip) {
    change_(strip.name);
    for (Strip::Part &each : strip.parts) {
      change_(each.name);
      change_(each.value);
    }
  }
  void visit(Table &table) {
    change_(table.name);
    for (auto &[name, kind] : table.columns)
      change_(name);
    for (std::vector<Cell> &row : table.rows)
      for (Cell &each : row)
        visit(each.text);
  }

  const std::function<void(std::string &)> &change_;
};

} // namespace

void for_each_text(Page &page, const std::function<void(std::string &)> &change) {
  TextWalk(change).visit(page);
}

} // namespace cowrie::report
