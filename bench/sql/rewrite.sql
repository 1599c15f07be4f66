-- The floor: writing the same table again without any change to it.
VACUUM FULL session_summaries;
