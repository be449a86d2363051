/* A bus error -> one line on stderr that names the file, and exit code 1.

   The system sends SIGBUS when a page of a mapped file cannot be read: somebody has shortened the
   file, or its disk has failed. Python cannot handle it, because the instruction that failed would
   be run again before any Python code is. Only what POSIX allows in a signal handler is called. */

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static int errors = STDERR_FILENO; /* a copy: while libraries are kept quiet, 2 leads nowhere */
static char line[8192]; /* of /proc/self/maps; a path has 4,096 bytes at most */

static void say(const char *text, size_t length) {
    while (length > 0) {
        ssize_t n = write(errors, text, length);
        if (n <= 0) return;
        text += n, length -= (size_t)n;
    }
}

static uintptr_t read_hex(const char **at) {
    uintptr_t number = 0;
    for (;; ++*at) {
        char c = **at;
        if (c >= '0' && c <= '9') number = number * 16 + (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f') number = number * 16 + (uintptr_t)(c - 'a' + 10);
        else return number;
    }
}

/* The file that is mapped at the address, as Linux tells it: "BEGIN-END ... /its/path". */
static const char *mapped_at(uintptr_t address) {
    const char *unknown = "a file";
    int maps = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    char c;
    if (maps < 0) return unknown;
    while (read(maps, &c, 1) == 1) {
        if (c != '\n') {
            if ((unsigned char)c < ' ' || c == 127) c = '?'; /* nothing but text reaches a terminal */
            if (length + 1 < sizeof line) line[length++] = c;
            continue;
        }
        line[length] = 0;
        length = 0;
        const char *at = line;
        uintptr_t begin = read_hex(&at);
        if (*at++ != '-' || address < begin || address >= read_hex(&at)) continue;
        const char *path = strchr(line, '/');
        close(maps);
        return path ? path : unknown;
    }
    close(maps);
    return unknown;
}

/* A session may have the terminal in a mode without lines and echo. */
static void restore_terminal(void) {
    struct termios mode;
    if (tcgetattr(STDIN_FILENO, &mode) != 0 || tcgetpgrp(STDIN_FILENO) != getpgrp()) return;
    mode.c_iflag |= ICRNL;
    mode.c_oflag |= OPOST;
    mode.c_lflag |= ICANON | ECHO | IEXTEN | ISIG;
    tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

static void end(int number, siginfo_t *info, void *context) {
    static const char before[] = "error: ";
    static const char after[] = " was shortened, or its disk failed, while it was read; start again "
                                "when it is whole\n";
    const char *file = mapped_at((uintptr_t)info->si_addr);
    (void)number, (void)context;
    restore_terminal();
    say(before, sizeof before - 1);
    say(file, strlen(file));
    say(after, sizeof after - 1);
    _exit(1);
}

EXPORTED void handle_bus_errors(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = end;
    action.sa_flags = SA_SIGINFO | SA_RESETHAND;
    if (errors == STDERR_FILENO) {
        int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (copy >= 0) errors = copy;
    }
    sigaction(SIGBUS, &action, NULL);
}
#endif
