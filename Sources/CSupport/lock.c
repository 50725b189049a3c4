/* A mutex with an address of its own. */
#include "csupport.h"

#include <pthread.h>
#include <stdlib.h>

struct support_mutex {
    pthread_mutex_t mutex;
};

support_mutex *support_lock_create(void) {
    support_mutex *made = malloc(sizeof *made);
    if (made && pthread_mutex_init(&made->mutex, NULL) != 0) {
        free(made);
        return NULL;
    }
    return made;
}

void support_lock(support_mutex *mutex) { pthread_mutex_lock(&mutex->mutex); }
void support_unlock(support_mutex *mutex) { pthread_mutex_unlock(&mutex->mutex); }

void support_lock_destroy(support_mutex *mutex) {
    pthread_mutex_destroy(&mutex->mutex);
    free(mutex);
}
