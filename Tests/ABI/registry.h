/* The library's methods, by introspection: names, parameters, bounds. No test has a list of methods of its own, and only a
 * test of one method's decision names it.
 * Settings use a parameter's name. With them no method can keep a whole prompt of three budgets. */
#ifndef REGISTRY_H
#define REGISTRY_H

#include <kvsieve.h>

enum { WINDOW = 8, MOST_METHODS = 64 };

/* Asked of the library once, at the first call; the program ends if it does not answer. */
int method_count(void);
int32_t method_at(int index);
/* 0 ... method_count() - 1; the program ends for an id that is no method's. */
int method_index(int32_t method);
/* "no method" for an id that is none. */
const char *method_name(int32_t method);
/* kvsieve_method_info.decodes. */
int method_decodes(int32_t method);
/* The method after this one, after 0 the first; 0 if there is none. Of decoders only: those that decode. */
int32_t method_after(int32_t method, int decoders_only);

#define EVERY_METHOD(method) for (int32_t method = 0; (method = method_after(method, 0)) != 0;)
#define EVERY_DECODER(method) for (int32_t method = 0; (method = method_after(method, 1)) != 0;)

/* What is known of a parameter; id 0 if the method has none such. */
kvsieve_parameter_info parameter_named(int32_t method, const char *name);
int method_has(int32_t method, int32_t parameter);

/* Sets what plan_new() (fixture.h) sets: `budget` if it is the method's default, else 0.7 of the tokens; and small numbers for
 * what a method protects. The plan is one of that method. */
kvsieve_status settle(kvsieve_plan *plan, int32_t method, int32_t budget);

/* The last error's "the smallest NAME is NUMBER": the parameter's id and the number; 0 if the sentence proposes nothing. */
int32_t proposal(int32_t method, double *number);

#endif
