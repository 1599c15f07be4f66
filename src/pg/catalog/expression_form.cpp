// Expression form: what the server's parser makes of an expression, as comparable text.
#include "pg/catalog/expression_form.hpp"

#include <algorithm>

namespace cowrie::pg {
namespace {

// Reading a tree back forgets the positions (readfuncs.c sets them to -1).
const char *without_positions_unsafe(char *tree) { return nodeToString(stringToNode(tree)); }

/** Leaves out how a call or cast was written (`substring(x from y)` or `substring(x, y)`), as the
 *  server's equal() does: after a dump and restore it is written otherwise and means the same. */
std::string without_notation(std::string_view tree) {
  constexpr std::string_view notations[] = {":funcformat ",    ":relabelformat ",  ":coerceformat ",
                                            ":convertformat ", ":coercionformat ", ":row_format "};
  std::string form;
  form.reserve(tree.size());
  while (!tree.empty()) {
    std::size_t skip = 0;
    for (const std::string_view each : notations)
      if (tree.substr(0, each.size()) == each)
        skip = each.size() + 1; // the value is one digit
    if (skip == 0) {
      skip = std::min(tree.find(':', 1), tree.size()); // where the next field begins
      form += tree.substr(0, skip);
    }
    tree.remove_prefix(std::min(skip, tree.size()));
  }
  return form;
}

Node *raw_expression_unsafe(const char *sql) {
  List *statements = raw_parser(psprintf("SELECT %s", sql), RAW_PARSE_DEFAULT);
  SelectStmt *select = castNode(SelectStmt, castNode(RawStmt, linitial(statements))->stmt);
  return castNode(ResTarget, linitial(select->targetList))->val;
}

Node *cooked_unsafe(Relation relation, const char *sql, ExpressionKind kind, const char *column) {
  ParseState *state = make_parsestate(nullptr);
  ParseNamespaceItem *item =
      addRangeTableEntryForRelation(state, relation, AccessShareLock, nullptr, false, true);
  addNSItemToQuery(state, item, true, true, true);
  Node *raw = raw_expression_unsafe(sql);
  switch (kind) {
  case ExpressionKind::default_value:
  case ExpressionKind::generated: {
    const AttrNumber number = get_attnum(RelationGetRelid(relation), column);
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
    const char generated = kind == ExpressionKind::generated ? ATTRIBUTE_GENERATED_STORED : '\0';
    return cookDefault(state, raw, attribute->atttypid, attribute->atttypmod,
                       const_cast<char *>(column), generated);
  }
  case ExpressionKind::check: {
    // As heap.c's cookConstraint, which is not exported.
    Node *expression = transformExpr(state, raw, EXPR_KIND_CHECK_CONSTRAINT);
    expression = coerce_to_boolean(state, expression, "CHECK");
    assign_expr_collations(state, expression);
    return expression;
  }
  case ExpressionKind::index_predicate: {
    Node *expression = transformWhereClause(state, raw, EXPR_KIND_INDEX_PREDICATE, "WHERE");
    assign_expr_collations(state, expression);
    return reinterpret_cast<Node *>(
        make_ands_explicit(make_ands_implicit(reinterpret_cast<Expr *>(expression))));
  }
  }
  pg_unreachable();
}

} // namespace

std::string parsed_form(Oid relation, const std::string &sql, ExpressionKind kind,
                        const std::string &column) {
  return without_notation(call([&]() -> const char * {
    Relation opened = relation_open(relation, AccessShareLock);
    Node *cooked = cooked_unsafe(opened, sql.c_str(), kind, column.c_str());
    relation_close(opened, NoLock);
    return without_positions_unsafe(nodeToString(cooked));
  }));
}

std::string normal_form(const std::string &node_tree) {
  return without_notation(
      call([&]() -> const char * { return without_positions_unsafe(pstrdup(node_tree.c_str())); }));
}

} // namespace cowrie::pg
