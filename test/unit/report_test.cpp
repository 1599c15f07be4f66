// Report: what anybody may have written stays text, in HTML and in Markdown; and which run a report
// is about.
#include "core/report/html.hpp"
#include "core/report/markdown.hpp"
#include "core/report/markup.hpp"
#include "core/report/style.hpp"
#include "core/report/subject.hpp"
#include "core/report/words.hpp"

#include <gtest/gtest.h>

#include "core/base/failure.hpp"
#include "fake_schema.hpp"

namespace cowrie::report {
namespace {

// Only a literal of a source becomes markup: text of any other kind does not compile.
static_assert(std::is_constructible_v<Markup, const char (&)[4]>);
static_assert(!std::is_constructible_v<Markup, std::string>);
static_assert(!std::is_constructible_v<Markup, std::string_view>);
static_assert(!std::is_constructible_v<Markup, const char *>);
static_assert(!std::is_constructible_v<Markup, char *>);
static_assert(!std::is_constructible_v<Markup, char (&)[4]>);

/** A page with one value in every place where a value can stand. */
Page page_of(const std::string &value) {
  Page page;
  page.title = page.verdict = value;
  page.lead = value;
  page.head = {Note{Mark::bad, value, {value}}, Figures{{{value, value, value, Mark::good}}}};
  Text voices(value);
  for (const Voice voice : {Voice::strong, Voice::code, Voice::aside})
    voices.add(value, voice);
  page.sections = {
      {"The run",
       {Paragraph{voices}, Facts{{{value, voices}}}, Strip{value, {{value, value, 0.5, 1}}},
        Table{value,
              {{value, Column::words}, {"n", Column::number}, {"", Column::bar}},
              {{voices, Cell(value, Mark::warning), Bar{0.25, 0.5, 2}}}}}}};
  page.foot = value;
  return page;
}

const std::vector<std::string> &hostile() {
  static const std::vector<std::string> values = {
      "<script>alert(1)</script>",
      "\"><img src=x onerror=alert(1)>",
      "' onmouseover='alert(1)",
      "</style><script>x</script>",
      "]]><!--",
      "--><svg onload=x>",
      "&lt;script&gt;",
      "&#60;b&#62;",
      "| a | b |\n|---|---|",
      "`code` ``x`` ```\n# heading",
      "a\\|b",
      "[x](javascript:alert(1)) ![y](http://evil.example/z.png)",
      "<https://evil.example> www.evil.example",
      "*a* _b_ ~~c~~ **d** __e__",
      "1. list\n- list\n+ list\n=====",
      "> quote",
      "\u202Egnp.exe\u2066 \u05E9\u05DC\u05D5\u05DD \u061C\u200F",
      std::string("nul \0 and \x01\x1b[31m\x7f", 18),
      "\xff\xfe broken \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80",
      "\xEF\xBF\xBE \xEF\xB7\x90 \xC2\x85 \xE2\x80\xA8",
      "\xF0\x9F\x98\x80 \xF3\xA0\x81\x81"};
  return values;
}

std::string without(std::string text, const std::string &part) {
  for (std::size_t at; (at = text.find(part)) != std::string::npos;)
    text.erase(at, part.size());
  return text;
}

std::string tags_of(const std::string &html) {
  std::string tags;
  for (std::size_t at = 0; (at = html.find('<', at)) != std::string::npos;) {
    const std::size_t end = html.find('>', at);
    tags += html.substr(at, end - at + 1);
    at = end;
  }
  return tags;
}

/** The tags with their attributes, but for what an attribute says of the value. */
std::string skeleton(const std::string &value) {
  std::string tags = without(without(tags_of(html(page_of(value))), "<bdi>"), "</bdi>");
  for (std::size_t at = 0; (at = tags.find("aria-label=\"", at)) != std::string::npos; ++at)
    tags.erase(at + 12, tags.find('"', at + 12) - at - 12);
  return tags;
}

TEST(ReportHtml, HasTheSameTagsWhateverTheValues) {
  const std::string harmless = skeleton("harmless");
  for (const std::string &each : hostile())
    EXPECT_EQ(skeleton(each), harmless) << each;
}

TEST(ReportHtml, IsAsciiWithoutControls) {
  for (const std::string &each : hostile())
    for (const char byte : html(page_of(each)))
      EXPECT_TRUE((byte >= ' ' && byte < 0x7F) || byte == '\n') << each << static_cast<int>(byte);
}

TEST(ReportHtml, ShowsWhatCannotBeSeen) {
  HtmlText text;
  text.text(std::string("a\0b\n\u202E\u05D0", 9));
  EXPECT_EQ(text.take(), "aU+0000bU+000AU+202E&#1488;");
  HtmlText isolated;
  isolated.isolated("plain").isolated("\u05D0");
  EXPECT_EQ(isolated.take(), "plain<bdi>&#1488;</bdi>");
}

TEST(ReportHtml, ReferencesNothingOutside) {
  const std::string page = html(page_of("value"));
  EXPECT_EQ(page.find("http"), page.find("http-equiv"));
  for (const char *each : {"src=", "url(", "@import", "<script", "<link", " style=", "javascript:"})
    EXPECT_EQ(page.find(each), std::string::npos) << each;
  EXPECT_NE(page.find("default-src 'none'; style-src '" + std::string(style_hash) + "'"),
            std::string::npos);
}

TEST(ReportHtml, NumbersHaveAtMostTwoDecimals) {
  HtmlText text;
  for (const double each : {0.0, 1.0, 0.5, 333.3333, 1000.0, 0.001})
    text.number(each).markup(" ");
  EXPECT_EQ(text.take(), "0 1 0.5 333.33 1000 0 ");
}

TEST(ReportMarkdown, EscapesWhatWouldBeMarkup) {
  EXPECT_EQ(markdown_text("<b>&amp; *a* [x](y) `c` | \\ ~~ $x$"),
            "&lt;b>&amp;amp; \\*a\\* \\[x\\](y) \\`c\\` \\| \\\\ \\~\\~ \\$x\\$");
  EXPECT_EQ(markdown_text("ip_asn_history _x_"), "ip_asn_history \\_x\\_");
  EXPECT_EQ(markdown_text("http://a www.b WWW.c"), "http\\://a www\\.b WWW\\.c");
  EXPECT_EQ(markdown_text("a\nb\u202E"), "aU+000AbU+202E");
  EXPECT_EQ(markdown_code("a`b", false), "``a`b``");
  EXPECT_EQ(markdown_code("`", false), "`` ` ``");
  EXPECT_EQ(markdown_code("", false), "");
  EXPECT_EQ(markdown_code("a|b", true), "a\\|b");
  EXPECT_EQ(markdown_code("a|b", false), "`a|b`");
}

TEST(ReportMarkdown, HasTheSameLinesWhateverTheValues) {
  const auto lines = [](const std::string &value) {
    const std::string text = markdown(page_of(value));
    return std::count(text.begin(), text.end(), '\n');
  };
  for (const std::string &each : hostile()) {
    EXPECT_EQ(lines(each), lines("harmless")) << each;
    const std::string text = markdown(page_of(each));
    for (const char byte : text)
      EXPECT_TRUE(static_cast<unsigned char>(byte) >= ' ' || byte == '\n') << each;
  }
}

TEST(ReportMarkdown, BeginsNoBlockWithAValue) {
  for (const std::string value : {"1. a", "- a", "+ a", "# a", "> a", "=== a"}) {
    const std::string text = markdown(page_of(value));
    EXPECT_EQ(text.find("\n" + value), std::string::npos) << text;
  }
}

TEST(ReportWords, AreReadByPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(change(8192), "+8192 bytes");
  EXPECT_EQ(change(-8192), "-8192 bytes");
  EXPECT_EQ(change(0), "0 bytes");
  EXPECT_EQ(cut("\u00E4bc", 3), "\u00E4bc");
  EXPECT_EQ(cut("\u00E4bcd", 3), "\u00E4bc...");
}

// Which run
// ----------------------------------------------------------------------------------------

class FakeRecords : public Records {
public:
  std::vector<RunRecord> all;
  LatestRun status;
  std::vector<RunRecord> runs() override { return all; }
  void complete(RunRecord &run) override { run.server_version = "completed"; }
  std::vector<StepRecord> steps(std::int64_t run) override {
    StepRecord step;
    step.run = run;
    return {step};
  }
  LatestRun latest() override { return status; }

  RunRecord &add(std::int64_t id, const std::string &mode, const std::string &state,
                 bool here = true) {
    RunRecord run;
    run.id = id;
    run.mode = mode;
    run.status = state;
    run.here = here;
    run.schema = here ? "app" : "other";
    all.push_back(run);
    return all.back();
  }
};

Failure failure_of(FakeRecords &records, std::optional<std::int64_t> run) {
  Target target;
  target.schema = "app";
  try {
    (void)find_subject(records, target, run);
  } catch (const Failure &failure) {
    return failure;
  }
  return Failure("00000", "it did not fail");
}

std::vector<std::int64_t> story(FakeRecords &records, std::optional<std::int64_t> run) {
  std::vector<std::int64_t> ids;
  Target target;
  target.schema = "app";
  for (const RunRecord &each : find_subject(records, target, run).story)
    ids.push_back(each.id);
  return ids;
}

TEST(ReportSubject, RefusesWhatIsNotOnRecord) {
  FakeRecords records;
  EXPECT_EQ(failure_of(records, std::nullopt).sqlstate, sqlstate::prerequisite_state);
  EXPECT_EQ(failure_of(records, 3).sqlstate, sqlstate::undefined_object);
  records.add(1, "atomic", "done");
  records.add(2, "atomic", "done", /* here: */ false);
  EXPECT_EQ(failure_of(records, 3).detail, "Its latest runs are 1.");
  const Failure other = failure_of(records, 2);
  EXPECT_EQ(other.detail, "That run was for schema \"other\".");
  EXPECT_EQ(other.hint,
            "Run SELECT cowrie_migration_report(target_schema => 'other', run_id => 2);");
}

TEST(ReportSubject, TellsTheStoryOfAMigrationInSeveralCalls) {
  FakeRecords records;
  records.add(1, "atomic", "done");
  records.add(2, "online", "stopped");
  records.add(3, "online", "failed", /* here: */ false);
  records.add(4, "online", "interrupted");
  records.add(5, "online", "done");
  records.add(6, "cleanup", "done");
  records.add(7, "atomic", "failed");
  EXPECT_EQ(story(records, 1), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(story(records, 4), (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(story(records, 5), (std::vector<std::int64_t>{2, 4, 5}));
  EXPECT_EQ(story(records, 6), (std::vector<std::int64_t>{6}));
  EXPECT_EQ(story(records, std::nullopt), (std::vector<std::int64_t>{7}));
  Target target;
  target.schema = "app";
  const Subject subject = find_subject(records, target, 5);
  EXPECT_EQ(subject.run->server_version, "completed");
  EXPECT_EQ(subject.steps.size(), 3U);
  EXPECT_EQ(subject.taken_back_by, 6);
}

TEST(ReportSubject, IsTheLatestRunEvenIfItLeftNoRecord) {
  FakeRecords records;
  records.add(1, "atomic", "done");
  records.status.outcome = "failed";
  records.status.mode = "atomic";
  Target target;
  target.schema = "app";
  Subject subject = find_subject(records, target, std::nullopt);
  EXPECT_FALSE(subject.run);
  EXPECT_EQ(verdict_of(subject).words, "Failed, everything was rolled back");
  records.all.back().is_latest = true;
  subject = find_subject(records, target, std::nullopt);
  ASSERT_TRUE(subject.run);
  EXPECT_EQ(subject.run->id, 1);
}

TEST(ReportSubject, IsJudgedByHowItEnded) {
  const auto verdict = [](const std::string &mode, const std::string &status,
                          const std::string &outcome, bool running) {
    FakeRecords records;
    records.add(1, mode, status).is_latest = true;
    records.status.outcome = outcome;
    records.status.running = running;
    Target target;
    target.schema = "app";
    return verdict_of(find_subject(records, target, std::nullopt));
  };
  EXPECT_EQ(verdict("atomic", "done", "done", false).mark, Mark::good);
  EXPECT_EQ(verdict("atomic", "failed", "failed", false).mark, Mark::bad);
  EXPECT_EQ(verdict("online", "stopped", "stopped", false).words, "Stopped on request");
  EXPECT_EQ(verdict("online", "running", "running", true).words, "Running");
  EXPECT_EQ(verdict("online", "running", "waiting", true).words, "Running, waiting for a lock");
  EXPECT_EQ(verdict("online", "running", "died", false).mark, Mark::bad);
  EXPECT_EQ(verdict("online", "interrupted", "died", false).mark, Mark::bad);
}

} // namespace
} // namespace cowrie::report
