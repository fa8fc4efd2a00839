/* Loaded before libc's (LD_PRELOAD): counts what changes files below a folder, kills or fails at one of these events.
 *
 * An event is a call that creates, writes, renames, cuts, removes or flushes. A write is two of them: before its first
 * byte and when half of it is done. Programs that this one starts are counted by themselves, and not before `arm`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, FULL };
static char folder[PATH_MAX];
static volatile long events, at = -1;
static volatile int mode;

/* From now on events below `where` count, from 1; at the n-th the process is killed, or from there on there is no room. */
void arm(const char *where, long n, int how) {
    snprintf(folder, sizeof folder, "%s", where);
    at = n, mode = how, events = 0;
}

long counted(void) { return events; }

static int inside(int dir, const char *path) {
    char whole[2 * PATH_MAX];
    if (!folder[0]) return 0;
    if (path && path[0] == '/') return strncmp(path, folder, strlen(folder)) == 0;
    char link[64];
    ssize_t length;
    if (dir == AT_FDCWD) length = getcwd(whole, PATH_MAX) ? (ssize_t)strlen(whole) : -1;
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir), length = readlink(link, whole, PATH_MAX - 1);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path ? path : "");
    return strncmp(whole, folder, strlen(folder)) == 0;
}

/* Whether this event must fail for want of room; it may be this process's last. */
static int event(int needs_room) {
    long now = __sync_add_and_fetch(&events, 1);
    if (mode == KILL && now == at) kill(getpid(), SIGKILL);
    if (mode != FULL || now < at || !needs_room) return 0;
    errno = ENOSPC;
    return 1;
}

#define NEXT(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define CHANGE(name, declared, given, where, path, room)            \
    int name declared {                                             \
        NEXT(name);                                                 \
        if (inside(where, path) && event(room)) return -1;          \
        return real given;                                          \
    }
CHANGE(rename, (const char *a, const char *b), (a, b), AT_FDCWD, b, 1)
CHANGE(renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), e, b, 1)
CHANGE(mkdir, (const char *a, mode_t m), (a, m), AT_FDCWD, a, 1)
CHANGE(mkdirat, (int d, const char *a, mode_t m), (d, a, m), d, a, 1)
CHANGE(unlink, (const char *a), (a), AT_FDCWD, a, 0)
CHANGE(unlinkat, (int d, const char *a, int f), (d, a, f), d, a, 0)
CHANGE(rmdir, (const char *a), (a), AT_FDCWD, a, 0)
CHANGE(truncate64, (const char *a, off64_t n), (a, n), AT_FDCWD, a, 0)
CHANGE(ftruncate64, (int f, off64_t n), (f, n), f, NULL, 0)
CHANGE(fsync, (int f), (f), f, NULL, 1)
CHANGE(fdatasync, (int f), (f), f, NULL, 1)

#define OPEN(name, declared, given, where)                                                  \
    int name declared {                                                                     \
        NEXT(name);                                                                         \
        mode_t m = 0;                                                                       \
        va_list more;                                                                       \
        va_start(more, flags);                                                              \
        if (flags & O_CREAT) m = va_arg(more, mode_t);                                      \
        va_end(more);                                                                       \
        int makes = (flags & O_CREAT) && faccessat(where, path, F_OK, 0) != 0;              \
        if ((makes || (flags & O_TRUNC)) && inside(where, path) && event(makes)) return -1; \
        return real given;                                                                  \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, m), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), (path, flags, m), AT_FDCWD)
OPEN(openat, (int d, const char *path, int flags, ...), (d, path, flags, m), d)
OPEN(openat64, (int d, const char *path, int flags, ...), (d, path, flags, m), d)

ssize_t write(int f, const void *data, size_t size) {
    NEXT(write);
    if (f < 3 || !inside(f, NULL)) return real(f, data, size);
    if (event(1)) return -1;
    ssize_t half = size > 1 ? real(f, data, size / 2) : 0;
    if (half < 0) return half;
    if (event(1)) return half ? half : -1;
    ssize_t rest = real(f, (const char *)data + half, size - half);
    return rest < 0 ? rest : half + rest;
}

ssize_t writev(int f, const struct iovec *parts, int count) {
    NEXT(writev);
    if (f >= 3 && inside(f, NULL) && event(1)) return -1;
    return real(f, parts, count);
}

ssize_t pwrite64(int f, const void *data, size_t size, off64_t place) {
    NEXT(pwrite64);
    if (inside(f, NULL) && event(1)) return -1;
    return real(f, data, size, place);
}

ssize_t sendfile64(int out, int in, off64_t *place, size_t size) {
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, "sendfile64");
    if (inside(out, NULL) && event(1)) return -1;
    return real(out, in, place, size);
}
