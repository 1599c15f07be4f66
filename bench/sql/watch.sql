-- Seconds since the beginning, what the status view shows, and the seconds that it says are left.
SELECT EXTRACT(epoch FROM clock_timestamp() - started_at), percent, EXTRACT(epoch FROM eta)
FROM cowrie_migration_status WHERE running
\watch 0.2
