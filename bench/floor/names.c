/*
 * names.c - the DNS server that lookups are measured against: 127.0.0.1 for every A, nothing for anything else.
 *
 * Role    One thread, one UDP socket; bench/fetch.py runs it on the other CPU. Prints its port.
 * Limits  Believes the question. A question that comes while the socket's buffer is full is lost, as anywhere.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void)
{
    static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 127, 0, 0, 1};
    unsigned char m[1024];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return 1;
    printf("ready 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        struct sockaddr_in from;
        len = sizeof from;
        ssize_t n = recvfrom(fd, m, 512, 0, (struct sockaddr *)&from, &len);
        size_t end = 12;
        while (n > 16 && end < (size_t)n && m[end])
            end += m[end] + 1u;
        end += 5;
        if (n < 17 || end > (size_t)n)
            continue;
        m[2] = 0x84;
        m[3] = 0;
        memset(m + 6, 0, 6);
        if (m[end - 3] == 1) {
            memcpy(m + end, record, sizeof record);
            end += sizeof record;
            m[7] = 1;
        }
        (void)sendto(fd, m, end, 0, (struct sockaddr *)&from, len);   /* a lost answer is asked for again */
    }
}
