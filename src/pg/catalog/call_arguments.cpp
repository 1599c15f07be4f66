// Call arguments: those of a call as it was made, for the ledger.
#include "pg/catalog/call_arguments.hpp"

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

std::string call_as_json(FunctionCallInfo fcinfo) {
  return call([&]() -> const char * {
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoString(&out, "{\"function\": ");
    const char *function = get_func_name(fcinfo->flinfo->fn_oid);
    escape_json(&out, function ? function : "");
    appendStringInfoString(&out, ", \"arguments\": {");
    const int begin = out.len;
    HeapTuple routine = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
    Oid *types = nullptr;
    char **names = nullptr, *modes = nullptr;
    const int count =
        HeapTupleIsValid(routine) ? get_func_arg_info(routine, &types, &names, &modes) : 0;
    for (int i = 0, given = 0; names && i < count && given < fcinfo->nargs; ++i) {
      if (modes && modes[i] != PROARGMODE_IN)
        continue;
      const int position = given++;
      if (std::strcmp(names[i], "target_schema") == 0)
        continue;
      if (out.len > begin)
        appendStringInfoString(&out, ", ");
      escape_json(&out, names[i]);
      appendStringInfoString(&out, ": ");
      if (PG_ARGISNULL(position)) {
        appendStringInfoString(&out, "null");
        continue;
      }
      Oid output;
      bool varlena;
      getTypeOutputInfo(types[i], &output, &varlena);
      escape_json(&out, OidOutputFunctionCall(output, PG_GETARG_DATUM(position)));
    }
    if (HeapTupleIsValid(routine))
      ReleaseSysCache(routine);
    appendStringInfoString(&out, "}}");
    return out.data;
  });
}

} // namespace cowrie::pg
