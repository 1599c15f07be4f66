# The attack matrix: its axes, the rules that leave combinations out, and how one cell is run. A planting
# (whose sessions, at which state, which object in which table by whom) is a database made from a
# template; what is called in it, and by whom, are the cells, each in a transaction that is rolled back.
# What planted code has gained is read from the server's log, which a rollback does not take back.
package AttackMatrix;

use strict;
use warnings;

use CowrieTest;
use FindBin;
use Hostile;
use IO::Handle ();
use Planting;
use POSIX ();
use PostgreSQL::Test::Utils;
use Storable ();

my $script = "$FindBin::RealBin/../../scripts/cleanup_v16_incomplete.sql";

# Entry point => [state of the sessions, call]. What cannot be rolled back has a database of its own.
our %entries = (
	'migrate' => [ 'v15', 'SELECT FROM public.cowrie_migrate_v16()' ],
	'migrate, keep' => [ 'v15', q{SELECT FROM public.cowrie_migrate_v16(on_failure => 'keep')} ],
	'migrate, plan' => [ 'v15', 'SELECT FROM public.cowrie_migrate_v16(dry_run => true)' ],
	'migrate, repair' => [ 'v15', 'SELECT FROM public.cowrie_migrate_v16(repair => true)' ],
	'repair' => [ 'half', 'SELECT FROM public.cowrie_migrate_v16(repair => true)' ],
	'repair, plan' => [ 'half', 'SELECT FROM public.cowrie_migrate_v16(repair => true, dry_run => true)' ],
	'online' => [ 'v15', 'CALL public.cowrie_migrate_v16_online(batch_size => 100)' ],
	'online, repair' => [ 'half', 'CALL public.cowrie_migrate_v16_online(repair => true)' ],
	'validate 15' => [ 'v15', 'SELECT FROM public.cowrie_validate_schema(version => 15)' ],
	'validate 16' => [ 'v16', 'SELECT FROM public.cowrie_validate_schema()' ],
	'validate incomplete' => [ 'half', 'SELECT FROM public.cowrie_validate_schema()' ],
	'cleanup' => [ 'v16', 'SELECT FROM public.cowrie_cleanup_v16()' ],
	'cleanup, plan' => [ 'v16', 'SELECT FROM public.cowrie_cleanup_v16(dry_run => true)' ],
	'cleanup, force' => [ 'v16', 'SELECT FROM public.cowrie_cleanup_v16(force => true)' ],
	'migrate 17' => [ 'v15', 'SELECT FROM public.cowrie_migrate_v17()' ],
	'migrate 17 from 16' => [ 'v16', 'SELECT FROM public.cowrie_migrate_v17()' ],
	'online 17' => [ 'v16', 'CALL public.cowrie_migrate_v17_online()' ],
	'validate 17' => [ 'v17', 'SELECT FROM public.cowrie_validate_schema(version => 17)' ],
	'cleanup 17' => [ 'v17', 'SELECT FROM public.cowrie_cleanup_v17(force => true)' ],
	'preflight 17' => [ 'v16', 'SELECT FROM public.cowrie_preflight_v17()' ],
	'checkpoint 17' => [ 'v17', 'SELECT FROM public.cowrie_checkpoint_v17()' ],
	'preflight' => [ 'v15', 'SELECT FROM public.cowrie_preflight_v16()' ],
	'preflight incomplete' => [ 'half', 'SELECT FROM public.cowrie_preflight_v16()' ],
	'checkpoint' => [ 'v16', 'SELECT FROM public.cowrie_checkpoint_v16()' ],
	'report' => [ 'v16', 'SELECT public.cowrie_migration_report()' ],
	'report incomplete' => [ 'half', q{SELECT public.cowrie_migration_report('markdown')} ],
	'rejected values' => [ 'v16', 'SELECT FROM public.cowrie_rejected_values()' ],
	'facts' => [ 'v16', q{SELECT public.cowrie_enrichment_facts('{"maxmind": {"asn": 1}}'::json)} ],
	'stop' => [ 'v16', 'SELECT public.cowrie_stop_migration()' ],
	'pause' => [ 'v16', 'SELECT public.cowrie_pause_migration(), public.cowrie_resume_migration()' ],
	'pace' => [ 'v16', q{SELECT public.cowrie_pace(pause => '1 s'), public.cowrie_allow_cut_over()} ],
	'status' => [ 'v16', 'SELECT * FROM public.cowrie_migration_status' ],
	'ledger' => [ 'v16', 'SELECT * FROM public.cowrie_migration_log' ],
	'script' => [ 'v16', "\\i '$script'" ]);
our @axes = qw(entry object table caller owner author);
our %values = (
	entry => [ sort keys %entries ],
	object => [ planted_objects() ],
	table => [ 'session_summaries', 'raw_events', 'schema_state', 'asn_inventory', 'ip_inventory', 'ip_asn_history',
		'ledger', 'work tables', 'password_session_usage' ],
	caller => [ 'superuser', 'owner', 'member', 'nobody', 'author' ],
	owner => [ 'plain', 'superuser' ],
	# one who has made the owner a member of himself is no better than any other
	author => [ 'owner', 'other', 'granted' ]);

sub commits
{
	my ($cell) = @_;
	return $cell->{entry} =~ /^(?:online|script)/;
}

# Why a combination makes no sense; empty when it does.
sub left_out
{
	my ($cell) = @_;
	my ($entry, $object, $table, $caller, $owner, $author) = @$cell{@axes};
	return 'only a superuser creates event triggers' if $object eq 'event trigger';
	return 'a superuser has nothing to gain' if $owner eq 'superuser' && $author eq 'owner';
	return 'an operator, a function or a temporary table is in no table' if $object =~ /^(?:operator|function like ours|temporary table)$/ && $table ne 'session_summaries';
	return 'who owns session_summaries is the owner' if $table eq 'session_summaries' && $author ne 'owner' && $object !~ /^(?:operator|function like ours|temporary table)$/;
	return 'who owns the ledger owns the extension' if $table eq 'ledger' && $author ne 'other';
	return 'only the session itself has temporary tables' if $object eq 'temporary table' && $caller ne 'author';
	return 'the owner is the author' if $caller eq 'owner' && $author eq 'owner';
	return 'the owner is a superuser' if $owner eq 'superuser' && $caller =~ /^(?:owner|member)$/;
	return 'the server itself reads a table in a plain SELECT' if $entry eq 'ledger' && $table eq 'ledger';
	return 'the facts of a document read no table' if $entry eq 'facts' && $table ne 'session_summaries';
	return '';
}

# All cells that make sense; and how many were left out, by reason.
sub cells
{
	my @cells = ({});
	foreach my $axis (@axes)
	{
		@cells = map { my $cell = $_; map { { %$cell, $axis => $_ } } @{ $values{$axis} } } @cells;
	}
	my (@kept, %left_out);
	foreach my $cell (@cells)
	{
		my $why = left_out($cell);
		$left_out{$why}++ if $why ne '';
		push @kept, $cell if $why eq '';
	}
	return (\@kept, \%left_out);
}

sub group_of
{
	my ($cell) = @_;
	# Whoever has no rights changes nothing for a superuser who calls after them.
	my $own = !commits($cell) ? '' : "$cell->{entry}|" . ($cell->{caller} =~ /^(?:owner|member)$/ ? $cell->{caller} : 'others');
	return join '|', @$cell{qw(owner author)}, $entries{ $cell->{entry} }[0], @$cell{qw(object table)}, $own;
}

# The cells of a planting belong together. Returns the groups of all cells, or of a sample, always the same:
# every object at every state, every table with every kind of author; and of the calls in them as many that
# every entry point meets every object, every table and every caller.
sub groups
{
	my ($all, $cells) = @_;
	my %groups;
	push @{ $groups{ group_of($_) } }, $_ foreach @$cells;
	my @keys = sort keys %groups;
	return map { $groups{$_} } @keys if $all;
	srand(16);
	my (%covered, @sample);
	my $adds = sub { my @new = grep { !$covered{$_} } @_; $covered{$_} = 1 foreach @new; return scalar @new };
	foreach my $key (shuffled(@keys))
	{
		my @cells = @{ $groups{$key} };
		my $kind = commits($cells[0]);
		my ($object, $table) = @{ $cells[0] }{qw(object table)};
		my $state = $entries{ $cells[0]{entry} }[0];
		next unless $adds->($kind ? ("$kind $object", "$kind $table", map { "$_->{entry} $_->{caller}" } @cells)
			: ("$state $object", "$table $cells[0]{owner} $cells[0]{author}"));
		push @sample, [ grep { $kind || $adds->("$_->{entry} $object", "$_->{entry} $table", "$_->{entry} $_->{caller}",
			"$object $_->{caller}") } shuffled(@cells) ];
	}
	return grep { @$_ } @sample;
}

# What is to be tried: the groups, how many cells there are, and how many were left out for each reason. It is
# found out by a process of its own: every one that a large process starts takes long.
sub chosen
{
	my ($all) = @_;
	pipe(my $from, my $to) or die "pipe: $!";
	my $child = fork() // die "fork: $!";
	if (!$child)
	{
		my ($cells, $left_out) = cells();
		Storable::store_fd([ [ groups($all, $cells) ], scalar(@$cells), $left_out ], $to);
		$to->flush;
		POSIX::_exit(0);
	}
	CORE::close($to);
	my $result = Storable::fd_retrieve($from);
	waitpid($child, 0);
	return @$result;
}

sub shuffled
{
	my @items = @_;
	my @place = map { rand } @items;
	return @items[ sort { $place[$a] <=> $place[$b] } 0 .. $#items ];
}

# AttackMatrix->new($node)
sub new
{
	my ($class, $node) = @_;
	return bless { node => $node, templates => {}, tried => 0, succeeded => {}, unplanted => {}, states => {} }, $class;
}

# The roles that a cell is about: [author, caller].
sub roles
{
	my ($cell) = @_;
	my $author = { owner => 'app', other => 'mallory', granted => 'gang' }->{ $cell->{author} };
	my %caller = (superuser => 'postgres', owner => 'app', member => 'dba', nobody => 'carol', author => $author);
	return ($author, $caller{ $cell->{caller} });
}

# A template: the owner of the sessions, the owner of the extension, the state of the sessions.
sub template
{
	my ($self, $owner, $extension_owner, $state) = @_;
	my $name = "t_${owner}_${extension_owner}_$state";
	return $name if $self->{templates}{$name}++;
	my $node = $self->{node};
	if ($state eq 'v16')
	{
		hostile_database($node, $name, owner => $owner, database_owner => $extension_owner, extension_owner => $extension_owner, migrated => 1);
		$node->safe_psql($name, 'CREATE SCHEMA shape;' . join('', map {
			"CREATE TABLE shape.$_ (LIKE public.$_ INCLUDING ALL);" } qw(session_summaries schema_state raw_events asn_inventory
			ip_inventory ip_asn_history cowrie_migration_log)) . 'GRANT USAGE ON SCHEMA shape TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA shape TO PUBLIC');
		return $name;
	}
	my $from = $self->template($owner, $extension_owner, 'v16');
	copy_database($node, $from, $name, owner => $extension_owner);
	$node->safe_psql($name, 'SET client_min_messages = error;'
		  . ($state eq 'v15' ? 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)'
			: $state eq 'v17' ? 'SELECT count(*) FROM cowrie_migrate_v17()'
			: 'ALTER TABLE ip_inventory DROP COLUMN geo_country; DROP INDEX idx_asn_org_name; DELETE FROM ip_asn_history;
UPDATE session_summaries SET snapshot_asn = NULL, snapshot_country = NULL WHERE event_count % 3 = 0'),
		extra_params => [ '-U', $owner ]);
	return $name;
}

# Makes the database of a planting; returns why it could not be planted.
sub plant
{
	my ($self, $cell, $database) = @_;
	my $node = $self->{node};
	my ($author) = roles($cell);
	my $owner = $cell->{owner} eq 'plain' ? 'app' : 'postgres';
	my $extension_owner = $cell->{table} eq 'ledger' ? 'mallory' : 'postgres';
	my $state = $entries{ $cell->{entry} }[0];
	my $template = $self->template($owner, $extension_owner, $state);
	my @tables = grep { $_ ne 'cowrie_migration_log' } tables_of($cell->{table});
	my %shape = map { $_ => $_ =~ /^(?:asn|ip)_/ ? $_ : 'cowrie_migrate_work' } @tables;
	# an object that is in no table needs no other table of the author's either
	@tables = () if $cell->{object} =~ /^(?:operator|function like ours|temporary table)$/;
	copy_database($node, $template, $database, owner => $extension_owner);
	my $prepare = 'SET client_min_messages = error;' . attack_code($author) . "GRANT CREATE, USAGE ON SCHEMA public TO $author;";
	foreach my $table (@tables)
	{
		my $shape = $shape{$table} eq $table ? "LIKE shape.$table INCLUDING ALL" : 'session_id varchar(64)';
		$prepare .= "CREATE TABLE IF NOT EXISTS public.$table ($shape); ALTER TABLE public.$table OWNER TO $author;";
	}
	$node->safe_psql($database, $prepare);
	my ($status, $out, $err) = $node->psql($database, 'SET client_min_messages = error;' . planting($cell->{object}, $cell->{table}),
		extra_params => [ '-U', $author ]);
	return $status == 0 ? '' : $err;
}

# The script of a cell: its call in a transaction; marks tell how far it got.
sub script_of
{
	my ($cell, $number) = @_;
	my $call = $entries{ $cell->{entry} }[1];
	$call .= ' \g /dev/null' unless $call =~ /^\\/;
	my $prelude = prelude($cell->{object});
	my $before = "\\echo begin $number\nSET application_name = '$number';\n";
	my $after = "SHOW search_path;\n";
	return "$before$prelude\n$call\n${after}\\echo end $number\n" if commits($cell);
	return "${before}BEGIN;\n$prelude\n$call\nSET CONSTRAINTS ALL IMMEDIATE;\n${after}ROLLBACK;\n\\echo end $number\n";
}

# Runs the cells of one planting.
sub run_group
{
	my ($self, @cells) = @_;
	my $node = $self->{node};
	my $database = 'attacked_' . ++$self->{groups};
	my $why = $self->plant($cells[0], $database);
	if ($why ne '')
	{
		$why =~ s/^psql:.*?ERROR: *//s;
		$self->{unplanted}{ join('|', @{ $cells[0] }{qw(object table)}) } = $why =~ s/\n.*//sr;
	}
	else
	{
		my %by_caller;
		foreach my $cell (@cells)
		{
			my (undef, $caller) = roles($cell);
			$cell->{number} = ++$self->{tried};
			$self->{by_number}{ $cell->{number} } = $cell;
			push @{ $by_caller{$caller} }, $cell;
		}
		gains($node);    # what has been planted before is none
		$self->run_cells($database, $_, @{ $by_caller{$_} }) foreach sort keys %by_caller;
		foreach my $gain (grep { /^GAIN/ } gains($node))
		{
			my ($number, $text) = $gain =~ /^GAIN \[(.*?)\] (.*)/;
			$self->succeeded($number, $text);
		}
	}
	settle($node);
	$node->safe_psql('postgres', "DROP DATABASE $database WITH (FORCE)");
	return;
}

sub run_cells
{
	my ($self, $database, $caller, @cells) = @_;
	my $node = $self->{node};
	while (@cells)
	{
		# triggers are to fire, not to be refused
		my $sql = "SET client_min_messages = error; SET constraint_exclusion = on;\n"
		  . "SET cowrie_migrate.harmless_triggers = 'a_evil, b_evil, evil, evil_before, evil_after';\n" . join '', map { script_of($_, $_->{number}) } @cells;
		my ($out, $err) = ('', '');
		$node->psql($database, $sql, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $caller ]);
		while (my $cell = shift @cells)
		{
			my $number = $cell->{number};
			my ($printed) = $out =~ /^begin $number$(.*?)^end $number$/ms;
			if (!defined $printed)
			{
				# A script may end psql at its first error.
				$self->succeeded($number, 'the server has ended the session') if $err =~ /server closed|connection to server was lost/;
				settle($node);
				last;
			}
			$self->succeeded($number, "leaves search_path = $1")
			  if $printed =~ /^(evil, pg_catalog)$/m && $cell->{caller} ne 'author';
		}
	}
	return;
}

sub succeeded
{
	my ($self, $number, $how) = @_;
	my $cell = $self->{by_number}{$number};
	my $which = $cell ? join(' | ', @$cell{@axes}) : "cell $number";
	$self->{succeeded}{$which} //= $how;
	return;
}

1;
