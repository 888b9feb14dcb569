/* Loaded with LD_PRELOAD: counts the changes of files below a folder, and
 * makes one of them, or all from one on, go wrong.
 *
 * A write point is a call of the C library that changes what is on the disk:
 * opening for writing, writing, syncing, renaming, linking, removing, making
 * and removing folders. Python, libstdc++ and Rust all go through it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum Mode { COUNT, KILL_BEFORE, KILL_WITHIN, FULL, READ_ONLY };

static char root[PATH_MAX];
static int armed, mode, chosen, count;
static char kinds[1 << 16];

/* From now on the changes below `folder` count from 1. */
void faults_arm(const char *folder, int how, int number) {
    strncpy(root, folder, sizeof root - 1);
    mode = how;
    chosen = number;
    count = 0;
    kinds[0] = 0;
    armed = 1;
}

int faults_disarm(void) {
    armed = 0;
    return count;
}

/* The kinds of the changes so far, each followed by a space. */
const char *faults_kinds(void) { return kinds; }

static int below(int folder, const char *path) {
    char whole[2 * PATH_MAX];
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        char base[PATH_MAX];
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n < 0) return 0;
            base[n] = 0;
        }
        snprintf(whole, sizeof whole, "%s/%s", base, path);
    }
    size_t n = strlen(root);
    return !strncmp(whole, root, n) && (whole[n] == '/' || !whole[n]);
}

static int opened_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(AT_FDCWD, path);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* What a change meets: 0, an errno, or its death; -1 to die within it. */
static int change(const char *kind, int grows) {
    ++count;
    if (strlen(kinds) + strlen(kind) + 2 < sizeof kinds) {
        strcat(kinds, kind);
        strcat(kinds, " ");
    }
    if (mode == COUNT) return 0;
    if (count < chosen) return 0;
    if (mode == KILL_BEFORE && count == chosen) die();
    if (mode == KILL_WITHIN && count == chosen) return -1;
    if (mode == FULL && grows) return ENOSPC;
    if (mode == READ_ONLY) return EROFS;
    return 0;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = dlsym(RTLD_NEXT, #name)

/* Do a call whose failure is -1, unless a fault is due. */
#define DO(concerned, kind, grows, call) \
    do { \
        int fault = armed && (concerned) ? change(kind, grows) : 0; \
        if (fault > 0) { \
            errno = fault; \
            return -1; \
        } \
        __typeof__(call) result = (call); \
        if (fault < 0) die(); \
        return result; \
    } while (0)

static int writes(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t bits = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            bits = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        DO(writes(flags) && below(AT_FDCWD, path), "open", flags & O_CREAT, \
           real(path, flags, bits)); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(name); \
        mode_t bits = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            bits = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        DO(writes(flags) && below(folder, path), "open", flags & O_CREAT, \
           real(folder, path, flags, bits)); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *how) { \
        REAL(name); \
        int fault = armed && strpbrk(how, "wa+") && below(AT_FDCWD, path) \
            ? change("open", 1) : 0; \
        if (fault > 0) { \
            errno = fault; \
            return NULL; \
        } \
        FILE *file = real(path, how); \
        if (fault < 0) die(); \
        return file; \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* A write that dies within has written half. */
ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    if (armed && opened_below(fd)) {
        int fault = change("write", 1);
        if (fault > 0) {
            errno = fault;
            return -1;
        }
        if (fault < 0) {
            if (real(fd, data, size / 2) < 0) _exit(1);
            die();
        }
    }
    return real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    DO(opened_below(fd), "write", 1, real(fd, parts, n));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    DO(opened_below(fd), "write", 1, real(fd, data, size, at));
}

int fsync(int fd) {
    REAL(fsync);
    DO(opened_below(fd), "sync", 1, real(fd));
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    DO(opened_below(fd), "truncate", 0, real(fd, size));
}

int rename(const char *from, const char *to) {
    REAL(rename);
    DO(below(AT_FDCWD, to), "rename", 0, real(from, to));
}

int link(const char *from, const char *to) {
    REAL(link);
    DO(below(AT_FDCWD, to), "link", 1, real(from, to));
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL(linkat);
    DO(below(b, to), "link", 1, real(a, from, b, to, flags));
}

int symlink(const char *from, const char *to) {
    REAL(symlink);
    DO(below(AT_FDCWD, to), "link", 1, real(from, to));
}

int unlink(const char *path) {
    REAL(unlink);
    DO(below(AT_FDCWD, path), "remove", 0, real(path));
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    DO(below(folder, path), "remove", 0, real(folder, path, flags));
}

int mkdir(const char *path, mode_t bits) {
    REAL(mkdir);
    DO(below(AT_FDCWD, path), "mkdir", 1, real(path, bits));
}

int rmdir(const char *path) {
    REAL(rmdir);
    DO(below(AT_FDCWD, path), "remove", 0, real(path));
}
