/*
 * posix_openssl.c N - N TLS connections over OpenSSL's socket BIOs, both sides on goroutines, with blocking sockets.
 *
 * Every second client speaks no TLS. The server's side of it finds the errors in its thread's queue, also after a call that
 * blocked; the others find theirs empty.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/weft.h>

#include "posix_e2e.h"

static SSL_CTX *server_ctx, *client_ctx;
static struct sockaddr_in at;
static _Atomic int good, refused;

static SSL_CTX *make_server(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"weft", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    if (!X509_sign(cert, key, EVP_sha256()) || SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        die("no certificate");
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void serve_one(int fd)
{
    SSL *s = SSL_new(server_ctx);
    char buf[64];

    SSL_set_fd(s, fd);
    if (SSL_accept(s) == 1) {
        int n = SSL_read(s, buf, sizeof buf);
        if (n <= 0 || SSL_write(s, buf, n) != n)
            die("the server's side failed");
        (void)SSL_shutdown(s);
    } else {
        usleep(2000); /* blocks: the queue is still this goroutine's */
        if (ERR_peek_error() == 0)
            die("the error queue was lost");
        ERR_clear_error();
        atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
    }
    SSL_free(s);
    close(fd);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect failed");
    return fd;
}

static void client(int i)
{
    char buf[64], text[64];
    int fd = dial(), len = snprintf(text, sizeof text, "hello from %d", i);
    SSL *s = SSL_new(client_ctx);

    SSL_set_fd(s, fd);
    if (SSL_connect(s) != 1 || SSL_write(s, text, len) != len || SSL_read(s, buf, sizeof buf) != len || memcmp(buf, text, (size_t)len) != 0)
        die("the client's side failed");
    if (ERR_peek_error() != 0)
        die("an error of somebody else's");
    (void)SSL_shutdown(s);
    SSL_free(s);
    close(fd);
    atomic_fetch_add_explicit(&good, 1, memory_order_relaxed);
}

static void stranger(void)
{
    char buf[256];
    int fd = dial();

    if (write(fd, "GET / HTTP/1.0\r\n\r\n", 18) == 18)
        while (read(fd, buf, sizeof buf) > 0)
            ;
    close(fd);
}

int main(int argc, char **argv)
{
    int n = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0, ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof at;
    weft_waitgroup wg = {0};

    if (n < 1)
        die("usage: posix_openssl N");
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(ln, (struct sockaddr *)&at, len) != 0 || listen(ln, 512) != 0 || getsockname(ln, (struct sockaddr *)&at, &len) != 0)
        die("no listener");
    server_ctx = make_server();
    client_ctx = SSL_CTX_new(TLS_client_method());
    for (int i = 0; i < n; i++)
        if (i % 2 == 0)
            weft_waitgroup_go(&wg, client, i);
        else
            weft_waitgroup_go(&wg, stranger);
    for (int i = 0; i < n; i++) {
        int fd = accept4(ln, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept failed");
        weft_waitgroup_go(&wg, serve_one, fd);
    }
    weft_waitgroup_wait(&wg);
    printf("%d TLS connections, %d strangers refused, on %d processors: %d threads\n", atomic_load_explicit(&good, memory_order_relaxed),
           atomic_load_explicit(&refused, memory_order_relaxed), weft_procs(0), thread_count());
    close(ln);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return 0;
}
