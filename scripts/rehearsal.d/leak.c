/* A server that this is loaded into keeps one more file open each second, and 64 KiB more of memory. For scripts/soak --sabotage leak. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *leak(void *nothing) {
    for (;; sleep(1)) {
        char *kept = malloc(64 * 1024);
        if (kept) memset(kept, 1, 64 * 1024);
        (void)!open("/dev/null", O_RDONLY);
    }
    return nothing;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, leak, NULL);
}
