# What the tests of partitioned tables share: session_summaries of a version 15 database becomes a partitioned
# table with the same rows, keys, indexes and name, in one of several layouts.
package Partitions;

use strict;
use warnings;

use CowrieTest;
use Exporter 'import';

our @EXPORT = qw(partition_sessions layouts is_timed);

# What makes the partitions of `session_summaries`, in its search_path; and the columns of its key.
my %layouts = (
	# Four, one of them in another schema, one with its columns in another order and one that has been dropped.
	hash => [ 'HASH (session_id)', 'session_id', q{
CREATE SCHEMA IF NOT EXISTS cold;
CREATE TABLE sessions_0 PARTITION OF session_summaries FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE cold.sessions_1 PARTITION OF session_summaries FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE sessions_2 PARTITION OF session_summaries FOR VALUES WITH (MODULUS 4, REMAINDER 2);
DO $$ BEGIN
  EXECUTE (SELECT format('CREATE TABLE sessions_3 (gone text, %s)', string_agg(format('%I %s %s %s', a.attname,
      format_type(a.atttypid, a.atttypmod), 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
      CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE '' END), ', ' ORDER BY a.attnum DESC))
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = 'session_summaries'::regclass AND a.attnum > 0);
END $$;
ALTER TABLE sessions_3 DROP COLUMN gone;
ALTER TABLE session_summaries ATTACH PARTITION sessions_3 FOR VALUES WITH (MODULUS 4, REMAINDER 3);
} ],
	# By time, with a default partition, and one that has no rows.
	range => [ 'RANGE (first_event_at)', 'session_id, first_event_at', q{
CREATE TABLE sessions_1 PARTITION OF session_summaries FOR VALUES FROM (MINVALUE) TO ('2024-01-02 00:00Z');
CREATE TABLE sessions_2 PARTITION OF session_summaries FOR VALUES FROM ('2024-01-02 00:00Z') TO ('2024-01-03 00:00Z');
CREATE TABLE sessions_empty PARTITION OF session_summaries FOR VALUES FROM ('2001-01-02 00:00Z') TO ('2001-01-03 00:00Z');
CREATE TABLE sessions_rest PARTITION OF session_summaries DEFAULT;
} ],
	# Partitions of partitions, of which one has none.
	nested => [ 'RANGE (first_event_at)', 'session_id, first_event_at', q{
CREATE TABLE sessions_1 PARTITION OF session_summaries FOR VALUES FROM (MINVALUE) TO ('2024-01-02 12:00Z');
CREATE TABLE sessions_2 PARTITION OF session_summaries FOR VALUES FROM ('2024-01-02 12:00Z') TO ('2030-01-01 00:00Z')
  PARTITION BY HASH (session_id);
CREATE TABLE sessions_2_0 PARTITION OF sessions_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE sessions_2_1 PARTITION OF sessions_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE sessions_3 PARTITION OF session_summaries FOR VALUES FROM ('2030-01-01 00:00Z') TO (MAXVALUE)
  PARTITION BY HASH (session_id);
} ]);
# An empty "sessions_1" from MINVALUE must not contain that of 2001.
$layouts{range}[2] =~ s/MINVALUE/'2023-01-01 00:00Z'/;

sub layouts { return sort keys %layouts }

# Whether the layout needs a time in every session.
sub is_timed { return $layouts{ $_[0] }[1] =~ /first_event_at/ }

# Tables that refer to the sessions do so afterwards as well, where the key lets them.
sub partition_sessions
{
	my ($node, $database, $layout, %options) = @_;
	my ($by, $key, $partitions) = @{ $layouts{$layout} };
	my $schema = quote_name($options{schema} // 'public');
	my @as = defined $options{user} ? (extra_params => [ '-U', $options{user} ]) : ();
	$node->safe_psql($database, qq{
SET client_min_messages = error;
SET search_path = $schema, public;
ALTER TABLE session_summaries RENAME TO sessions_before;
ALTER TABLE sessions_before RENAME CONSTRAINT pk_session_summaries TO pk_before;
ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;
ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session;
DROP INDEX ix_session_summaries_first_event, ix_session_summaries_last_event, ix_session_summaries_flags, ix_session_summaries_ssh_keys;
CREATE TABLE session_summaries (LIKE sessions_before INCLUDING DEFAULTS) PARTITION BY $by;
$partitions
ALTER TABLE session_summaries ADD CONSTRAINT pk_session_summaries PRIMARY KEY ($key);
CREATE INDEX ix_session_summaries_first_event ON session_summaries (first_event_at);
CREATE INDEX ix_session_summaries_last_event ON session_summaries (last_event_at);
CREATE INDEX ix_session_summaries_flags ON session_summaries (vt_flagged, dshield_flagged);
CREATE INDEX ix_session_summaries_ssh_keys ON session_summaries (ssh_key_injections);
INSERT INTO session_summaries SELECT * FROM sessions_before;
DROP TABLE sessions_before;
} . ($key eq 'session_id' ? q{
ALTER TABLE password_session_usage ADD CONSTRAINT fk_password_session_usage_session FOREIGN KEY (session_id)
  REFERENCES session_summaries (session_id);
ALTER TABLE longtail_detection_sessions ADD CONSTRAINT fk_longtail_detection_sessions_session FOREIGN KEY (session_id)
  REFERENCES session_summaries (session_id) ON DELETE CASCADE;
} : ''), @as);
	return;
}

1;
