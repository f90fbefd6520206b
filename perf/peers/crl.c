// OpenSSL with a large CRL, to compare with: from DER to a verified list, then serial numbers looked up.
//
//   crl CA.pem LIST.der SERIALS     SERIALS: serial numbers of 16 octets each, one after the other
//
// Prints nanoseconds of processor time to load and to find, and how many were found: the least of RUNS loads, which read nothing (the file is in memory before), and the
// mean time of a lookup after one that sorts the list, which OpenSSL does at the first. Built by scripts/lib/build-peer.
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 5, SERIAL = 16 };

static void die(const char *why) { fprintf(stderr, "%s\n", why); exit(1); }

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint8_t *contents(const char *name, size_t *length) {
  FILE *file = fopen(name, "rb");
  if (!file || fseek(file, 0, SEEK_END)) die("a file cannot be read");
  *length = (size_t)ftell(file);
  rewind(file);
  uint8_t *octets = malloc(*length);
  if (!octets || fread(octets, 1, *length, file) != *length) die("a file cannot be read");
  fclose(file);
  return octets;
}

static X509_CRL *load(const uint8_t *der, size_t length, EVP_PKEY *key) {
  X509_CRL *list = d2i_X509_CRL(NULL, &der, (long)length);
  if (!list || X509_CRL_verify(list, key) != 1) die("the list is not the authority's");
  return list;
}

int main(int count, char **words) {
  if (count != 4) die("usage: crl CA.pem LIST.der SERIALS");
  BIO *file = BIO_new_file(words[1], "r");
  X509 *authority = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
  if (!authority) die("no certificate");
  EVP_PKEY *key = X509_get0_pubkey(authority);
  size_t length, octets;
  uint8_t *der = contents(words[2], &length), *serials = contents(words[3], &octets);
  uint64_t least = UINT64_MAX;
  X509_CRL *list = NULL;
  for (int run = 0; run < RUNS; run++) {
    X509_CRL_free(list);
    uint64_t from = now();
    list = load(der, length, key);
    uint64_t took = now() - from;
    if (took < least) least = took;
  }
  size_t asked = octets / SERIAL, found = 0;
  ASN1_INTEGER **numbers = calloc(asked, sizeof *numbers);
  for (size_t at = 0; at < asked; at++) {
    numbers[at] = ASN1_INTEGER_new();
    if (!ASN1_STRING_set(numbers[at], serials + at * SERIAL, SERIAL)) die("out of memory");
  }
  X509_REVOKED *entry;
  X509_CRL_get0_by_serial(list, &entry, numbers[0]);
  uint64_t from = now();
  for (size_t at = 0; at < asked; at++) found += X509_CRL_get0_by_serial(list, &entry, numbers[at]) == 1;
  printf("%llu %.1f %zu\n", (unsigned long long)least, (double)(now() - from) / (double)asked, found);
  return 0;
}
