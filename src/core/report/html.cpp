// HTML: a page as one document that needs nothing else.
#include "core/report/html.hpp"

#include <algorithm>

#include "core/report/markup.hpp"
#include "core/report/style.hpp"

namespace cowrie::report {
namespace {

Markup class_of(Mark mark) {
  switch (mark) {
  case Mark::good:
    return "good";
  case Mark::warning:
    return "warning";
  case Mark::bad:
    return "bad";
  case Mark::none:
    break;
  }
  return "none";
}

/** Who cannot tell the colours apart sees the sign. */
Markup sign_of(Mark mark) {
  switch (mark) {
  case Mark::good:
    return "&#10003; ";
  case Mark::warning:
    return "&#9888;&#65038; ";
  case Mark::bad:
    return "&#10007; ";
  case Mark::none:
    break;
  }
  return "";
}

/** A word of this program as an anchor: `the-run`. */
std::string anchor_of(const std::string &title) {
  std::string result;
  for (const char each : title)
    if ((each >= 'a' && each <= 'z') || (each >= '0' && each <= '9'))
      result += each;
    else if (each >= 'A' && each <= 'Z')
      result += static_cast<char>(each - 'A' + 'a');
    else if (!result.empty() && result.back() != '-')
      result += '-';
  return result;
}

class HtmlPage {
public:
  std::string write(const Page &page) {
    begin(page);
    for (const Block &each : page.head)
      block(each);
    contents(page);
    out_.markup("<main>\n");
    for (const Section &each : page.sections)
      section(each);
    out_.markup("</main>\n<footer>\n<p>");
    text(page.foot);
    out_.markup("</p>\n</footer>\n</body>\n</html>\n");
    return out_.take();
  }

private:
  void begin(const Page &page) {
    out_.markup("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "style-src '");
    out_.markup(style_hash);
    out_.markup("'; base-uri 'none'; form-action 'none'\">\n"
                "<meta name=\"referrer\" content=\"no-referrer\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    out_.text(page.title + ": " + page.verdict);
    out_.markup("</title>\n<style>").markup(style).markup("</style>\n</head>\n<body>\n<header>\n");
    out_.markup("<p class=\"kicker\">cowrie_migrate: migration report</p>\n<h1>");
    out_.isolated(page.title);
    out_.markup("</h1>\n<p class=\"verdict ").markup(class_of(page.mark)).markup("\">");
    out_.markup(sign_of(page.mark)).isolated(page.verdict).markup("</p>\n<p class=\"lead\">");
    text(page.lead);
    out_.markup("</p>\n</header>\n");
  }

  void contents(const Page &page) {
    out_.markup("<nav aria-label=\"Contents\">\n<ul>\n");
    for (const Section &each : page.sections)
      out_.markup("<li><a href=\"#")
          .text(anchor_of(each.title))
          .markup("\">")
          .text(each.title)
          .markup("</a></li>\n");
    out_.markup("</ul>\n</nav>\n");
  }

  void section(const Section &section) {
    out_.markup("<section id=\"").text(anchor_of(section.title)).markup("\">\n<h2>");
    out_.text(section.title).markup("</h2>\n");
    for (const Block &each : section.blocks)
      block(each);
    out_.markup("</section>\n");
  }

  void block(const Block &block) {
    std::visit([this](const auto &each) { write(each); }, block);
  }

  void text(const Text &text) {
    for (const Piece &each : text.pieces)
      switch (each.voice) {
      case Voice::plain:
        out_.isolated(each.text);
        break;
      case Voice::strong:
        out_.markup("<strong>").isolated(each.text).markup("</strong>");
        break;
      case Voice::code:
        out_.markup("<code>").isolated(each.text).markup("</code>");
        break;
      case Voice::aside:
        out_.markup("<span class=\"aside\">").isolated(each.text).markup("</span>");
        break;
      }
  }

  void write(const Paragraph &paragraph) {
    out_.markup("<p>");
    text(paragraph.text);
    out_.markup("</p>\n");
  }

  void write(const Note &note) {
    out_.markup("<div class=\"note ").markup(class_of(note.mark)).markup("\">\n");
    out_.markup("<p class=\"heading ").markup(class_of(note.mark)).markup("\">");
    out_.markup(sign_of(note.mark));
    text(note.heading);
    out_.markup("</p>\n");
    for (const Text &each : note.lines)
      write(Paragraph{each});
    out_.markup("</div>\n");
  }

  void write(const Facts &facts) {
    out_.markup("<dl class=\"facts\">\n");
    for (const auto &[name, value] : facts.rows) {
      out_.markup("<dt>").isolated(name).markup("</dt>\n<dd>");
      text(value);
      out_.markup("</dd>\n");
    }
    out_.markup("</dl>\n");
  }

  void write(const Figures &figures) {
    out_.markup("<ul class=\"figures\">\n");
    for (const Figures::Figure &each : figures.figures) {
      out_.markup("<li><span class=\"name\">").isolated(each.name);
      out_.markup("</span> <span class=\"value ").markup(class_of(each.mark)).markup("\">");
      out_.isolated(each.value).markup("</span>");
      if (!each.note.empty())
        out_.markup(" <span class=\"about\">").isolated(each.note).markup("</span>");
      out_.markup("</li>\n");
    }
    out_.markup("</ul>\n");
  }

  void write(const Strip &strip) {
    out_.markup("<div class=\"strip\">\n<svg viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
                "role=\"img\" aria-label=\"");
    out_.text(strip.name).markup("\">\n<rect class=\"track\" width=\"1000\" height=\"10\"/>\n");
    double at = 0;
    for (const Strip::Part &each : strip.parts) {
      rectangle(at * 1000, each.share * 1000, each.colour);
      at += each.share;
    }
    out_.markup("</svg>\n<ul>\n");
    for (const Strip::Part &each : strip.parts) {
      out_.markup("<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\">");
      rectangle(0, 10, each.colour);
      out_.markup("</svg>").isolated(each.name).markup(" <b>").isolated(each.value);
      out_.markup("</b></li>\n");
    }
    out_.markup("</ul>\n</div>\n");
  }

  void write(const Table &table) {
    if (table.rows.empty())
      return write(Paragraph{"None."});
    out_.markup("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    out_.text(table.name).markup("\">\n<table>\n<thead>\n<tr>");
    for (const auto &[name, kind] : table.columns) {
      out_.markup(kind == Column::number ? Markup("<th scope=\"col\" class=\"number\">")
                  : kind == Column::bar  ? Markup("<th scope=\"col\" class=\"bar\">")
                                         : Markup("<th scope=\"col\">"));
      out_.text(name).markup("</th>");
    }
    out_.markup("</tr>\n</thead>\n<tbody>\n");
    for (const std::vector<Cell> &row : table.rows) {
      out_.markup("<tr>");
      for (std::size_t i = 0; i < table.columns.size(); ++i)
        cell(i < row.size() ? row[i] : Cell(), table.columns[i].second);
      out_.markup("</tr>\n");
    }
    out_.markup("</tbody>\n</table>\n</div>\n");
  }

  void cell(const Cell &cell, Column kind) {
    if (kind == Column::bar) {
      out_.markup("<td class=\"bar\">");
      if (cell.bar)
        bar(*cell.bar);
    } else if (kind == Column::number) {
      out_.markup("<td class=\"number\">");
    } else if (cell.mark != Mark::none) {
      out_.markup("<td class=\"mark ").markup(class_of(cell.mark)).markup("\">");
      out_.markup(sign_of(cell.mark));
    } else {
      out_.markup("<td>");
    }
    text(cell.text);
    out_.markup("</td>");
  }

  void bar(const Bar &bar) {
    out_.markup("<svg viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
                "<rect class=\"track\" width=\"1000\" height=\"10\"/>");
    // What took hardly any time is seen as well.
    const double width = std::max((bar.to - bar.from) * 1000, 4.0);
    rectangle(std::min(bar.from * 1000, 1000 - width), width, bar.colour);
    out_.markup("</svg>");
  }

  void rectangle(double x, double width, int colour) {
    out_.markup("<rect class=\"c").number(colour).markup("\" x=\"").number(x);
    out_.markup("\" width=\"").number(width).markup("\" height=\"10\"/>");
  }

  HtmlText out_;
};

} // namespace

std::string html(const Page &page) { return HtmlPage().write(page); }

} // namespace cowrie::report
