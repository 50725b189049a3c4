/* All that a plan says of itself, as one number; and what one layer says, checked. */
#ifndef STATE_H
#define STATE_H

#include <kvsieve.h>
#include <stdint.h>

/* Which sizes its plans have, until the next. */
void state_begin(int32_t method, int32_t layers, int32_t heads);
/* Statuses and results of every function that only asks. KVSIEVE_THREADS is left out. */
uint64_t state_of(const kvsieve_plan *plan);
/* What is kept and slots, ranges, report: what two plans of one sequence agree in, whatever else they were told. */
uint64_t choice_of_plan(const kvsieve_plan *plan);
/* Likewise, by several threads at the same time, which must all find the same. */
void state_asked_by_threads(const kvsieve_plan *plan);

#endif
