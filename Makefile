# dbmigrate/Makefile
#
# make && sudo make install     the normal PGXS way
# make installcheck             every suite, against the running server
# make demo, make test          install what is missing and use a private,
#                               throw-away server; nothing else is touched

EXTENSION  = dbmigrate
MODULE_big = dbmigrate

OBJS = $(patsubst $(srcdir)/%.c,%.o,$(sort $(wildcard $(srcdir)/src/*.c $(srcdir)/src/*/*.c)))
OUR_HEADERS = $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h)

DATA = $(wildcard sql/dbmigrate--*.sql)

REGRESS       ?= $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=$(srcdir)/test
ISOLATION     ?= $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation
TAP_TESTS      = 1
PROVE_TESTS   ?= test/t/*.pl

# The control file is the one place of the version.
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" dbmigrate.control)
PG_CPPFLAGS  = -I$(srcdir)/src -DDBMIGRATE_VERSION='"$(EXTVERSION)"'
EXTRA_CLEAN  = results output_iso tmp_check tmp_check_iso log regression.diffs regression.out

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
# The command is a program of its own, built against the libpq of that server.
CLIENT_SETTINGS = CC='$(CC)' LIBPQ_CPPFLAGS='-I$(includedir)' LIBPQ_LIBS='-L$(libdir) -lpq' \
	BINDIR='$(bindir)' DATADIR='$(shell $(PG_CONFIG) --docdir | sed 's,/doc/[^/]*$$,,; s,/doc$$,,')'
all: client
install: install-client
uninstall: uninstall-client
clean distclean maintainer-clean: clean-client
install-client: client
install-client uninstall-client clean-client:
	$(MAKE) -C $(or $(srcdir),.)/client $(CLIENT_SETTINGS) $(@:-client=)
.PHONY: install-client uninstall-client clean-client
else
# Without a server's build files only the last targets work: they install them.
all install installcheck:
	@echo "The server's build files are missing: install postgresql-server-dev-NN,"
	@echo "or name its pg_config (PG_CONFIG=...).  make demo and make test need neither."
	@false
endif

$(OBJS): $(OUR_HEADERS) dbmigrate.control

# The command alone: wants a compiler and libpq-dev, no server.
client:
	@$(MAKE) -C $(or $(srcdir),.)/client $(CLIENT_SETTINGS) all
.PHONY: client

.PHONY: demo test lint indent attack torture adoption beside matrix bench corpus
demo:
	@test/private.sh examples/demo.sh
test:
	@test/private.sh test/suites.sh
# What make test looks at without a server; then the layout of the files, done.
lint:
	@test/lint.sh
indent:
	@test/indent.sh
	@perltidy --profile=.perltidyrc $(wildcard test/t/*.p[lm] test/attack/*.pm test/next/*.pm bench/*.pl)
# The attacks of make test with everything that can be planted and swapped.
attack:
	@DBMIGRATE_ATTACK=all SUITES=tap PROVE_TESTS='test/t/02*.pl' test/private.sh test/suites.sh
# make torture KILLS=300: online runs that are killed at random moments
torture:
	@test/private.sh test/torture.sh $(KILLS)
# Needs Node.js and npm: other tools stop half way, dbmigrate goes on.
adoption:
	@test/adoption/start.sh
# make beside PG_CONFIG=...: a server that has Citus or TimescaleDB, and dbmigrate
beside:
	@PG_CONFIG=$(PG_CONFIG) test/beside/run.sh
matrix:
	@test/matrix.sh
bench:
	@test/private.sh bench/run.sh
# make corpus DIR=/absolute/path: statement boundaries against the grammar
corpus:
	@test/private.sh test/corpus/run.sh $(DIR)
