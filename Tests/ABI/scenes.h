/* Every function of the header, called once in a sequence, and calls that fail: what comes before it, the call, and all that can be
 * seen of the plan afterwards as one number. */
#ifndef SCENES_H
#define SCENES_H

#include <kvsieve.h>
#include <stddef.h>

/* What the next scene works with. Threads that a plan starts are not in the child of a fork: those of a scene start in its call. */
extern int32_t scene_method, scene_threads;
/* The scene's; NULL if it has none. */
extern kvsieve_plan *plan;

/* A function, when it is called, and by which methods. */
extern const struct scene {
    const char *name;
    void (*before)(void);
    kvsieve_status (*call)(void);
    int (*when)(void); /* NULL: by all */
} scenes[];
extern const size_t scene_count;

/* Tensors and structs, without a call of the library. */
void scenes_begin(void);
/* What calls have written so far. */
uint64_t results_hash(void);
/* The same, and what the plan says; the sequence goes on to its end, and the plan is destroyed. */
uint64_t end_hash(void);

/* Two of the calls: a process may begin with them. */
kvsieve_status create(void);
kvsieve_status tell_texts(void);

#endif
