-- What autovacuum has to do afterwards.
VACUUM session_summaries;
