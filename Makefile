# dbmigrate/Makefile
#
# make && sudo make install     the normal PGXS way
# make installcheck             every suite, against the running server
# make demo, make test          install what is missing and use a private,
#                               throw-away server; nothing else is touched

EXTENSION  = dbmigrate
MODULE_big = dbmigrate

OBJS = \
	src/addfiles.o \
	src/adopt.o \
	src/adoptreport.o \
	src/analyze.o \
	src/apply.o \
	src/approval.o \
	src/catalog.o \
	src/checksum.o \
	src/classify.o \
	src/comment.o \
	src/copydata.o \
	src/dbmigrate.o \
	src/deferred.o \
	src/errors.o \
	src/execute.o \
	src/extension.o \
	src/filechoice.o \
	src/filename.o \
	src/fileset.o \
	src/filesettings.o \
	src/foreign.o \
	src/foreignaccess.o \
	src/foreignlock.o \
	src/foreignread.o \
	src/foreignrows.o \
	src/foreignsum.o \
	src/format.o \
	src/known.o \
	src/leftover.o \
	src/load.o \
	src/lock.o \
	src/marker.o \
	src/owner.o \
	src/problem.o \
	src/progress.o \
	src/quote.o \
	src/record.o \
	src/refuse.o \
	src/register.o \
	src/registry.o \
	src/require.o \
	src/script.o \
	src/shadow.o \
	src/store.o \
	src/takeover.o \
	src/target.o \
	src/targetstate.o \
	src/temporary.o \
	src/tokens.o \
	src/trust.o \
	src/version.o \
	src/wait.o

DATA = $(wildcard sql/dbmigrate--*.sql)
SCRIPTS = bin/dbmigrate

REGRESS        = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=$(srcdir)/test
ISOLATION      = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation
TAP_TESTS      = 1
PROVE_TESTS    = test/t/*.pl

# The control file is the one place of the version.
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" dbmigrate.control)
PG_CPPFLAGS  = -DDBMIGRATE_VERSION='"$(EXTVERSION)"'
EXTRA_CLEAN  = results output_iso tmp_check tmp_check_iso log regression.diffs regression.out

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else
# Without a server's build files only the last targets work: they install them.
all install installcheck:
	@echo "The server's build files are missing: install postgresql-server-dev-NN,"
	@echo "or name its pg_config (PG_CONFIG=...).  make demo and make test need neither."
	@false
endif

$(OBJS): src/dbmigrate.h src/compat.h dbmigrate.control

.PHONY: demo test attack adoption matrix bench corpus
demo:
	@test/private.sh examples/demo.sh
test:
	@test/private.sh test/suites.sh
# The attacks of make test with everything that can be planted and swapped.
attack:
	@DBMIGRATE_ATTACK=all SUITES=tap PROVE_TESTS='test/t/02*.pl' test/private.sh test/suites.sh
# Needs Node.js and npm: other tools stop half way, dbmigrate goes on.
adoption:
	@test/adoption/start.sh
matrix:
	@test/matrix.sh
bench:
	@test/private.sh bench/run.sh
# make corpus DIR=/absolute/path: statement boundaries against the grammar
corpus:
	@test/private.sh test/corpus/run.sh $(DIR)
