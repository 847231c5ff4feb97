/* The disk of a machine whose power may fail, for one process at a time: of the files and folders below POWER_CUT_FOLDER, what is
 * synced is copied to POWER_CUT_KEPT, and nothing else is. A file is known by its inode and the moment of its birth, since
 * a number is given again when a file is gone. `ID` is the content of a file; `ID.names` has a line for each name in a
 * folder: the id behind it, `d` for a folder or `f` for a file, the name. Both have the mode of what they stand for. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int fail(const char *what) {
    fprintf(stderr, "power_cut: %s: %s\n", what, strerror(errno));
    abort();
}

/* The id of what is behind a name in a folder, or, where the name is empty, of what is open; its mode, or 0 if it is gone. */
static unsigned id_of(int fd, const char *name, char *id, size_t size) {
    struct statx found;
    if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &found) != 0) {
        return errno == ENOENT ? 0 : (unsigned)fail("statx");
    }
    snprintf(id, size, "%llu-%lld.%09u", (unsigned long long)found.stx_ino, (long long)found.stx_btime.tv_sec,
             found.stx_btime.tv_nsec);
    return found.stx_mode;
}

static void keep_file(int fd, FILE *to) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    /* It may be open for writing alone. */
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) fail("open");
    char piece[64 * 1024];
    ssize_t read_now;
    while ((read_now = read(from, piece, sizeof piece)) > 0) {
        if (fwrite(piece, 1, read_now, to) != (size_t)read_now) fail("write");
    }
    if (read_now < 0) fail("read");
    close(from);
}

static void keep_names(int fd, FILE *to) {
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    if (!folder) fail("opendir");
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        char id[64];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        unsigned mode = id_of(fd, entry->d_name, id, sizeof id);
        if (S_ISDIR(mode) || S_ISREG(mode)) fprintf(to, "%s %c %s\n", id, S_ISDIR(mode) ? 'd' : 'f', entry->d_name);
    }
    closedir(folder);
}

static int is_watched(int fd) {
    char link[64], path[PATH_MAX];
    const char *folder = getenv("POWER_CUT_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !folder) return 0;
    path[length] = 0;
    size_t prefix = strlen(folder);
    return !strncmp(path, folder, prefix) && (path[prefix] == '/' || path[prefix] == 0);
}

/* Keeps what is behind `fd` as it is now; what was kept of it before is there until then. */
static int keep(int fd) {
    char id[64], part[PATH_MAX], whole[PATH_MAX];
    const char *kept = getenv("POWER_CUT_KEPT");
    pthread_mutex_lock(&one_at_a_time);
    unsigned mode = id_of(fd, "", id, sizeof id);
    snprintf(part, sizeof part, "%s/part", kept);
    snprintf(whole, sizeof whole, "%s/%s%s", kept, id, S_ISDIR(mode) ? ".names" : "");
    FILE *to = fopen(part, "we");
    if (!to) fail(part);
    if (S_ISDIR(mode)) keep_names(fd, to);
    else keep_file(fd, to);
    fchmod(fileno(to), mode & 0777);
    if (fclose(to) != 0 || rename(part, whole) != 0) fail(whole);
    pthread_mutex_unlock(&one_at_a_time);
    return 0;
}

int fsync(int fd) {
    return is_watched(fd) ? keep(fd) : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return is_watched(fd) ? keep(fd) : (int)syscall(SYS_fdatasync, fd);
}
