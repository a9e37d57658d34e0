/*-------------------------------------------------------------------------
 *
 * outcome.h
 *	  What has become of it, where it did not go well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include <stdbool.h>

#include <libpq-fe.h>

/* Of the transaction that is, or was, open. */
typedef enum Fate
{
	FATE_OPEN,
	FATE_COMMITTING,			/* COMMIT was sent, and nobody has answered */
	FATE_REFUSED,				/* it was an error */
	FATE_COMMITTED
} Fate;

/* What is true so far. */
typedef struct Outcome
{
	Fate		fate;
	bool		only_looks;		/* there is nothing to be undone */
	bool		has_begun;		/* something was sent that changes the
								 * database */
	bool		calls;			/* a procedure is at work, which commits as it
								 * goes */
	bool		has_registered; /* and that is committed */
	long		applied;		/* and committed */
	long		rolled_back;
	bool		has_told;		/* something on stdout */
	const char *hint;			/* for a failure, if not NULL */
} Outcome;

extern Outcome outcome;

extern void outcome_failed(const PGresult *error) __attribute__((noreturn));
extern void outcome_interrupted(const PGresult *error) __attribute__((noreturn));
extern int	outcome_end(void);
extern void outcome_call_begins(void);
extern void outcome_call_ends(void);

#endif
