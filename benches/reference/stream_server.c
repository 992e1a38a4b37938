/* Discard and chargen, with the same calls as an iperf3 server: blocking, on a buffer of 128 KiB,
 * one connection at a time.
 *
 *     stream_server discard|chargen
 *
 * Prints its port, and exits at the end of its standard input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[131072];

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    int gives = !strcmp(argv[1], "chargen");
    /* The pattern of RFC 864, up to the end of the buffer. */
    for (size_t i = 0; i < sizeof buffer; i++) {
        size_t line = i / 74, column = i % 74;
        buffer[i] = column == 72 ? '\r' : column == 73 ? '\n' : ' ' + (line + column) % 95;
    }

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 64)
        || getsockname(listener, (struct sockaddr *)&address, &length)) {
        perror("listen");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    struct pollfd ready[] = {{.fd = listener, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    while (poll(ready, 2, -1) > 0 && !ready[1].revents) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            continue;
        if (gives)
            while (send(connection, buffer, sizeof buffer, MSG_NOSIGNAL) > 0)
                ;
        else
            while (recv(connection, buffer, sizeof buffer, 0) > 0)
                ;
        close(connection);
    }
    return 0;
}
