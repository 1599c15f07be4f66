/*
 * The sanitizer's options, linked into every program of a server that scripts/server-from-source.sh
 * compiles with it: they hold whatever the environment is. What a program leaks ends with it, and
 * the server measures its stack, which must therefore be the real one.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void) {
  return "detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:disable_coredump=1";
}
