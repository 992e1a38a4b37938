/* Adds modem lines to a pseudo-terminal. Loaded into the program under test with LD_PRELOAD, it
 * replies like a serial driver and informs the board (tests/integration/common/loader).
 *
 * TCPCTL_TEST_PORT is the pseudo-terminal, TCPCTL_TEST_LINES the board's socket. Each change of
 * DTR (bit 0) and RTS (bit 1) is sent to it as one byte, which the board confirms with one byte.
 * Opening the port raises both lines, as Linux does (tty_port_raise_dtr_rts).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DTR 1
#define RTS 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char lines;
static int board = -1;

static int is_port(int fd)
{
    struct stat own, port;
    const char *name = getenv("TCPCTL_TEST_PORT");
    return name && fstat(fd, &own) == 0 && S_ISCHR(own.st_mode) && stat(name, &port) == 0 &&
           own.st_rdev == port.st_rdev;
}

static void set(unsigned char now)
{
    const char *name = getenv("TCPCTL_TEST_LINES");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    lines = now;
    if (board < 0 && name) {
        strncpy(address.sun_path, name, sizeof address.sun_path - 1);
        board = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(board, (struct sockaddr *)&address, sizeof address) < 0)
            abort();
    }
    if (write(board, &now, 1) == 1)
        (void)!read(board, &now, 1);
}

static int bits(void)
{
    return TIOCM_DSR | TIOCM_CTS | (lines & DTR ? TIOCM_DTR : 0) | (lines & RTS ? TIOCM_RTS : 0);
}

static unsigned char mask(int value)
{
    return (value & TIOCM_DTR ? DTR : 0) | (value & TIOCM_RTS ? RTS : 0);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list arguments;
    va_start(arguments, request);
    int *value = va_arg(arguments, int *);
    va_end(arguments);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "ioctl");
    int is_line = request == TIOCMGET || request == TIOCMSET || request == TIOCMBIS ||
                  request == TIOCMBIC;
    if (!is_line || !is_port(fd))
        return real(fd, request, value);
    pthread_mutex_lock(&lock);
    if (request == TIOCMGET)
        *value = bits();
    else if (request == TIOCMSET)
        set(mask(*value));
    else if (request == TIOCMBIS)
        set(lines | mask(*value));
    else
        set(lines & ~mask(*value));
    pthread_mutex_unlock(&lock);
    return 0;
}

static int opened(int fd)
{
    int error = errno;
    if (fd >= 0 && is_port(fd)) {
        pthread_mutex_lock(&lock);
        if (lines != (DTR | RTS) && board < 0)
            set(DTR | RTS);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return fd;
}

#define OPEN(name)                                                    \
    int name(const char *path, int flags, ...)                        \
    {                                                                 \
        static int (*real)(const char *, int, ...);                   \
        va_list arguments;                                            \
        va_start(arguments, flags);                                   \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0; \
        va_end(arguments);                                            \
        if (!real)                                                    \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                \
        return opened(real(path, flags, mode));                       \
    }

OPEN(open)
OPEN(open64)
