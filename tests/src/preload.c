// Loaded into a program before the C library: the wall clock can be set for it alone, its folder can be full or read-only,
// and it can be killed at a chosen step of what it does there. src/preload.rs has the other end.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t ahead;   // seconds that the clock is ahead
    int64_t fault;   // ENOSPC, EROFS or 0
    int64_t kill_at; // steps from now on, counted from 1; 0: never
};

static struct control *control;
static const char *folder;
static int (*next_clock)(clockid_t, struct timespec *);
static int (*next_open)(const char *, int, ...);
static int (*next_fsync)(int);
static ssize_t (*next_write)(int, const void *, size_t);

static void find(void) {
    next_clock = dlsym(RTLD_NEXT, "clock_gettime");
    next_open = dlsym(RTLD_NEXT, "open64");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_write = dlsym(RTLD_NEXT, "write");
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("PRELOAD_CONTROL");
    find();
    folder = getenv("PRELOAD_FOLDER");
    int file = path && folder ? next_open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) control = page;
    close(file);
}

// One step in the folder; returns what is wrong with the disk.
static int64_t step(const char *path) {
    if (!control || strncmp(path, folder, strlen(folder)) != 0) return 0;
    if (__atomic_load_n(&control->kill_at, __ATOMIC_SEQ_CST) > 0
        && __atomic_sub_fetch(&control->kill_at, 1, __ATOMIC_SEQ_CST) == 0)
        for (;;) kill(getpid(), SIGKILL);
    return __atomic_load_n(&control->fault, __ATOMIC_SEQ_CST);
}

static int64_t step_of(int file) {
    char link[64], path[4096];
    if (!control || (!control->kill_at && !control->fault)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return step(path);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!next_clock) find();
    int result = next_clock(clock, time);
    if (result == 0 && control && clock == CLOCK_REALTIME) time->tv_sec += control->ahead;
    return result;
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    if (!next_open) find();
    if ((flags & O_ACCMODE) != O_RDONLY && step(path) == EROFS) return errno = EROFS, -1;
    return next_open(path, flags, mode);
}

ssize_t write(int file, const void *bytes, size_t count) {
    if (!next_write) find();
    if (step_of(file) == ENOSPC) return errno = ENOSPC, -1;
    return next_write(file, bytes, count);
}

int fsync(int file) {
    if (!next_fsync) find();
    if (step_of(file) == ENOSPC) return errno = ENOSPC, -1;
    return next_fsync(file);
}
