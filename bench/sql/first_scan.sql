-- What the first reader of the new table waits for.
SELECT count(*) FROM session_summaries WHERE event_count >= 0;
