/* The reference for the load engine: the cost of requests on plain epoll, without histograms,
 * timeouts and TCP_INFO. It uses the same optimizations: edge-triggered, no read after a short one,
 * no read for a FIN that the event has reported.
 *
 *     epoll_client PORT CONNECTIONS REQUESTS connect|ping-pong
 *
 * connect:   connect, send, read to the FIN, close, with CONNECTIONS at a time.
 * ping-pong: send and read the same number of bytes, repeatedly, on kept connections.
 * Prints the CPU time of all requests, user and system, in nanoseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 128

static const char message[] = "Hello TCP world!\r\n";
enum { LENGTH = sizeof message - 1 };

struct connection {
    int fd;
    int connected;
    int received;
};

static struct sockaddr_in target;
static struct connection *connections;
static long started, finished, wanted;
static int epoll, kept;
static char buffer[65536];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void begin(struct connection *c)
{
    if (started == wanted) {
        c->fd = -1;
        return;
    }
    started++;
    c->connected = 0;
    c->received = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket");
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
        fail("connect");
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.u64 = c - connections,
    };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
        fail("epoll_ctl");
}

static void send_message(struct connection *c)
{
    if (write(c->fd, message, LENGTH) != LENGTH)
        fail("write");
}

static void handle(struct connection *c, unsigned events)
{
    if (c->fd < 0)
        return;
    if (events & EPOLLERR) {
        fprintf(stderr, "a connection has failed\n");
        exit(1);
    }
    if (!c->connected && events & EPOLLOUT) {
        c->connected = 1;
        send_message(c);
    }
    if (!(events & EPOLLIN))
        return;
    ssize_t length;
    do {
        length = read(c->fd, buffer, sizeof buffer);
        if (length < 0 && errno != EAGAIN)
            fail("read");
        if (length > 0)
            c->received += length;
    } while (length == sizeof buffer);
    if (kept) {
        if (c->received < LENGTH)
            return;
        finished++;
        c->received = 0;
        if (started < wanted) {
            started++;
            send_message(c);
        }
    } else if (length == 0 || events & EPOLLRDHUP) {
        if (!c->received) {
            fprintf(stderr, "no reply\n");
            exit(1);
        }
        close(c->fd);
        finished++;
        begin(c);
    }
}

static long long cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL
        + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int count = atoi(argv[2]);
    wanted = atol(argv[3]);
    kept = !strcmp(argv[4], "ping-pong");
    target.sin_family = AF_INET;
    target.sin_port = htons(atoi(argv[1]));
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    connections = calloc(count, sizeof *connections);
    epoll = epoll_create1(EPOLL_CLOEXEC);

    long long before = cpu();
    struct epoll_event events[EVENTS];
    int unstarted = 0;
    while (finished < wanted) {
        /* Not all in one burst, because they must fit into a listen queue. */
        for (int burst = 0; burst < 64 && unstarted < count; burst++)
            begin(&connections[unstarted++]);
        int ready = epoll_wait(epoll, events, EVENTS, unstarted < count ? 0 : -1);
        for (int i = 0; i < ready; i++)
            handle(&connections[events[i].data.u64], events[i].events);
    }
    printf("%lld\n", cpu() - before);
    return 0;
}
