/* Where OpenSSL finds the certificates that it trusts: wherever this system keeps them, as Go's programs do, and, where
   there are none, inside the executable (--embed-ca). The variables SSL_CERT_FILE and SSL_CERT_DIR go before both.

   In the place of OpenSSL's crypto/x509/x509_def.c, whose paths are fixed when it is compiled, and crypto/o_fopen.c. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The bundle inside, if there is one: see link/program.py. */
extern const char monolisp_ca[] __attribute__((weak));
extern const size_t monolisp_ca_size __attribute__((weak));

static const char inside[] = "(inside this executable)";

/* Source: Go's crypto/x509/root_linux.go. */
static const char *const files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Gentoo, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL */
    "/etc/ssl/ca-bundle.pem",                            /* SUSE */
    "/etc/pki/tls/cacert.pem",                           /* OpenELEC */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* CentOS, RHEL 7 */
    "/etc/ssl/cert.pem",                                 /* Alpine */
};
static const char *const directories[] = {"/etc/ssl/certs", "/etc/pki/tls/certs"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *first_there(const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    return NULL;
}

const char *X509_get_default_cert_file(void)
{
    const char *found = first_there(files, COUNT(files));
    if (found != NULL)
        return found;
    return monolisp_ca != NULL ? inside : files[COUNT(files) - 1];
}

const char *X509_get_default_cert_dir(void)
{
    const char *found = first_there(directories, COUNT(directories));
    return found != NULL ? found : directories[0];
}

const char *X509_get_default_private_dir(void)
{
    return "/etc/ssl/private";
}

const char *X509_get_default_cert_area(void)
{
    return "/etc/ssl";
}

const char *X509_get_default_cert_dir_env(void)
{
    return "SSL_CERT_DIR";
}

const char *X509_get_default_cert_file_env(void)
{
    return "SSL_CERT_FILE";
}

FILE *openssl_fopen(const char *filename, const char *mode)
{
    if (monolisp_ca != NULL && strcmp(filename, inside) == 0)
        return fmemopen((void *)monolisp_ca, monolisp_ca_size, "r");
    return fopen(filename, mode);
}
