// DDL: the exact texts, for one object of each kind.
#include "core/schema/ddl.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "fake_schema.hpp"

namespace cowrie {
namespace {

Column column(const char *name, const char *type) {
  Column made;
  made.name = name;
  made.type = type;
  return made;
}

template <typename Object>
Object declared(const char *table, std::vector<Object> Table::*list, const char *name) {
  Table copy = *test::declared_v16().table(table);
  return *test::find_named(copy.*list, name);
}

TEST(Quoting, DoublesQuotesAndKeepsBackslashes) {
  EXPECT_EQ(quote_identifier("plain"), R"("plain")");
  EXPECT_EQ(quote_identifier("x'y\"z"), R"("x'y""z")");
  EXPECT_EQ(qualified("a.b", "c\"d"), R"("a.b"."c""d")");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal(""), "''");
  EXPECT_EQ(quote_literal(R"(a\b'c)"), R"(E'a\\b''c')");
}

TEST(Ddl, WritesColumns) {
  EXPECT_EQ(ddl::column_clause(column("c", "integer")), R"("c" integer)");
  EXPECT_EQ(ddl::column_clause(declared("ip_inventory", &Table::columns, "enrichment_version")),
            R"("enrichment_version" character varying(20) NOT NULL)"
            R"( DEFAULT '2.2'::character varying)");
  Column generated = column("twice", "integer");
  generated.generated.sql = "a * 2";
  EXPECT_EQ(ddl::definition(generated), "integer GENERATED ALWAYS AS (a * 2) STORED");
  EXPECT_EQ(ddl::column_list({"a", "b\"c"}), R"("a", "b""c")");
  EXPECT_EQ(ddl::column_list({}), "");
}

TEST(Ddl, WritesTablesWithTheirColumnsOnly) {
  EXPECT_EQ(ddl::create_table("s", *schema_v16().table("ip_asn_history")),
            R"(CREATE TABLE "s"."ip_asn_history" ("ip_address" character varying(45) NOT NULL,)"
            R"( "asn_number" integer NOT NULL,)"
            R"( "observed_at" timestamp with time zone NOT NULL DEFAULT now(),)"
            R"( "verification_source" character varying(50)))");
  EXPECT_EQ(ddl::drop_table("s", "t"), R"(DROP TABLE "s"."t")");
}

TEST(Ddl, AddsAndDropsColumnsInOneStatement) {
  const Column a = column("a", "integer"), b = column("b", "text");
  EXPECT_EQ(ddl::add_columns("s", "t", {&a, &b}),
            R"(ALTER TABLE "s"."t" ADD COLUMN "a" integer, ADD COLUMN "b" text)");
  EXPECT_EQ(ddl::drop_columns("s", "t", {"a", "b"}),
            R"(ALTER TABLE "s"."t" DROP COLUMN "a", DROP COLUMN "b")");
}

TEST(Ddl, WritesConstraints) {
  const auto key = declared("asn_inventory", &Table::constraints, "asn_inventory_pkey");
  EXPECT_EQ(
      ddl::add_constraint("s", "asn_inventory", key),
      R"(ALTER TABLE "s"."asn_inventory" ADD CONSTRAINT "asn_inventory_pkey" PRIMARY KEY ("asn_number"))");
  const auto check = declared("asn_inventory", &Table::constraints, "asn_number_positive");
  EXPECT_EQ(ddl::constraint_clause("s", check),
            R"(CONSTRAINT "asn_number_positive" CHECK (asn_number > 0))");
  EXPECT_EQ(ddl::validate_constraint("s", "t", "n"),
            R"(ALTER TABLE "s"."t" VALIDATE CONSTRAINT "n")");
  EXPECT_EQ(ddl::drop_constraint("s", "t", "n"), R"(ALTER TABLE "s"."t" DROP CONSTRAINT "n")");
}

TEST(Ddl, WritesForeignKeysNotValidAndIntoTheSameSchema) {
  const auto key = declared("ip_inventory", &Table::constraints, "fk_ip_current_asn");
  EXPECT_EQ(ddl::constraint_clause("s", key),
            R"(CONSTRAINT "fk_ip_current_asn" FOREIGN KEY ("current_asn") REFERENCES)"
            R"( "s"."asn_inventory" ("asn_number") NOT VALID)");
  EXPECT_EQ(ddl::definition(key),
            R"(FOREIGN KEY ("current_asn") REFERENCES "asn_inventory" ("asn_number"))");
}

TEST(Ddl, WritesIndexes) {
  const char *addresses = "ip_inventory";
  EXPECT_EQ(
      ddl::create_index("s", addresses,
                        declared(addresses, &Table::indexes, "idx_ip_session_count")),
      R"(CREATE INDEX "idx_ip_session_count" ON "s"."ip_inventory" USING btree ("session_count" DESC))");
  EXPECT_EQ(ddl::create_index("s", addresses,
                              declared(addresses, &Table::indexes, "idx_ip_staleness_active")),
            R"(CREATE INDEX "idx_ip_staleness_active" ON "s"."ip_inventory" USING btree)"
            R"( ("enrichment_updated_at", "last_seen") WHERE enrichment_updated_at IS NOT NULL)");
  Index unique;
  unique.name = "u";
  unique.unique = true;
  unique.columns = {{"a"}};
  EXPECT_EQ(ddl::create_index("s", "t", unique),
            R"(CREATE UNIQUE INDEX "u" ON "s"."t" USING btree ("a"))");
  EXPECT_EQ(ddl::definition(unique), R"(UNIQUE btree ("a"))");
  EXPECT_EQ(ddl::drop_index("s", "u"), R"(DROP INDEX "s"."u")");
}

TEST(Ddl, AltersOnlyWhatDiffers) {
  const Column wanted = declared("ip_inventory", &Table::columns, "session_count");
  EXPECT_EQ(ddl::alter_column("s", "t", wanted, wanted), "");
  Column seen = wanted;
  seen.not_null = false;
  EXPECT_EQ(ddl::alter_column("s", "t", wanted, seen),
            R"(ALTER TABLE "s"."t" ALTER COLUMN "session_count" SET NOT NULL)");
  EXPECT_EQ(ddl::alter_column("s", "t", seen, wanted),
            R"(ALTER TABLE "s"."t" ALTER COLUMN "session_count" DROP NOT NULL)");
  seen = wanted;
  seen.default_value = {"7", "{7}"};
  EXPECT_EQ(ddl::alter_column("s", "t", wanted, seen),
            R"(ALTER TABLE "s"."t" ALTER COLUMN "session_count" SET DEFAULT 1)");
  Column plain = wanted;
  plain.default_value = {};
  EXPECT_EQ(ddl::alter_column("s", "t", plain, wanted),
            R"(ALTER TABLE "s"."t" ALTER COLUMN "session_count" DROP DEFAULT)");
}

} // namespace
} // namespace cowrie
