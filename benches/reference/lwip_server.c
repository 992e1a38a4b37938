/*
 * The tutorial's server, which greeter replaces: one thread that accepts, reads, greets and closes,
 * one connection at a time, on lwIP's sockets. THREADS sets another number of such threads.
 *
 * lwIP is Debian's build (liblwip-dev), TAP driver included, with the options of its package.
 *
 * usage: lwip_server TAP [THREADS [MILLISECONDS]]   (the board is 192.168.1.1/24; prints "ready" when it listens)
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <lwip/netif.h>
#include <lwip/sockets.h>
#include <lwip/tcpip.h>
#include <netif/tapif.h>

#define PORT 3000
#define BACKLOG 2

static const char greeting[] = "Hello World";
static struct netif interface;
static int listener;
static unsigned service_ms;

/*
 * One thread waits in accept at a time. lwIP on Unix signals a mailbox only when it was empty
 * (sys_mbox_trypost), so of several waiting threads some would sleep while connections are queued.
 */
static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;

/* Called on lwIP's own thread, once it runs. */
static void plug(void *started) {
    ip4_addr_t address, mask, gateway;

    IP4_ADDR(&address, 192, 168, 1, 1);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 0, 0, 0, 0);
    netif_add(&interface, &address, &mask, &gateway, NULL, tapif_init, tcpip_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
    sys_sem_signal(started);
}

static void fail(const char *what) {
    fprintf(stderr, "lwip_server: %s failed\n", what);
    exit(1);
}

static void serve(void *unused) {
    (void)unused;
    for (;;) {
        char request[1024];
        int connection;
        ssize_t length;

        pthread_mutex_lock(&accepting);
        connection = lwip_accept(listener, NULL, NULL);
        pthread_mutex_unlock(&accepting);
        if (connection < 0) {
            continue;
        }
        /* The tutorial prints the request. The reference does not, to be fast. */
        length = lwip_read(connection, request, sizeof request);
        if (length > 0 && service_ms > 0) {
            sys_msleep(service_ms);
        }
        if (length >= 0) {
            lwip_write(connection, greeting, sizeof greeting - 1);
        }
        lwip_close(connection);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in here;
    sys_sem_t started;
    int threads;

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: lwip_server TAP [THREADS [MILLISECONDS]]\n");
        return 2;
    }
    threads = argc > 2 ? atoi(argv[2]) : 1;
    service_ms = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
    /* Exit with the bench that started this program. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* With this variable lwIP's TAP driver sets no addresses. */
    setenv("PRECONFIGURED_TAPIF", argv[1], 1);
    if (sys_sem_new(&started, 0) != ERR_OK) {
        fail("sys_sem_new");
    }
    tcpip_init(plug, &started);
    sys_sem_wait(&started);

    listener = lwip_socket(AF_INET, SOCK_STREAM, 0);
    memset(&here, 0, sizeof here);
    here.sin_family = AF_INET;
    here.sin_port = htons(PORT);
    here.sin_addr.s_addr = htonl(INADDR_ANY);
    if (listener < 0 || lwip_bind(listener, (struct sockaddr *)&here, sizeof here) != 0) {
        fail("bind");
    }
    if (lwip_listen(listener, BACKLOG) != 0) {
        fail("listen");
    }
    puts("ready");
    fflush(stdout);

    while (--threads > 0) {
        sys_thread_new("server", serve, NULL, 0, 0);
    }
    serve(NULL);
}
